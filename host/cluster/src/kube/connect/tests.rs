//! Which cluster a place leads to, and the words for every kubeconfig that leads nowhere.

use std::path::Path;

use weir_core::fault::{Blame as _, Fault, Retry};

use super::*;

/// A kubeconfig with two contexts, `blue` being the current one.
const TWO: &str = "\
apiVersion: v1
kind: Config
current-context: blue
clusters:
- { name: b, cluster: { server: 'http://blue.example:1' } }
- { name: g, cluster: { server: 'http://green.example:2' } }
users:
- { name: ann, user: { token: t0ken } }
contexts:
- { name: blue, context: { cluster: b, user: ann } }
- { name: green, context: { cluster: g, user: ann } }
";

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A place that is looked for in one kubeconfig.
    fn with(&self, place: KubePlace, text: &str) -> KubeAccess {
        at(place, vec![self.put("config", text)])
    }
}

fn at(place: KubePlace, kubeconfig: Vec<PathBuf>) -> KubeAccess {
    KubeAccess {
        place,
        kubeconfig,
        in_cluster: false,
        account: None,
    }
}

fn context(name: &str) -> KubePlace {
    KubePlace::Context(name.to_owned())
}

fn secret() -> KubeAccess {
    let place = KubePlace::Secret {
        namespace: "fleet".to_owned(),
        name: "prod".to_owned(),
    };
    at(place, Vec::new())
}

/// The server that a place leads to.
async fn server(access: &KubeAccess) -> Result<String, KubeError> {
    let named = match &access.place {
        KubePlace::Context(context) => Some(context.as_str()),
        _ => None,
    };
    let config = local(access, named).await?;
    Ok(config
        .cluster_url
        .to_string()
        .trim_end_matches('/')
        .to_owned())
}

async fn clients(access: &KubeAccess, limits: KubeLimits) -> Result<Clients, KubeError> {
    super::clients(access, limits, &Arc::new(Flight::new(limits))).await
}

/// Why a place leads nowhere, in the one kind that all of it is.
async fn refused(access: &KubeAccess) -> String {
    let Err(error) = clients(access, KubeLimits::HOST).await else {
        panic!("{access} was accepted");
    };
    assert!(matches!(error, KubeError::Config(_)), "{error:?}");
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Host, Retry::Backoff)
    );
    error.to_string()
}

/// One context whose user and cluster hold what is given.
fn one(cluster: &str, user: &str) -> String {
    format!(
        "current-context: c\ncontexts: [{{ name: c, context: {{ cluster: k, user: ann }} }}]\n\
         clusters: [{{ name: k, cluster: {{ {cluster} }} }}]\nusers: [{{ name: ann, user: {{ {user} }} }}]\n"
    )
}

#[tokio::test]
async fn the_current_context_is_used_unless_another_one_is_named() {
    let home = Home::new();
    for (place, expected) in [
        (KubePlace::Current, "http://blue.example:1"),
        (context("blue"), "http://blue.example:1"),
        (context("green"), "http://green.example:2"),
    ] {
        let access = home.with(place, TWO);
        assert_eq!(server(&access).await.unwrap(), expected, "{access}");
        clients(&access, KubeLimits::HOST).await.unwrap();
    }
}

#[tokio::test]
async fn a_context_that_is_not_there_is_answered_with_the_ones_that_are() {
    let home = Home::new();
    let access = home.with(context("red"), TWO);
    let file = access.kubeconfig[0].display().to_string();
    assert_eq!(
        refused(&access).await,
        format!("{file}: it has no context \"red\"; it has: blue, green")
    );
    for empty in ["", "{}", "contexts:\n", "apiVersion: v1\nkind: Config\n"] {
        let error = refused(&home.with(context("red"), empty)).await;
        assert!(error.ends_with("it has: none"), "{empty:?}: {error}");
    }
}

#[tokio::test]
async fn without_a_current_context_one_has_to_be_named() {
    let home = Home::new();
    for line in ["", "current-context: ''\n"] {
        let text = TWO.replace("current-context: blue\n", line);
        let error = refused(&home.with(KubePlace::Current, &text)).await;
        assert!(
            error.ends_with("it has no current context: name one, as in kube:CONTEXT"),
            "{error}"
        );
        let access = home.with(context("green"), &text);
        assert_eq!(server(&access).await.unwrap(), "http://green.example:2");
    }
}

#[tokio::test]
async fn of_several_files_the_first_that_has_something_wins_and_missing_ones_are_passed_over() {
    let home = Home::new();
    let first = home.put("first", &one("server: 'http://first.example'", ""));
    let second = home.put("second", TWO);
    let gone = home.0.path().join("gone");
    let files = |place, order: &[&Path]| at(place, order.iter().map(|p| p.to_path_buf()).collect());
    let order = [gone.as_path(), &first, &second];
    assert_eq!(
        server(&files(KubePlace::Current, &order)).await.unwrap(),
        "http://first.example"
    );
    assert_eq!(
        server(&files(context("green"), &order)).await.unwrap(),
        "http://green.example:2"
    );
    let order = [second.as_path(), &first];
    assert_eq!(
        server(&files(KubePlace::Current, &order)).await.unwrap(),
        "http://blue.example:1"
    );
    let error = refused(&files(context("red"), &[&first, &second])).await;
    assert!(error.contains("it has: c, blue, green"), "{error}");
    assert!(
        error.contains("/first, ") && error.contains("/second: "),
        "{error}"
    );
}

#[tokio::test]
async fn no_kubeconfig_at_all_says_where_it_was_looked_for() {
    let home = Home::new();
    let gone = home.0.path().join("gone");
    let error = refused(&at(KubePlace::Current, vec![gone.clone()])).await;
    assert_eq!(
        error,
        format!(
            "kube:: there is no kubeconfig at {}: give --kubeconfig FILE, or set KUBECONFIG",
            gone.display()
        )
    );
    let error = refused(&at(KubePlace::Current, Vec::new())).await;
    assert!(
        error.contains("there is no kubeconfig: give --kubeconfig FILE"),
        "{error}"
    );
}

#[tokio::test]
async fn the_pods_own_account_stands_in_for_a_missing_kubeconfig_and_for_nothing_else() {
    let home = Home::new();
    let in_pod = |access: KubeAccess| KubeAccess {
        in_cluster: true,
        ..access
    };
    let access = in_pod(home.with(KubePlace::Current, TWO));
    assert_eq!(
        server(&access).await.unwrap(),
        "http://blue.example:1",
        "the file wins"
    );
    let error = refused(&in_pod(at(context("green"), Vec::new()))).await;
    assert!(
        error.starts_with("kube:green: there is no kubeconfig"),
        "{error}"
    );
    // These tests run in no pod, or the account's files would be there.
    if !Path::new("/var/run/secrets/kubernetes.io/serviceaccount").exists() {
        let error = refused(&in_pod(at(KubePlace::Current, Vec::new()))).await;
        assert!(
            error.starts_with("kube:: the pod's own account cannot be used: "),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_user_whose_credentials_come_from_a_program_is_named_with_what_to_do_instead() {
    let home = Home::new();
    let server = "server: 'http://k.example'";
    for user in [
        "exec: { apiVersion: client.authentication.k8s.io/v1, command: aws, args: [eks, get-token] }",
        "auth-provider: { name: gcp }",
    ] {
        let error = refused(&home.with(KubePlace::Current, &one(server, user))).await;
        assert!(
            error.contains(
                "user \"ann\" of context \"c\" gets its credentials from another program"
            ),
            "{error}"
        );
        assert!(
            error.contains("Weir starts none") && error.contains("kubectl create token"),
            "{error}"
        );
    }
    // What other contexts use is no matter.
    let text = TWO.replace(
        "contexts:\n",
        "- { name: eks, user: { exec: { command: aws } } }\ncontexts:\n",
    );
    clients(&home.with(KubePlace::Current, &text), KubeLimits::HOST)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_user_or_a_cluster_that_is_not_there_is_named() {
    let home = Home::new();
    let error =
        refused(&home.with(KubePlace::Current, &TWO.replace("name: ann", "name: bob"))).await;
    assert!(
        error.ends_with("context \"blue\" is for the user \"ann\", and it has no such user"),
        "{error}"
    );
    let error = refused(&home.with(KubePlace::Current, &TWO.replace("name: b,", "name: x,"))).await;
    assert!(
        error.contains("context \"blue\" cannot be used") && error.contains(": b"),
        "{error}"
    );
    let error = refused(&home.with(KubePlace::Current, &one("server: 'no url'", ""))).await;
    assert!(
        error.contains("context \"c\" cannot be used: failed to parse cluster url"),
        "{error}"
    );
    let anonymous = TWO.replace(", user: ann", "");
    clients(&home.with(KubePlace::Current, &anonymous), KubeLimits::HOST)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_file_that_the_kubeconfig_names_and_that_cannot_be_used_is_named() {
    let home = Home::new();
    home.put("empty.pem", "nothing in here\n");
    home.put("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    home.put(
        "wrong.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let https = "server: 'https://k.example'";
    for (cluster, user, expected) in [
        ("certificate-authority: gone.pem", "", "gone.pem"),
        (
            "certificate-authority: .",
            "",
            "failed to load certificate authority",
        ),
        (
            "certificate-authority: empty.pem",
            "",
            "no certificate (PEM) is in its certificate authority",
        ),
        ("certificate-authority: cut.pem", "", "no certificate (PEM)"),
        ("certificate-authority: wrong.pem", "", "certificate"),
        (
            "certificate-authority-data: '!'",
            "",
            "failed to load certificate authority: failed to decode base64",
        ),
        (
            "certificate-authority-data: bm90aGluZw==",
            "",
            "no certificate (PEM)",
        ),
        (
            "",
            "client-certificate: gone.pem, client-key: key.pem",
            "gone.pem",
        ),
    ] {
        let text = one(&format!("{https}, {cluster}"), user);
        let access = home.with(KubePlace::Current, &text);
        let error = refused(&access).await;
        assert!(error.contains(expected), "{cluster}{user}: {error}");
        let whose = error.contains("context \"c\" cannot be used") || error.starts_with("kube:: ");
        assert!(whose, "{cluster}{user}: {error}");
    }
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_looked_at_is_no_missing_one() {
    let home = Home::new();
    let file = home.put("file", TWO);
    for path in [file.join("config"), home.0.path().to_path_buf()] {
        let access = KubeAccess {
            in_cluster: true,
            ..at(KubePlace::Current, vec![path.clone()])
        };
        let error = refused(&access).await;
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(error.contains("failed to read kubeconfig"), "{error}");
    }
}

#[tokio::test]
async fn a_mistake_in_a_kubeconfig_has_its_line_and_nothing_of_its_text() {
    let home = Home::new();
    for text in [
        "hunter2",
        "users: hunter2\n",
        "users:\n- name: ann\n  user: { token: [hunter2] }\n",
        "users:\n- name: ann\n  user: hunter2\n",
        "users:\n- name: ann\n  user: { token: hunter2\n",
        "clusters:\n- hunter2: 1\n  hunter2: 2\n",
        "clusters:\n- name: \"hunter2\n",
    ] {
        let access = home.with(KubePlace::Current, text);
        let error = refused(&access).await;
        assert!(!error.contains("hunter2"), "{error}");
        assert!(error.contains("config: is no kubeconfig"), "{error}");
        let error = in_secret(text, &secret()).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(
            error.starts_with("kube-secret:fleet/prod: the kubeconfig in it is no kubeconfig"),
            "{error}"
        );
    }
    let error = refused(&home.with(KubePlace::Current, "kind: Config\nusers: hunter2\n")).await;
    assert!(
        error.contains(": is no kubeconfig: line 2, column "),
        "{error}"
    );
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_refused_without_its_password() {
    let home = Home::new();
    for proxy in [
        "http://ann:hunter2@proxy:3128",
        "ftp://ann:hunter2@proxy:21",
        "ann:hunter2@@",
    ] {
        let text = one(
            &format!("server: 'https://k.example', proxy-url: '{proxy}'"),
            "",
        );
        let error = refused(&home.with(KubePlace::Current, &text)).await;
        assert!(
            error.contains("proxy") && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn a_kubeconfig_in_a_secret_names_no_file_of_this_host() {
    let server = "server: 'https://k.example'";
    for (cluster, user, key) in [
        (
            "certificate-authority: /etc/passwd",
            "",
            "certificate-authority",
        ),
        (
            "",
            "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token",
            "tokenFile",
        ),
        ("", "tokenFile: t, token: x", "tokenFile"),
        ("", "client-certificate: /c.pem", "client-certificate"),
        ("", "client-key: /k.pem", "client-key"),
    ] {
        let text = one(&format!("{server}, {cluster}"), user);
        let error = in_secret(&text, &secret()).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!(
                "kube-secret:fleet/prod: the kubeconfig in it names a file of this host under {key:?}: "
            )),
            "{error}"
        );
        assert!(error.contains("--flatten"), "{error}");
    }
    let whole = one(
        &format!("{server}, certificate-authority-data: QQ=="),
        "token: x",
    );
    assert_eq!(in_secret(&whole, &secret()).unwrap().clusters.len(), 1);
}

#[tokio::test]
async fn a_secrets_kubeconfig_is_refused_like_a_file_and_under_the_secrets_name() {
    let text = one("server: 'https://k.example'", "exec: { command: aws }");
    let kubeconfig = in_secret(&text, &secret()).unwrap();
    let error = of_kubeconfig(kubeconfig, None, &secret().to_string())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("kube-secret:fleet/prod: user \"ann\" of context \"c\" gets its"),
        "{error}"
    );
    let error = of_kubeconfig(
        in_secret("{}", &secret()).unwrap(),
        None,
        &secret().to_string(),
    )
    .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("it has no current context")
    );
    // The cluster that holds the Secret is the current one, which has to be there.
    let error = refused(&secret()).await;
    assert!(
        error.starts_with("kube-secret:fleet/prod: there is no kubeconfig"),
        "{error}"
    );
}

#[test]
fn a_place_is_shown_as_it_is_written() {
    for (place, expected) in [
        (KubePlace::Current, "kube:"),
        (context("admin@prod"), "kube:admin@prod"),
        (secret().place, "kube-secret:fleet/prod"),
    ] {
        assert_eq!(at(place, Vec::new()).to_string(), expected);
    }
}
