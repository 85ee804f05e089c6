//! What a repository cannot have this host ask by naming it as an external: its own machine, its cloud, its cluster.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::time::Duration;

use weir_tests::charts::FileServer;
use weir_tests::deaf::Deaf;
use weir_tests::weir::text;

/// A repository and a machine.
#[path = "externals/scene.rs"]
#[expect(dead_code, reason = "shared with the suites that need more of it")]
mod scene;

use scene::{Scene, says, web};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn no_way_to_write_an_address_leads_to_this_machine_its_cloud_or_its_cluster() {
    let listener = Deaf::new().unwrap();
    let port = listener.address().port();
    let scene = Scene::new(&[]);
    for host in [
        // This machine, otherwise than by its own names.
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        // A cloud's secrets, the link, a cluster's services, private networks.
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "100.100.100.200",
        "10.96.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "[fd00::1]",
    ] {
        for reference in [
            format!("git+https://{host}:{port}/x?ref=main"),
            format!("oci://{host}:{port}/x?version=1.0.0"),
            format!("helm+https://{host}:{port}/x?chart=web"),
        ] {
            scene.manifest(&[], &format!("externals: ['{reference}']\n"));
            let ran = scene.run("lock", &[]);
            assert!(
                matches!(ran.code, Some(1 | 2)),
                "{reference}: {}",
                ran.stderr
            );
            let refused = [
                "it leads to",
                "may not reach",
                "expected",
                "does not resolve",
            ];
            assert!(
                refused.iter().any(|words| ran.stderr.contains(words)),
                "{reference}: {}",
                ran.stderr
            );
        }
    }
    assert!(
        listener.wait_for(1, Duration::ZERO).is_err(),
        "this machine was asked"
    );
}

#[test]
fn a_name_that_leads_to_a_private_network_is_said_with_the_way_out() {
    let scene = Scene::new(&[]);
    scene.manifest(&[], "externals: ['git+https://10.96.0.1:1/x?ref=main']\n");
    let said = scene.fails("lock", &[], 1);
    says(&said, &["it leads to 10.96.0.1", "`hosts`"]);
}

#[test]
fn a_host_that_runs_does_not_ask_its_own_machine_for_a_repository() {
    let server = FileServer::start().unwrap();
    server.charts(&[("web", "1.0.0", &web("1.0.0", "good"))]);
    let reference = server.reference("web", "");
    let mut scene = Scene::new(&[&reference]);
    scene.lock();
    scene.repo.commit("All").unwrap();
    fs::remove_dir_all(scene.archives()).unwrap();
    let asked = server.requests().len();
    let path = scene.repo.path();
    let target = format!("dir:{}", scene.weir.path("live").display());
    let start = [
        "serve",
        "--repo",
        text(&path).unwrap(),
        "--target",
        &target,
        "--listen",
        "127.0.0.1:0",
    ];
    let mut serving = scene.weir.start(start).unwrap();
    let said = serving.wait_for_text("may not reach", SOON).unwrap();
    says(&said, &[&server.host(), "only where `hosts` names it"]);
    serving.terminate(SOON).unwrap();
    assert_eq!(server.requests().len(), asked);
}
