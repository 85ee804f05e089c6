//! What a process that gets an external is given: one file to fill, one host's credentials, the ports that the rules name.

use std::fs;
use std::sync::{Arc, Mutex};

use weir_core::external::Reference;
use weir_source::{Fetching, try_getting};
use weir_tests::Auth;
use weir_tests::charts::FileServer;

use crate::liars::{liar, meant, says};
use crate::rig::{Rig, chart, chart_of, got, watched};
use crate::scene::{children, nothing_was_possible, process};

#[test]
fn it_cannot_read_write_connect_start_or_look_elsewhere() {
    let rig = Rig::new();
    // What a host has of charts already, and besides.
    let reference = rig.has_chart();
    let externals = rig.externals(Fetching::Process(process()));
    let reference: Reference = reference.parse().unwrap();
    watched(|watch| externals.resolve(&reference, watch)).unwrap();
    let secret = rig.dir.path().join("kubeconfig");
    fs::write(&secret, "apiVersion: v1").unwrap();
    let charts = rig.cache().join("charts");
    let archive = fs::read_dir(&charts)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let files = vec![
        secret,
        archive,
        charts,
        rig.cache(),
        rig.cache().join("incoming"),
        "/etc/passwd".into(),
        "/proc/self/environ".into(),
        "/root".into(),
        "/tmp".into(),
        "/dev/null".into(),
    ];
    let tried = try_getting(&process(), &rig.cache(), &files).unwrap();
    nothing_was_possible(&tried, "making a file beside its file", &files);
}

#[test]
fn it_is_held_by_the_kernel_and_no_secret_is_in_its_arguments_or_environment() {
    let mut rig = Rig::new();
    let (reference, pin) = rig.has_plugin(&[1; 10]);
    rig.server.require(Auth::Basic {
        user: "ann".to_owned(),
        password: "hunter2".to_owned(),
    });
    rig.shows(&rig.server.host(), "ann", "hunter2");
    let externals = rig.externals(Fetching::Process(process()));
    let thread = rustix::thread::gettid().as_raw_nonzero().get();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = seen.clone();
    let blob = crate::rig::blob_at(&[1; 10]);
    rig.server.before(&blob, move || {
        for (pid, status) in children(thread) {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
            // Who may not look sees nothing either.
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            see.lock().unwrap().push((status, line, environment));
        }
    });
    let said = got(watched(|watch| externals.plugin(&reference, pin, watch)));
    assert!(said.starts_with("GotPlugin"), "{said}");
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty());
    for (status, line, environment) in seen.iter() {
        assert_eq!(status["NoNewPrivs"], "1", "{status:?}");
        assert_eq!(status["Seccomp"], "2", "{status:?}");
        for set in ["CapEff", "CapPrm", "CapInh"] {
            assert_eq!(status[set].trim_matches('0'), "", "{set}: {status:?}");
        }
        assert_eq!(line, b"weir\0fetch-worker\0");
        assert_eq!(environment, b"");
    }
}

/// What processes were told, one after the other: the first of them answers so, and the others have nothing to say.
fn told(rig: &Rig, reference: &str, first: &str) -> Vec<String> {
    let log = rig.dir.path().join("told");
    let script = format!(
        "test -e '{0}'; first=$?; printf '%s\\n' \"$line\" >> '{0}'; if [ $first = 1 ]; then {first}; fi",
        log.display()
    );
    chart_of(&rig.externals(liar(rig, &script)), reference);
    let told = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    told.lines().map(str::to_owned).collect()
}

#[test]
fn the_credentials_of_one_host_are_told_to_who_asks_that_host_and_to_nobody_else() {
    let other = FileServer::start().unwrap();
    let mut rig = Rig::new();
    let reference = rig.has_chart();
    for (host, password) in [
        (rig.server.host(), "hunter1"),
        (other.host(), "hunter2"),
        ("third.example".to_owned(), "hunter3"),
    ] {
        rig.shows(&host, "ann", password);
    }
    let has = |line: &str, expected: &str| {
        for password in ["hunter1", "hunter2", "hunter3"] {
            assert_eq!(
                line.contains(password),
                password == expected,
                "{password}: {line}"
            );
        }
    };
    // An archive that the index has at another host.
    let at = format!("{{\"Url\":\"http://{}/web.tgz\"}}", other.host());
    let all = told(&rig, &reference, &meant("1.0.0", &at));
    assert_eq!(all.len(), 2, "{all:?}");
    has(&all[0], "hunter1");
    has(&all[1], "hunter2");
    // A token server of a registry.
    let realm = format!(
        "{{\"url\":\"http://{}/token\",\"service\":null}}",
        other.host()
    );
    let registry = format!("oci://{}/web?version=1.0.0", rig.server.host());
    let lacks = says(&format!("{{\"Err\":{{\"Lack\":{{\"Token\":{realm}}}}}}}"));
    let all = told(&rig, &registry, &lacks);
    assert_eq!(all.len(), 2, "{all:?}");
    has(&all[0], "hunter1");
    has(&all[1], "hunter2");
    // What is not told is not shown: the archive is got with the other host's own.
    let archive = chart("good");
    other.file("/web.tgz", archive);
    let auth = |password: &str| Auth::Basic {
        user: "ann".to_owned(),
        password: password.to_owned(),
    };
    rig.server.require(auth("hunter1"));
    other.require(auth("hunter2"));
    let index = format!(
        "entries: {{ web: [{{ version: 1.0.0, urls: ['http://{}/web.tgz'] }}] }}",
        other.host()
    );
    rig.server.file("/stable/index.yaml", index);
    let said = rig.same("at another host", |e| chart_of(e, &reference));
    assert!(said.contains("good"), "{said}");
}

#[test]
fn a_process_is_told_the_ports_that_the_rules_name_and_its_own() {
    let mut rig = Rig::new();
    let reference = rig.has_chart();
    let port = rig.server.host().split(':').next_back().unwrap().to_owned();
    let ports = |rig: &Rig| {
        let line = told(rig, &reference, "exit 1").remove(0);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line["job"]["External"]["ports"].to_string()
    };
    let own: u16 = port.parse().unwrap();
    let sorted = |mut all: Vec<u16>| {
        all.sort_unstable();
        format!("{all:?}").replace(' ', "")
    };
    assert_eq!(ports(&rig), sorted(vec![443, own]));
    let hosts = [
        rig.server.host().as_str(),
        "a.example:7",
        "http://*.b.example",
    ]
    .map(str::to_owned);
    rig.policy.hosts = Some(hosts.iter().map(|h| h.parse().unwrap()).collect());
    assert_eq!(ports(&rig), sorted(vec![own, 7, 80]));
}
