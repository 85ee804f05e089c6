//! The control plane of the rig: it is the real thing, it verifies who asks, it counts what was asked, and nothing of it is left behind.
//!
//! Its programs are those in `WEIR_CONTROL_PLANE`, or `target/control-plane`, where `cargo xtask control-plane` puts them.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use weir_tests::control_plane::background::{self, Up};
use weir_tests::control_plane::{AuditEntry, ControlPlane, With, is_running, wait};

const SOON: Duration = Duration::from_secs(60);

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'example.test/web:1'}]}
";
const JOB: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: once, image: 'example.test/once:1'}]
";

fn config_map(name: &str, namespace: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\ndata: {{a: b}}\n"
    )
}

/// Every process and the folder of a control plane are gone, soon.
fn assert_gone(folder: &Path, processes: &[u32]) {
    wait::until(SOON, "no process and no folder is left", || {
        for process in processes {
            if is_running(*process)? {
                return Ok(None);
            }
        }
        Ok((!folder.exists()).then_some(()))
    })
    .unwrap();
}

#[test]
fn the_api_server_is_kubernetes_1_37() {
    let plane = ControlPlane::shared().unwrap();
    let version = plane.admin().json(&["version"]).unwrap();
    for side in ["clientVersion", "serverVersion"] {
        let text = version[side]["gitVersion"].as_str().unwrap();
        assert!(text.starts_with("v1.37."), "{side} is {text}");
    }
}

#[test]
fn a_deployment_becomes_available_and_a_job_completes() {
    let plane = ControlPlane::shared().unwrap();
    let namespace = plane.namespace("rollouts").unwrap();
    let admin = plane.admin();
    let inside = [
        "apply",
        "--server-side",
        "--filename=-",
        "--namespace",
        &namespace,
    ];
    let answer = admin
        .run_with(&inside, &format!("{DEPLOYMENT}---{JOB}"))
        .unwrap();
    assert!(answer.ok, "{answer:?}");
    for (what, condition) in [("deploy/web", "Available"), ("job/once", "Complete")] {
        let answer = admin
            .run(&[
                "wait",
                what,
                &format!("--for=condition={condition}"),
                "--timeout=60s",
                "--namespace",
                &namespace,
            ])
            .unwrap();
        assert!(
            answer.ok,
            "{what} is not {condition}: {answer:?}\n{}",
            admin
                .text(&["get", "pod", "-o", "yaml", "--namespace", &namespace])
                .unwrap()
        );
    }
}

#[test]
fn a_deleted_namespace_goes_with_what_is_in_it() {
    let plane = ControlPlane::shared().unwrap();
    let namespace = plane.namespace("goes").unwrap();
    let admin = plane.admin();
    admin.apply(&config_map("one", &namespace)).unwrap();
    let answer = admin
        .run(&["delete", "namespace", &namespace, "--timeout=60s"])
        .unwrap();
    assert!(answer.ok, "{answer:?}");
    let answer = admin.run(&["get", "namespace", &namespace]).unwrap();
    assert!(answer.stderr.contains("NotFound"), "{answer:?}");
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let plane = ControlPlane::shared().unwrap();
    let impostor = plane
        .impostor("weir-rig-admin", Some("system:masters"))
        .unwrap();
    let answer = impostor.run(&["get", "namespaces"]).unwrap();
    assert!(!answer.ok, "{answer:?}");
    assert!(
        answer.stderr.contains("logged in") || answer.stderr.contains("Unauthorized"),
        "{answer:?}"
    );
}

#[test]
fn a_server_whose_authority_the_client_does_not_know_is_refused() {
    let plane = ControlPlane::shared().unwrap();
    let other = ControlPlane::start(With::ApiServer).unwrap();
    let answer = plane
        .admin()
        .run(&["get", "namespaces", "--server", &other.url()])
        .unwrap();
    assert!(
        !answer.ok && answer.stderr.contains("certificate"),
        "{answer:?}"
    );
}

#[test]
fn a_user_may_do_what_rbac_says_and_no_more() {
    let plane = ControlPlane::shared().unwrap();
    let namespace = plane.namespace("rbac").unwrap();
    let user = plane.user("carla", Some("readers")).unwrap();
    let get = ["get", "configmaps", "--namespace", namespace.as_str()];
    let mark = plane.audit().mark().unwrap();
    let answer = user.run(&get).unwrap();
    assert!(
        !answer.ok && answer.stderr.contains("carla") && answer.stderr.contains("Forbidden"),
        "{answer:?}"
    );
    let refused = plane.audit().since(mark).unwrap();
    assert!(
        refused
            .iter()
            .any(|e| e.user == "carla" && e.resource == "configmaps" && e.code == 403),
        "{refused:?}"
    );
    plane
        .admin()
        .text(&[
            "create",
            "rolebinding",
            "readers",
            "--clusterrole=view",
            "--group=readers",
            "--namespace",
            &namespace,
        ])
        .unwrap();
    wait::until(SOON, "the binding is seen", || {
        Ok(user.run(&get)?.ok.then_some(()))
    })
    .unwrap();
    let answer = user
        .run(&["create", "configmap", "mine", "--namespace", &namespace])
        .unwrap();
    assert!(!answer.ok, "{answer:?}");
}

#[test]
fn requests_are_counted_since_a_mark() {
    let plane = ControlPlane::shared().unwrap();
    let namespace = plane.namespace("audit").unwrap();
    let (admin, audit) = (plane.admin(), plane.audit());
    admin.apply(&config_map("before", &namespace)).unwrap();
    let mark = audit.mark().unwrap();
    admin.apply(&config_map("one", &namespace)).unwrap();
    admin.apply(&config_map("two", &namespace)).unwrap();
    admin
        .text(&["delete", "configmap", "one", "--namespace", &namespace])
        .unwrap();
    let entries = audit.since(mark).unwrap();
    let of = |verb: &str| -> Vec<&AuditEntry> {
        let mine = |e: &&AuditEntry| e.namespace == namespace && e.verb == verb;
        entries.iter().filter(mine).collect()
    };
    let patched: Vec<&str> = of("patch").iter().map(|e| e.name.as_str()).collect();
    assert_eq!(patched, ["one", "two"], "{entries:?}");
    assert_eq!(of("delete").len(), 1, "{entries:?}");
    let patch = of("patch")[0];
    assert_eq!(
        (patch.resource.as_str(), patch.user.as_str(), patch.code),
        ("configmaps", "weir-rig-admin", 201)
    );
    assert!(patch.user_agent.starts_with("kubectl/v1.37."), "{patch:?}");
    let now = audit.mark().unwrap();
    let later = audit.since(now).unwrap();
    assert!(later.iter().all(|e| e.namespace != namespace), "{later:?}");
}

#[test]
fn an_api_server_that_was_away_has_its_objects_again() {
    let plane = ControlPlane::start(With::ApiServer).unwrap();
    let admin = plane.admin();
    admin.apply(&config_map("kept", "default")).unwrap();
    plane.api_server_down().unwrap();
    let answer = admin.run(&["get", "configmap", "kept"]).unwrap();
    assert!(answer.stderr.contains("refused"), "{answer:?}");
    plane.api_server_up().unwrap();
    admin.text(&["get", "configmap", "kept"]).unwrap();
}

#[test]
fn nothing_is_left_when_a_control_plane_is_dropped() {
    let plane = ControlPlane::start(With::Rollouts).unwrap();
    let (folder, processes) = (plane.folder().to_path_buf(), plane.processes().unwrap());
    assert_eq!(processes.len(), 5);
    for process in &processes {
        assert!(is_running(*process).unwrap(), "{processes:?}");
    }
    drop(plane);
    assert!(!folder.exists());
    for process in &processes {
        assert!(!is_running(*process).unwrap(), "{process} of {processes:?}");
    }
}

#[test]
fn nothing_is_left_when_the_process_that_holds_one_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "the process to kill")]
    let mut holder = Command::new(env!("CARGO_BIN_EXE_controlplane"))
        .arg("hold")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let folder = PathBuf::from(lines.next().unwrap().unwrap());
    let processes: Vec<u32> = lines
        .next()
        .unwrap()
        .unwrap()
        .split(' ')
        .map(|id| id.parse().unwrap())
        .collect();
    assert_eq!(processes.len(), 2);
    assert!(folder.exists());
    for process in &processes {
        assert!(is_running(*process).unwrap(), "{processes:?}");
    }
    // SIGKILL: nothing of the holder's own code runs any more.
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_gone(&folder, &processes);
}

#[test]
fn one_in_the_background_is_started_once_and_leaves_nothing_when_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("cluster");
    let Up::Started(kubeconfig) = background::up(&folder).unwrap() else {
        unreachable!("nothing ran in a new folder")
    };
    assert!(kubeconfig.is_file(), "{}", kubeconfig.display());
    assert_eq!(background::up(&folder).unwrap(), Up::Running(kubeconfig));
    let ids = |name: &str| -> u32 {
        let text = std::fs::read_to_string(folder.join(format!("{name}.pid"))).unwrap();
        text.trim().parse().unwrap()
    };
    let processes = ["etcd", "kube-apiserver", "kwok"].map(ids);
    assert!(background::down(&folder).unwrap());
    assert_gone(&folder, &processes);
    assert!(!background::down(&folder).unwrap());
}

#[test]
fn a_folder_with_something_else_in_it_is_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "text").unwrap();
    let error = background::up(dir.path()).unwrap_err();
    assert!(format!("{error:#}").contains("something"), "{error:#}");
    background::down(dir.path()).unwrap_err();
    assert!(dir.path().join("mine").exists());
}
