//! The command line of each part of the control plane. All of them run in its folder and listen on loopback only.

/// The program, and its name in the supervisor's folder.
pub(super) const ETCD: &str = "etcd";
/// The API server.
pub(super) const API_SERVER: &str = "kube-apiserver";
/// Deployments, Jobs, namespaces, garbage.
pub(super) const CONTROLLERS: &str = "kube-controller-manager";
/// Gives pods a node.
pub(super) const SCHEDULER: &str = "kube-scheduler";
/// Plays the node and its pods.
pub(super) const KWOK: &str = "kwok";
/// The client.
pub(super) const KUBECTL: &str = "kubectl";

/// etcd listens on sockets in the folder: nobody else can reach it, and no port can collide.
pub(super) fn etcd() -> Vec<String> {
    words(&[
        "--data-dir=data",
        // A crash of the machine may lose it: it goes with the test anyway.
        "--unsafe-no-fsync",
        "--listen-client-urls=unix://etcd.sock",
        "--advertise-client-urls=unix://etcd.sock",
        "--listen-peer-urls=unix://peer.sock",
        "--initial-advertise-peer-urls=unix://peer.sock",
        "--initial-cluster=default=unix://peer.sock",
    ])
}

pub(super) fn api_server(port: u16, service_accounts: bool) -> Vec<String> {
    let mut arguments = words(&[
        "--etcd-servers=unix://etcd.sock",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        "--client-ca-file=ca.pem",
        "--tls-cert-file=server.pem",
        "--tls-private-key-file=server.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=sa.pub",
        "--service-account-signing-key-file=sa.key",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--allow-privileged=true",
        "--audit-policy-file=audit-policy.yaml",
        "--audit-log-path=audit.log",
        "--audit-log-maxsize=0",
        "--audit-log-mode=blocking",
    ]);
    arguments.push(format!("--secure-port={port}"));
    if !service_accounts {
        // Nobody makes a namespace's default service account without the controllers.
        arguments.push("--disable-admission-plugins=ServiceAccount".to_owned());
    }
    arguments
}

pub(super) fn controllers() -> Vec<String> {
    words(&[
        "--kubeconfig=controllers.kubeconfig",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
        "--service-account-private-key-file=sa.key",
        "--root-ca-file=ca.pem",
        // Each controller is a service account with just its own rights, as on a real cluster.
        "--use-service-account-credentials=true",
        "--controllers=*,-node-ipam-controller",
    ])
}

pub(super) fn scheduler() -> Vec<String> {
    words(&[
        "--kubeconfig=scheduler.kubeconfig",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
    ])
}

pub(super) fn kwok() -> Vec<String> {
    words(&[
        "--kubeconfig=kwok.kubeconfig",
        "--manage-all-nodes=true",
        "--config=stages.yaml",
    ])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
