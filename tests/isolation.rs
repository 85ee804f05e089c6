//! Where plugins run and repositories are fetched: in processes without rights under `weir serve`, what holds those, and how honest apps fare beside hostile ones.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use weir_tests::charts::{FileServer, archive};
use weir_tests::scene::map;
use weir_tests::server::Fault;
use weir_tests::told::{stop, wait_app};
use weir_tests::weir::{PATIENCE, text};
use weir_tests::{GitServer, Repo, Serving, Weir, places};

/// Hostile apps in one repository.
const HOSTILE: usize = 100;
/// Honest ones in another.
const HONEST: usize = 5;

/// A repository with one app, which the bundled plugin renders.
fn small() -> Repo {
    let mut repo = Repo::empty().unwrap();
    repo.write("weir.yaml", "version: 1\napps:\n- { name: web, path: a }\n")
        .unwrap();
    repo.write("a/map.yaml", map("map", "one")).unwrap();
    repo.commit("first").unwrap();
    repo
}

/// A host of one repository, and what it is told besides.
fn serve(weir: &Weir, repo: &Repo, more: &[&str]) -> Serving {
    serve_url(weir, text(&repo.path()).unwrap(), more)
}

/// The same, wherever it is.
fn serve_url(weir: &Weir, url: &str, more: &[&str]) -> Serving {
    let target = format!("dir:{}", weir.path("live").display());
    let words = [
        "serve",
        "--repo",
        url,
        "--target",
        &target,
        "--listen",
        "127.0.0.1:0",
    ];
    let rarely: &[&str] = match more.contains(&"--interval") {
        true => &[],
        false => &["--interval", "1h"],
    };
    let words = words.iter().chain(rarely).chain(more);
    weir.start(words.copied()).unwrap()
}

/// The workers of a host: its children that were started to run plugins, by what the kernel says of each.
fn workers(host: &Serving) -> Vec<BTreeMap<String, String>> {
    children(host, "render-worker")
}

/// Its children that were started with this word.
fn children(host: &Serving, started: &str) -> Vec<BTreeMap<String, String>> {
    let mut all = Vec::new();
    let tasks = format!("/proc/{}/task", host.pid().unwrap().as_raw_nonzero());
    for task in fs::read_dir(tasks).unwrap().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            if !line
                .split(|b| *b == 0)
                .any(|word| word == started.as_bytes())
            {
                continue;
            }
            let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
            let fields = status.lines().filter_map(|l| l.split_once(':'));
            all.push(
                fields
                    .map(|(k, v)| (k.to_owned(), v.trim().to_owned()))
                    .collect(),
            );
        }
    }
    all
}

#[test]
fn a_service_runs_plugins_in_processes_that_the_kernel_holds() {
    let (weir, repo) = (Weir::new().unwrap(), small());
    let mut host = serve(&weir, &repo, &[]);
    wait_app(&mut host, "web", "synced to", PATIENCE).unwrap();
    let workers = workers(&host);
    assert!(!workers.is_empty(), "{}", host.stderr());
    workers.iter().for_each(is_held);
    stop(host, PATIENCE).unwrap();
}

/// What the kernel takes from a process.
fn is_held(process: &BTreeMap<String, String>) {
    assert_eq!(process["NoNewPrivs"], "1", "{process:?}");
    assert_eq!(process["Seccomp"], "2", "{process:?}");
    for set in ["CapEff", "CapPrm", "CapInh"] {
        assert_eq!(process[set].trim_matches('0'), "", "{set}: {process:?}");
    }
}

#[test]
fn a_service_fetches_in_a_process_that_the_kernel_holds_and_follows_what_it_brings() {
    let mut repo = small();
    let server = GitServer::of(&repo).unwrap();
    let (url, word) = (server.url("work"), "fetch-worker");
    for (more, apart) in [
        (&[][..], true),
        (&["--isolation", "processes"], true),
        (&["--isolation", "confined"], true),
        (&["--isolation", "in-process"], false),
    ] {
        let weir = Weir::new().unwrap();
        server.fault(Fault::Stall);
        let before = server.requests().len();
        let mut host = serve_url(&weir, &url, more);
        server.wait_for_requests(before + 1, PATIENCE).unwrap();
        let fetching = children(&host, word);
        assert_eq!(fetching.len(), usize::from(apart), "{more:?}");
        fetching.iter().for_each(is_held);
        server.fault(Fault::None);
        wait_app(&mut host, "web", "synced to", PATIENCE).unwrap();
        // What goes wrong is told as ever, and the next commit is followed.
        server.fault(Fault::Status(404));
        let said = weir.run(["refresh"]).unwrap().code(1).unwrap().stderr;
        assert!(said.contains("does not exist"), "{more:?}: {said}");
        server.fault(Fault::None);
        let value = format!("{more:?}").replace('"', "");
        repo.write("a/map.yaml", map("map", &value)).unwrap();
        let commit = repo.commit(&value).unwrap();
        let found = weir.run(["refresh"]).unwrap().success().unwrap();
        assert!(found.contains(&commit[..7]), "{more:?}: {found}");
        wait_app(&mut host, "web", "synced to", PATIENCE).unwrap();
        assert!(children(&host, word).is_empty(), "{more:?}");
        stop(host, PATIENCE).unwrap();
    }
}

#[test]
fn a_lock_and_a_service_get_charts_in_a_process_that_the_kernel_holds() {
    let server = FileServer::start().unwrap();
    let chart = archive("chart", "1.0.0", &[]).unwrap();
    server.charts(&[("chart", "1.0.0", &chart)]);
    let (ask, asked) = mpsc::channel();
    let (answer, answered) = mpsc::channel::<()>();
    let answered = Mutex::new(answered);
    server.before("/stable/index.yaml", move || {
        // A test that failed has nothing to say any more.
        let _ = ask.send(());
        let _ = answered.lock().unwrap().recv_timeout(PATIENCE);
    });
    let mut repo = small();
    let reference = server.reference("chart", "");
    let declares =
        format!("version: 1\nexternals: ['{reference}']\napps: [{{ name: web, path: a }}]\n");
    repo.write("weir.yaml", declares).unwrap();
    let path = repo.path();
    for (way, apart) in [("confined", true), ("in-process", false)] {
        let look = |host: &Serving| {
            asked.recv_timeout(PATIENCE).unwrap();
            let fetching = children(host, "fetch-worker");
            assert_eq!(fetching.len(), usize::from(apart), "{way}");
            fetching.iter().for_each(is_held);
            answer.send(()).unwrap();
        };
        let weir = Weir::new().unwrap();
        let words = ["lock", "--update", "--isolation", way, "--repo"];
        let words = words.iter().copied().chain([text(&path).unwrap()]);
        let mut lock = weir.start(words).unwrap();
        look(&lock);
        assert_eq!(lock.wait(PATIENCE).unwrap(), Some(0), "{}", lock.stderr());
        repo.write("a/map.yaml", map("map", way)).unwrap();
        repo.commit(way).unwrap();
        let hosts = weir.path("hosts.yaml");
        fs::write(
            &hosts,
            format!("version: 1\nhosts: ['{}']\n", server.host()),
        )
        .unwrap();
        fs::remove_dir_all(weir.cache_dir().join("externals")).unwrap();
        let more = ["--isolation", way, "--externals", text(&hosts).unwrap()];
        let mut host = serve(&weir, &repo, &more);
        look(&host);
        wait_app(&mut host, "web", "synced to", PATIENCE).unwrap();
        assert!(children(&host, "fetch-worker").is_empty(), "{way}");
        stop(host, PATIENCE).unwrap();
    }
}

#[test]
fn a_service_whose_fetching_process_is_killed_keeps_what_is_live_and_fetches_again() {
    let mut repo = small();
    let server = GitServer::of(&repo).unwrap();
    let weir = Weir::new().unwrap();
    let mut host = serve_url(&weir, &server.url("work"), &["--interval", "200ms"]);
    wait_app(&mut host, "web", "synced to", PATIENCE).unwrap();
    repo.write("a/map.yaml", map("map", "two")).unwrap();
    server.fault(Fault::Hold(40));
    repo.commit("two").unwrap();
    for held in [1, 2] {
        server.wait_for_held(held, PATIENCE).unwrap();
        let fetching = children(&host, "fetch-worker");
        let pid = fetching[0]["Pid"].parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    let said = host.wait_for_text("SIGKILL, which none", PATIENCE).unwrap();
    assert!(said.contains(&server.url("work")), "{said}");
    let live = weir.path("live/default/configmap/map.yaml");
    assert!(fs::read_to_string(&live).unwrap().contains("value: one"));
    server.fault(Fault::None);
    wait_app(&mut host, "web", "synced to", PATIENCE).unwrap();
    assert!(fs::read_to_string(&live).unwrap().contains("value: two"));
    stop(host, PATIENCE).unwrap();
}

#[test]
fn in_process_means_that_there_is_no_such_process_and_the_file_may_say_so() {
    let (weir, repo) = (Weir::new().unwrap(), small());
    let mut host = serve(&weir, &repo, &["--isolation", "in-process"]);
    wait_app(&mut host, "web", "synced to", PATIENCE).unwrap();
    assert_eq!(workers(&host).len(), 0);
    stop(host, PATIENCE).unwrap();
    fs::remove_dir_all(weir.cache_dir().join("renders")).unwrap();
    let file = weir.path("host.yaml");
    for (word, some) in [("in-process", false), ("confined", true)] {
        let of_file = format!(
            "version: 1\nlisten: 127.0.0.1:0\nisolation: {word}\nrepositories:\n- {{ name: {word}, url: {}, targets: {{ default: 'dir:./{word}' }} }}\n",
            repo.path().display()
        );
        fs::write(&file, of_file).unwrap();
        let mut host = weir
            .start(["serve", "--config", text(&file).unwrap()])
            .unwrap();
        wait_app(&mut host, "web", "synced to", PATIENCE).unwrap();
        assert_eq!(!workers(&host).is_empty(), some, "{word}");
        stop(host, PATIENCE).unwrap();
    }
}

#[test]
fn what_apps_come_to_is_the_same_in_each_way() {
    let (weir, repo) = (Weir::new().unwrap(), small());
    let path = repo.path();
    let mut all = Vec::new();
    for way in ["in-process", "processes", "confined"] {
        let words = ["render", "--repo", text(&path).unwrap(), "--isolation", way];
        all.push(weir.run(words).unwrap().success().unwrap());
        fs::remove_dir_all(weir.cache_dir().join("renders")).unwrap();
    }
    assert!(all[0].contains("kind: ConfigMap"), "{}", all[0]);
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
    // The second run of a canary is in a process of its own, too.
    let canary = ["--canary", "100", "--isolation", "processes"];
    let words = ["render", "--repo", text(&path).unwrap()];
    let ran = weir.run(words.iter().chain(&canary)).unwrap();
    assert_eq!(ran.success().unwrap(), all[0]);
}

#[test]
fn a_word_that_is_no_way_is_refused_with_those_that_are() {
    let weir = Weir::new().unwrap();
    let said = weir
        .run(["render", "--isolation", "somehow"])
        .unwrap()
        .code(2)
        .unwrap()
        .stderr;
    assert!(
        said.contains("in-process") && said.contains("processes") && said.contains("confined"),
        "{said}"
    );
    let file = weir.path("host.yaml");
    let of_file = "version: 1\nisolation: somehow\nrepositories:\n- { url: ., targets: { default: 'dir:./x' } }\n";
    fs::write(&file, of_file).unwrap();
    let said = weir
        .run(["serve", "--config", text(&file).unwrap()])
        .unwrap()
        .code(2)
        .unwrap()
        .stderr;
    assert!(
        said.contains(":2:12") && said.contains("in-process"),
        "{said}"
    );
}

#[test]
fn doctor_says_what_confines_and_has_tried_it() {
    let weir = Weir::new().unwrap();
    let said = weir.run(["doctor"]).unwrap().success().unwrap();
    for words in [
        "plugins run processes under `weir serve`, in-process under other commands; remote repositories, charts and plugins of registries are fetched likewise",
        "confinement of fetching",
        "making a file beside its clone, opening a socket of this machine",
        "confinement of fetching externals",
        "making a file beside its file, opening a socket of this machine",
        "3072 MiB of memory",
        "confinement of compiling",
        "confinement of rendering",
        "Landlock ABI",
        "seccomp",
        "no capabilities",
        "1536 MiB of memory",
        "600 s of processor time",
        "tried and refused: reading a file, making a file, opening a connection, starting a program, reading the host's memory, signalling the host",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("NOT refused"), "{said}");
    let kubeconfig = weir.path("kubeconfig");
    fs::write(&kubeconfig, "apiVersion: v1\nkind: Config\n").unwrap();
    let words = ["doctor", "--kubeconfig", text(&kubeconfig).unwrap()];
    let said = weir.run(words).unwrap().success().unwrap();
    let read = format!("reading {}", kubeconfig.display());
    assert!(said.contains(&read), "{said}");
    assert!(!said.contains("NOT refused"), "{said}");
    let words = ["doctor", "--isolation", "in-process"];
    let said = weir.run(words).unwrap().success().unwrap();
    assert!(said.contains("plugins run in-process under"), "{said}");
    assert!(said.contains("with Wasmtime between them"), "{said}");
    for fetched in ["repositories", "charts and plugins of registries"] {
        let none = format!("none: {fetched} are fetched in the host's own process");
        assert!(said.contains(&none), "{said}");
    }
}

/// An app whose plugin never ends, takes all memory, recurses, traps or returns too much, by turns.
fn hostile(weir: &Weir) -> Repo {
    let kinds = [
        "endless-loop",
        "memory-bomb",
        "deep-recursion",
        "huge-output",
        "reads-forever",
    ];
    let mut repo = Repo::empty().unwrap();
    let mut manifest = String::from("version: 1\nplugins:\n");
    for kind in kinds {
        let limits = "fuel: 3G, memory: 128Mi, hostCalls: 20000";
        writeln!(
            manifest,
            "  {kind}: {{ source: 'file:guests/{kind}.wasm', limits: {{ {limits} }} }}"
        )
        .unwrap();
        let guest = places::guest_dir().unwrap().join(format!("{kind}.wasm"));
        repo.write(&format!("guests/{kind}.wasm"), fs::read(guest).unwrap())
            .unwrap();
    }
    manifest.push_str("apps:\n");
    for n in 0..HOSTILE {
        let kind = kinds[n % kinds.len()];
        writeln!(
            manifest,
            "- {{ name: bad-{n:03}, path: apps/{n}, render: {{ plugin: {kind} }} }}"
        )
        .unwrap();
        repo.write(&format!("apps/{n}/a.yaml"), map("a", "b"))
            .unwrap();
        if n + 1 == kinds.len() {
            // One of each kind: that pins and compiles all plugins.
            repo.write("weir.yaml", &manifest).unwrap();
            repo.commit("one of each").unwrap();
            let path = repo.path();
            let words = ["lock", "--repo", text(&path).unwrap()];
            weir.run(words).unwrap().success().unwrap();
        }
    }
    repo.write("weir.yaml", manifest).unwrap();
    repo.commit("all at once").unwrap();
    repo
}

fn honest() -> Repo {
    let mut repo = Repo::empty().unwrap();
    let mut manifest = String::from("version: 1\napps:\n");
    for n in 0..HONEST {
        writeln!(manifest, "- {{ name: good-{n}, path: apps/{n} }}").unwrap();
        repo.write(
            &format!("apps/{n}/a.yaml"),
            map(&format!("good-{n}"), "one"),
        )
        .unwrap();
    }
    repo.write("weir.yaml", manifest).unwrap();
    repo.commit("honest work").unwrap();
    repo
}

/// The most memory that a process ever had, in KiB.
fn peak(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_hundred_hostile_renders_leave_honest_apps_on_time_and_the_hosts_memory_flat() {
    let weir = Weir::new().unwrap();
    let (bad, mut good) = (hostile(&weir), honest());
    let path = bad.path();
    let file = weir.path("host.yaml");
    let of_file = format!(
        "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n\
         - {{ name: bad, url: {}, interval: 1h, targets: {{ default: 'dir:./bad' }} }}\n\
         - {{ name: good, url: {}, interval: 1h, targets: {{ default: 'dir:./good' }} }}\n",
        path.display(),
        good.path().display(),
    );
    fs::write(&file, of_file).unwrap();
    let mut host = weir
        .start(["serve", "--config", text(&file).unwrap()])
        .unwrap();
    let last = format!("good-{}", HONEST - 1);
    let is_synced =
        |line: &str| line.contains("\"repository\":\"good\"") && line.contains("synced to");
    for n in 0..HONEST {
        host.wait_for(&format!("the honest app {n}"), PATIENCE, is_synced)
            .unwrap();
    }
    // Whoever was first: no honest app waited for the end of the hostile repository.
    let log = host.stderr();
    let ended = log.lines().filter(|l| l.contains("\"app\":\"bad-"));
    assert!(
        ended.count() < HOSTILE,
        "hostile apps were waited for: {log}"
    );
    // And the next commit is live, too.
    good.write(&format!("apps/{}/a.yaml", HONEST - 1), map(&last, "two"))
        .unwrap();
    good.commit("more honest work").unwrap();
    weir.run(["refresh", "good"]).unwrap().success().unwrap();
    host.wait_for("the next honest commit", PATIENCE, is_synced)
        .unwrap();
    // In the end each of them is named, with its plugin and its limit.
    let named = |line: &str| line.contains("\"app\":\"bad-") && line.contains("plugin `");
    let before = host.stderr().lines().filter(|line| named(line)).count();
    for n in before..HOSTILE {
        let what = format!("hostile app {n} is named");
        let line = host.wait_for(&what, 3 * PATIENCE, named).unwrap();
        let limits = ["fuel", "memory", "output", "stack", "hostCalls"];
        assert!(limits.iter().any(|limit| line.contains(limit)), "{line}");
    }
    let peak = peak(host.pid().unwrap().as_raw_nonzero().get()) >> 10;
    assert!(
        peak < 400,
        "{HOSTILE} hostile renders took the host to {peak} MiB"
    );
    let live = fs::read_to_string(weir.path(&format!("good/default/configmap/{last}.yaml")));
    assert!(live.unwrap().contains("value: two"));
    stop(host, Duration::from_secs(60)).unwrap();
}
