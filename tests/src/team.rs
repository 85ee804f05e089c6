//! A team of a cluster in which Weir runs as a service: its namespace, account and repository, and the service with just
//! the rights that it says it needs.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::control_plane::{Answer, ControlPlane, Kubectl, With, wait};
use crate::scene::{SOON, map};
use crate::told;
use crate::{GitServer, Repo, Serving, Weir};

/// Who the service is.
const SERVICE: &str = "weir-of-the-cluster";

/// One team with its repository `shop` (app `web` with two maps), and a service that nobody else's resources reach: one
/// team at a time has the plane.
pub struct Team {
    /// The namespace.
    pub namespace: String,
    /// The repository.
    pub repo: Repo,
    /// Who serves it.
    pub server: GitServer,
    /// The machine that the service runs on.
    pub weir: Weir,
    /// The cluster's administrator.
    pub admin: Kubectl,
    _turn: MutexGuard<'static, ()>,
}

/// The plane of all teams, with the definitions and the service's rights.
///
/// # Errors
/// It does not start.
pub fn plane() -> Result<&'static ControlPlane> {
    static PLANE: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    let made = PLANE.get_or_init(|| begin().map_err(|e| format!("{e:#}")));
    made.as_ref().map_err(|e| anyhow::anyhow!("{e}"))
}

fn begin() -> Result<ControlPlane> {
    let plane = ControlPlane::start(With::ApiServer)?;
    let admin = plane.admin();
    admin.apply(&definitions()?)?;
    let rules = weir_cluster::service::cluster_rules();
    let role = |kind: &str, rules: &Value| json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": { "name": SERVICE }, "rules": rules });
    let tenant = weir_cluster::service::tenant_rules();
    let mut tenant = role("ClusterRole", &tenant);
    tenant["metadata"]["name"] = json!(format!("{SERVICE}-tenant"));
    let mut bound = role("ClusterRoleBinding", &Value::Null);
    bound["roleRef"] =
        json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": SERVICE });
    bound["subjects"] =
        json!([{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": SERVICE }]);
    bound.as_object_mut().context("a map")?.remove("rules");
    for object in [role("ClusterRole", &rules), tenant, bound] {
        admin.apply(&object.to_string())?;
    }
    for name in ["repositories.weir.dev", "apps.weir.dev"] {
        let crd = format!("crd/{name}");
        admin.text(&["wait", "--for=condition=Established", &crd, "--timeout=60s"])?;
    }
    Ok(plane)
}

/// What `weir crds` prints.
///
/// # Errors
/// It does not end well.
pub fn definitions() -> Result<String> {
    Ok(Weir::new()?.run(["crds"])?.code(0)?.stdout)
}

impl Team {
    /// A team, when all others before it are done.
    ///
    /// # Errors
    /// Something of it cannot be made.
    pub fn new(prefix: &str) -> Result<Team> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let plane = plane()?;
        let admin = plane.admin();
        let namespace = plane.namespace(prefix)?;
        let run = |arguments: &[&str]| admin.text(&[arguments, &["-n", &namespace]].concat());
        run(&["create", "serviceaccount", "deployer"])?;
        run(&[
            "create",
            "role",
            "deployer",
            "--verb=get,list,create,patch,delete",
            "--resource=configmaps",
        ])?;
        let whom = format!("--serviceaccount={namespace}:deployer");
        run(&[
            "create",
            "rolebinding",
            "deployer",
            "--role=deployer",
            &whom,
        ])?;
        let role = format!("--clusterrole={SERVICE}-tenant");
        run(&[
            "create",
            "rolebinding",
            "weir",
            &role,
            &format!("--user={SERVICE}"),
        ])?;
        let mut repo = Repo::empty()?;
        repo.write_text(&format!(
            "//- weir.yaml\nversion: 1\napps: [{{ name: web, path: web, target: {{ namespace: {namespace} }} }}]\n"
        ))?;
        for name in ["a", "b"] {
            repo.write(&format!("web/{name}.yaml"), map(name, "one"))?;
        }
        repo.commit("first")?;
        let server = GitServer::of(&repo)?;
        let mut weir = Weir::new()?;
        weir.variable("KUBECONFIG", plane.user(SERVICE, None)?.kubeconfig());
        Ok(Team {
            namespace,
            repo,
            server,
            weir,
            admin,
            _turn: turn,
        })
    }

    /// The service, which watches the cluster.
    ///
    /// # Errors
    /// It does not start.
    pub fn serve(&self) -> Result<Serving> {
        self.start(&["--cluster"])
    }

    /// The same, as a host's file says.
    ///
    /// # Errors
    /// It does not start.
    pub fn serve_as(&self, file: &str) -> Result<Serving> {
        let path = self.weir.path("host.yaml");
        std::fs::write(&path, file)?;
        self.start(&["--config", path.to_str().context("a path in UTF-8")?])
    }

    fn start(&self, how: &[&str]) -> Result<Serving> {
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        let mut serving = self.weir.start(serve.iter().chain(how))?;
        serving.wait_for_text("follows the Repositories of its cluster", SOON)?;
        Ok(serving)
    }

    /// A Repository of this team's server, with more in its spec.
    #[must_use]
    pub fn repository(&self, name: &str, more: &Value) -> Value {
        let mut spec = json!({ "url": self.server.url("work"), "interval": "1s", "serviceAccount": "deployer" });
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        json!({
            "apiVersion": "weir.dev/v1alpha1",
            "kind": "Repository",
            "metadata": { "name": name, "namespace": self.namespace },
            "spec": spec,
        })
    }

    /// Applies one, as the team does.
    ///
    /// # Errors
    /// The cluster refuses it.
    pub fn follow(&self, name: &str, more: &Value) -> Result<()> {
        self.admin.apply(&self.repository(name, more).to_string())?;
        Ok(())
    }

    /// Sends a resource as it is: what the API server says.
    ///
    /// # Errors
    /// `kubectl` cannot be run.
    pub fn try_apply(&self, object: &Value) -> Result<Answer> {
        let arguments = ["apply", "--server-side", "--validate=false", "-f", "-"];
        self.admin.run_with(&arguments, &object.to_string())
    }

    /// `kubectl` in the namespace.
    ///
    /// # Errors
    /// It refuses.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.admin
            .text(&[&["-n", &*self.namespace], arguments].concat())
    }

    /// A resource of the namespace, such as `app/web`; nothing where it is not there.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn get(&self, what: &str) -> Result<Option<Value>> {
        let text = self.kubectl(&["get", what, "--ignore-not-found", "-o", "json"])?;
        match text.trim().is_empty() {
            true => Ok(None),
            false => Ok(Some(serde_json::from_str(&text)?)),
        }
    }

    /// Waits until a resource is so.
    ///
    /// # Errors
    /// It is not in time: the text has how it is, and what the service says.
    pub fn wait(
        &self,
        host: &mut Serving,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = None;
        let found = wait::until(SOON, what, || {
            last = self.get(what)?;
            Ok(last.clone().filter(|it| is_so(it)))
        });
        match found {
            Ok(found) => Ok(found),
            Err(e) => {
                let _ = host.runs_for(Duration::from_millis(10));
                let last = last.unwrap_or_default();
                bail!("{e}: {what} is {last:#}\n{}", host.transcript())
            }
        }
    }

    /// Waits until nothing of this name is there.
    ///
    /// # Errors
    /// It is still there.
    pub fn wait_gone(&self, host: &mut Serving, what: &str, within: Duration) -> Result<()> {
        let gone = wait::until(within, &format!("{what} is gone"), || {
            Ok(self.get(what)?.is_none().then_some(()))
        });
        if let Err(e) = gone {
            let _ = host.runs_for(Duration::from_millis(10));
            bail!("{e}: {:?}\n{}", self.get(what)?, host.transcript());
        }
        Ok(())
    }

    /// Waits for an event with this reason about a resource, such as `Repository/shop`: its note.
    ///
    /// # Errors
    /// None comes.
    pub fn wait_event(&self, about: &str, reason: &str) -> Result<String> {
        let (kind, name) = about.split_once('/').context("KIND/NAME")?;
        let mut seen = Vec::new();
        let found = wait::until(SOON, &format!("an event {reason} of {about}"), || {
            let list: Value = serde_json::from_str(&self.kubectl(&[
                "get",
                "events.v1.events.k8s.io",
                "-o",
                "json",
            ])?)?;
            let all = list["items"].as_array().cloned().unwrap_or_default();
            let of = all
                .into_iter()
                .filter(|e| e["regarding"]["kind"] == kind && e["regarding"]["name"] == name);
            seen = of.collect();
            let found = seen.iter().find(|e| e["reason"] == reason);
            Ok(found.and_then(|e| e["note"].as_str()).map(str::to_owned))
        });
        found.with_context(|| format!("{seen:#?}"))
    }

    /// Writes an annotation.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn annotate(&self, what: &str, annotation: &str) -> Result<()> {
        self.kubectl(&["annotate", "--overwrite", what, annotation])
            .map(drop)
    }

    /// A value of a config map of the namespace; nothing where that is not there.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub fn map_value(&self, name: &str) -> Result<Option<String>> {
        let map = self.get(&format!("configmap/{name}"))?;
        Ok(map.and_then(|map| map["data"]["value"].as_str().map(str::to_owned)))
    }

    /// Takes all Repositories away and stops the service, which must end well.
    ///
    /// # Errors
    /// One stays, or the service does not end.
    pub fn end(self, mut host: Serving) -> Result<()> {
        self.kubectl(&["delete", "repositories", "--all", "--wait=false"])?;
        let left = wait::until(SOON, "all Repositories are let go of", || {
            let names = self.kubectl(&["get", "repositories", "-o", "name"])?;
            Ok(names.trim().is_empty().then_some(()))
        });
        if let Err(e) = left {
            let _ = host.runs_for(Duration::from_millis(10));
            bail!("{e}\n{}", host.transcript());
        }
        ensure!(
            host.runs_for(Duration::from_millis(1))?,
            "the service ended"
        );
        told::stop(host, SOON)
    }
}

/// A condition of a resource: its status, reason and message.
#[must_use]
pub fn condition<'v>(of: &'v Value, kind: &str) -> Option<[&'v str; 3]> {
    let all = of["status"]["conditions"].as_array()?;
    let found = all.iter().find(|c| c["type"] == kind)?;
    Some([
        found["status"].as_str()?,
        found["reason"].as_str()?,
        found["message"].as_str()?,
    ])
}

/// Whether a resource is ready, for this reason.
#[must_use]
pub fn is_ready(of: &Value, status: &str, reason: &str) -> bool {
    condition(of, "Ready").is_some_and(|[s, r, _]| s == status && r == reason)
}
