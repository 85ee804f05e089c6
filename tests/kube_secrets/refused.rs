//! What does not get into a cluster: changed files, ciphertext that nothing decrypts, files that are encrypted in part.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_tests::scene::map;

use super::rig::{MARKER, Rig};

#[test]
fn what_was_changed_is_refused_before_anything_is_staked_and_other_apps_go_on() {
    let mut rig = Rig::new("changed");
    let sealed = rig.encrypt_secret(MARKER);
    let line = |key: &str| {
        let line = sealed
            .lines()
            .find(|l| l.trim().starts_with(&format!("{key}: ENC")));
        line.unwrap().to_owned()
    };
    let token = |key: &str| line(key).trim().split_once(": ").unwrap().1.to_owned();
    let flip = |text: &str| {
        let (head, data) = text.split_once("data:").unwrap();
        let other = if data.starts_with('A') { "B" } else { "A" };
        format!("{head}data:{other}{}", &data[1..])
    };
    let source = "source file web/secret.yaml: ";
    for (from, to, expected) in [
        (
            token("mac"),
            flip(&token("mac")),
            format!("{source}its MAC does not match: it, or `lastmodified`"),
        ),
        (
            token("password"),
            flip(&token("password")),
            "the value of `stringData.password` was changed".to_owned(),
        ),
        (
            token("password"),
            token("user"),
            "the value of `stringData.password` was changed after it was encrypted, or comes from"
                .to_owned(),
        ),
        (
            token("password"),
            MARKER.to_owned(),
            "partly encrypted: `stringData.password` is plain".to_owned(),
        ),
        (
            format!("{}\n", line("user")),
            String::new(),
            format!("{source}its MAC does not match: it is of other values"),
        ),
        (
            "name: db".to_owned(),
            "name: db2".to_owned(),
            format!("{source}its MAC does not match: it is of other values"),
        ),
        (
            "stringData:".to_owned(),
            format!("stringData:\n    more: {MARKER}"),
            "partly encrypted: `stringData.more` is plain".to_owned(),
        ),
        (
            "    name: db".to_owned(),
            format!("    name: db\n    labels:\n        a: {}", token("user")),
            "`metadata.labels.a` is encrypted with SOPS".to_owned(),
        ),
        (
            "kind: Secret".to_owned(),
            "kind: ConfigMap".to_owned(),
            "it has a `sops` block, and Weir decrypts Secrets only".to_owned(),
        ),
    ] {
        assert!(sealed.contains(&from), "{from}");
        rig.scene
            .repo
            .write("web/secret.yaml", sealed.replacen(&from, &to, 1))
            .unwrap();
        let name = format!("round-{}", rig.scene.repo.head().unwrap());
        rig.scene
            .repo
            .write_text(&format!("//- made/kustomization.yaml\nconfigMapGenerator: [{{ name: {name}, literals: [a=b], options: {{ disableNameSuffixHash: true }} }}]\n"))
            .unwrap();
        rig.commit();
        let ran = rig.sync(&rig.key).code(1).unwrap();
        assert!(ran.stderr.contains(&expected), "{expected}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("Nothing of the app is applied"),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains(MARKER), "{}", ran.stderr);
        assert!(rig.secret("db").is_none() && rig.scene.map("a").is_err());
        rig.scene.map(&name).unwrap();
    }
    // Put right, all of it lands.
    rig.encrypt_secret(MARKER);
    rig.commit();
    rig.synced();
    rig.holds("db", "password", MARKER);
    rig.scene.map("a").unwrap();
}

#[test]
fn ciphertext_that_nothing_decrypts_is_never_put_into_a_cluster() {
    let mut rig = Rig::new("bare");
    let sealed = rig.encrypted("a.yaml", format!("a: {MARKER}\n"), &[]);
    let text = String::from_utf8(sealed.clone()).unwrap();
    let token = text.lines().find_map(|l| l.strip_prefix("a: ")).unwrap();
    let of_secret = |field: &str, value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: db }}\n{field}: {{ a: \"{value}\" }}\n"
        )
    };
    let maps = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: db }\n";
    for (object, expected) in [
        (
            format!("{maps}data: {{ a: \"{token}\" }}\n"),
            "`data.a` is encrypted with SOPS, and Weir decrypts only",
        ),
        (
            format!("{maps}data: {{ a: \"x {token} y\" }}\n"),
            "`data.a` is encrypted with SOPS",
        ),
        (
            format!("{maps}binaryData: {{ a: {} }}\n", STANDARD.encode(&sealed)),
            "`binaryData.a` is encrypted with SOPS",
        ),
        (
            of_secret("stringData", token),
            "`stringData.a` is encrypted with SOPS, and the `sops` block",
        ),
        (
            of_secret("data", &STANDARD.encode(token)),
            "`data.a` is encrypted with SOPS, and the `sops` block",
        ),
        (
            of_secret("data", &STANDARD.encode(format!("x={token}"))),
            "`data.a` is encrypted with SOPS, and the `sops` block",
        ),
        (
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: db }}\nspec: {{ selector: {{ matchLabels: {{ a: b }} }}, template: {{ metadata: {{ labels: {{ a: b }} }}, spec: {{ containers: [{{ name: a, image: b, env: [{{ name: A, value: \"{token}\" }}] }}] }} }} }}\n"
            ),
            "`spec.template.spec.containers.env.value` is encrypted with SOPS",
        ),
    ] {
        rig.scene.push("web/object.yaml", &object).unwrap();
        let ran = rig.sync(&rig.key).code(1).unwrap();
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
        assert!(rig.secret("db").is_none() && rig.scene.map("a").is_err());
        rig.scene.map("beside").unwrap();
        // Who only looks is told the same.
        let shown = rig.diff(Some(&rig.key)).code(0).unwrap().stdout;
        assert!(shown.contains(expected), "{shown}");
        assert!(
            shown.contains("created ConfigMap"),
            "the rest is shown: {shown}"
        );
    }
    // A sentence about it is none.
    let about = "values such as ENC[AES256_GCM,data:...,iv:...,tag:...,type:str] are decrypted";
    rig.scene
        .push("web/object.yaml", &map("db", &format!("\"{about}\"")))
        .unwrap();
    rig.scene.sync(&[]).unwrap().code(0).unwrap();
}

#[test]
fn half_plain_lines_and_files_of_two_minds_are_refused() {
    let mut rig = Rig::new("half");
    let env = rig.encrypt("made/a.env", format!("A={MARKER}\nB=2\n"), &[]);
    let made = "//- made/kustomization.yaml\nsecretGenerator:\n";
    let lines = format!("{made}- {{ name: lines, envs: [a.env], literals: [\"C=plain\"] }}\n");
    rig.scene.repo.write_text(&lines).unwrap();
    rig.commit();
    let refused = |rig: &Rig, expected: &str| {
        let ran = rig.sync(&rig.key).code(1).unwrap();
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
        assert!(!ran.stderr.contains(MARKER), "{}", ran.stderr);
    };
    refused(&rig, "partly encrypted: `data.C` is plain");
    // A line that went, and one that changed its name: only the source shows it.
    rig.scene
        .repo
        .write_text(&format!("{made}- {{ name: lines, envs: [a.env] }}\n"))
        .unwrap();
    let first = env.lines().next().unwrap();
    rig.scene
        .push("made/a.env", &env.replacen(&format!("{first}\n"), "", 1))
        .unwrap();
    refused(
        &rig,
        "source file made/a.env: its MAC does not match: it is of other values",
    );
    rig.scene
        .push("made/a.env", &env.replacen("A=", "D=", 1))
        .unwrap();
    refused(
        &rig,
        "the value of `data.D` was changed after it was encrypted",
    );
    // JSON by its name, and what sops makes of a binary file by its form.
    rig.scene
        .repo
        .write_text(&format!("{made}- {{ name: files, files: [a.json] }}\n"))
        .unwrap();
    rig.encrypt("made/a.json", format!(r#"{{"data": "{MARKER}"}}"#), &[]);
    rig.commit();
    refused(&rig, "the file made/a.json is JSON by its name");
    let ini = rig.encrypted("a.ini", format!("[a]\nb = {MARKER}\n"), &[]);
    rig.scene
        .push("made/a.json", &String::from_utf8(ini).unwrap())
        .unwrap();
    refused(&rig, "it is an INI file, which Weir does not decrypt");
    rig.encrypt(
        "made/a.json",
        format!(r#"{{"data": "{MARKER}", "more": 1}}"#),
        &[],
    );
    rig.commit();
    rig.synced();
}
