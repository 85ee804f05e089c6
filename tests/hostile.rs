//! Repositories and servers that mean harm, beside an honest one in one `weir serve`: each gets an error that names it, the host's memory stays below a bound that the system counts, and the honest one goes on.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says what is wrong by failing"
)]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use weir_tests::pack::{BLOB, Pack, band, impostor, line, sends};
use weir_tests::server::{Fault, Impostor};
use weir_tests::{GitServer, Repo, Serving, Weir};

#[path = "hostile/bombs.rs"]
mod bombs;

use bombs::Bomb;

/// Longer than any one step takes, on any machine.
const SOON: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;
/// What a host may have in use at once while it is sent a bomb as a pack: what it has without one, and room for the
/// packs' own tables.
const PACK_PEAK: u64 = 200 * MIB;
/// The same for files: what is read of one, and what is made of it.
const FILE_PEAK: u64 = 1200 * MIB;

fn map(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: map, namespace: a }}\ndata: {{ value: \"{value}\" }}\n"
    )
}

const MANIFEST: &str = "version: 1\napps: [{ name: shop, path: app }]\n";

/// An honest repository and another one, both followed by one host.
struct Scene {
    good: Repo,
    _good_server: GitServer,
    bad: Repo,
    bad_server: GitServer,
    weir: Weir,
    serving: Serving,
    pushes: usize,
}

fn scene() -> Scene {
    let made = || {
        let mut repo = Repo::empty().unwrap();
        repo.write("weir.yaml", MANIFEST).unwrap();
        repo.write("app/map.yaml", map("first")).unwrap();
        repo.commit("first").unwrap();
        let server = GitServer::of(&repo).unwrap();
        (repo, server)
    };
    let ((good, good_server), (bad, bad_server)) = (made(), made());
    let weir = Weir::new().unwrap();
    let mut file = "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n".to_owned();
    for (name, server) in [("good", &good_server), ("bad", &bad_server)] {
        let url = server.url("work");
        file.push_str(&format!(
            "- name: {name}\n  url: {url}\n  interval: 1h\n  targets: {{ default: \"dir:./{name}\" }}\n"
        ));
    }
    let config = weir.path("host.yaml");
    fs::write(&config, file).unwrap();
    let mut serving = weir
        .start(["serve", "--config", config.to_str().unwrap()])
        .unwrap();
    for _ in 0..2 {
        serving.wait_for_text("synced to", SOON).unwrap();
    }
    Scene {
        good,
        _good_server: good_server,
        bad,
        bad_server,
        weir,
        serving,
        pushes: 0,
    }
}

impl Scene {
    fn live(&self, name: &str) -> String {
        let file = self.weir.path(name).join("a/configmap/map.yaml");
        fs::read_to_string(file).unwrap()
    }

    /// The bad one is looked at: this is said of it, its target stays, no more memory is used than that, and the good
    /// one is synced.
    fn ends_with(&mut self, what: &str, said: &str, peak: u64) -> u64 {
        let before = self.live("bad");
        let begun = std::time::Instant::now();
        self.serving.forget_peak_memory().unwrap();
        self.serving.signal(Signal::HUP).unwrap();
        let line = self
            .serving
            .wait_for(what, SOON, |line| {
                let is_its_own = line.contains("\"repository\":\"bad\"");
                is_its_own && line.contains("ERROR") && line.contains(said)
            })
            .unwrap();
        assert!(line.len() < 10_000, "{what}: {} bytes are said", line.len());
        let used = self.serving.peak_memory().unwrap();
        assert!(
            used < peak,
            "{what}: {} MiB in use at once, {} are allowed",
            used / MIB,
            peak / MIB
        );
        assert_eq!(self.live("bad"), before, "{what}");
        self.pushes += 1;
        let value = format!("no. {}", self.pushes);
        self.good.write("app/map.yaml", map(&value)).unwrap();
        let commit = self.good.commit(&value).unwrap();
        let synced = format!("synced to {}", &commit[..10]);
        self.serving.signal(Signal::HUP).unwrap();
        self.serving.wait_for_text(&synced, SOON).unwrap();
        assert!(self.live("good").contains(&value), "{what}");
        println!(
            "{what}: at most {} MiB, {:.1?}",
            used / MIB,
            begun.elapsed()
        );
        used
    }

    fn stops(mut self) {
        let code = self.serving.terminate(SOON).unwrap();
        assert_eq!(code, Some(0), "{}", self.serving.transcript());
    }
}

/// What servers send, and the limit or the word that is in the error.
fn answers() -> Vec<(&'static str, Impostor, &'static str)> {
    let zeros = vec![0; 100 << 20];
    let large = zeros.len() as u64;
    let with_base = |make: &dyn Fn(&mut Pack, u64)| {
        let mut pack = Pack::default();
        let base = pack.object(BLOB, large, &zeros).unwrap();
        make(&mut pack, base);
        sends(&pack.done().unwrap())
    };
    let one = |size: u64, data: &[u8]| {
        let mut pack = Pack::default();
        pack.object(BLOB, size, data).unwrap();
        sends(&pack.done().unwrap())
    };
    let mut crowd = Pack::default();
    for _ in 0..200_000 {
        crowd.object(BLOB, 1, b"x").unwrap();
    }
    let endless_refs = Impostor {
        to: "command=ls-refs",
        body: Arc::default(),
        again: Arc::new(line(format!("{} refs/heads/x\n", "1".repeat(40)).as_bytes()).repeat(1000)),
    };
    let acks = Impostor {
        to: "command=fetch",
        body: Arc::new(line(b"acknowledgments\n")),
        again: Arc::new(line(format!("ACK {}\n", "1".repeat(40)).as_bytes()).repeat(1000)),
    };
    vec![
        (
            "an object of 2^40 bytes",
            one(1 << 40, &zeros),
            "object_bytes",
        ),
        (
            "an object that unpacks to more than it says",
            one(10, &zeros),
            "another size",
        ),
        (
            "four billion objects",
            sends(&Pack::default().counted(u32::MAX).unwrap()),
            "objects of",
        ),
        (
            "fewer objects than it says",
            sends(&crowd.counted(1_800_000).unwrap()),
            "malformed",
        ),
        (
            "a bush of deltas",
            with_base(&|pack, base| {
                let mut last = base;
                for _ in 0..8 {
                    pack.delta(last, large, 10).unwrap();
                    last = pack.delta(last, large, large).unwrap();
                }
            }),
            "delta_bytes",
        ),
        (
            "fourteen hundred large objects of one",
            with_base(&|pack, base| {
                for _ in 0..1400 {
                    pack.delta(base, large, large).unwrap();
                }
            }),
            "resolved_bytes",
        ),
        (
            "deltas five thousand deep",
            with_base(&|pack, _| {
                let mut last = pack.object(BLOB, 4, b"tiny").unwrap();
                for _ in 0..5000 {
                    last = pack.delta(last, 4, 4).unwrap();
                }
            }),
            "delta_depth",
        ),
        (
            "progress without end",
            impostor(&[], band(2, &[b'.'; 1000]).repeat(100)),
            "talk_bytes",
        ),
        (
            "empty sidebands without end",
            impostor(&[], band(1, b"").repeat(10_000)),
            "talk_bytes",
        ),
        ("acknowledgements without end", acks, "talk_bytes"),
        ("refs without end", endless_refs, "talk_bytes"),
        (
            "a sideband that is none",
            impostor(&[band(9, b"x")], Vec::new()),
            "sideband 9",
        ),
    ]
}

#[test]
fn a_server_that_sends_bombs_is_refused_in_bounded_memory_and_the_other_repository_goes_on() {
    let mut scene = scene();
    let mut most = 0;
    for (what, impostor, said) in answers() {
        scene.bad.write("app/map.yaml", map(what)).unwrap();
        scene.bad.commit(what).unwrap();
        scene.bad_server.fault(Fault::Instead(impostor));
        most = most.max(scene.ends_with(what, said, PACK_PEAK));
        // Honest again, it is followed again.
        scene.bad_server.fault(Fault::None);
        let commit = scene.bad.head().unwrap();
        scene.serving.signal(Signal::HUP).unwrap();
        let synced = format!("synced to {}", &commit[..10]);
        scene.serving.wait_for_text(&synced, SOON).unwrap();
    }
    println!("at most {} MiB", most / MIB);
    scene.stops();
}

#[test]
fn a_file_that_is_a_bomb_is_an_error_that_names_it_in_bounded_memory_and_the_other_repository_goes_on()
 {
    let mut scene = scene();
    let mut most = 0;
    for bomb in bombs::all() {
        let Bomb {
            what,
            path,
            content,
            said,
        } = bomb;
        scene.bad.write(path, content).unwrap();
        scene.bad.commit(what).unwrap();
        most = most.max(scene.ends_with(what, said, FILE_PEAK));
        // What was harmful is gone with the next commit.
        if path == "weir.yaml" {
            scene.bad.write(path, MANIFEST).unwrap();
        } else {
            scene.bad.remove(path).unwrap();
        }
    }
    scene.bad.write("app/map.yaml", map("honest")).unwrap();
    let commit = scene.bad.commit("honest").unwrap();
    scene.serving.signal(Signal::HUP).unwrap();
    let synced = format!("synced to {}", &commit[..10]);
    scene.serving.wait_for_text(&synced, SOON).unwrap();
    assert!(scene.live("bad").contains("honest"));
    println!("at most {} MiB", most / MIB);
    scene.stops();
}

/// A tree object of these lines, however malformed, and a commit of it on the branch.
fn commit_of(repo: &Repo, lines: &[(&str, &[u8])]) {
    let blob = repo.git(["hash-object", "-w", "app/map.yaml"]).unwrap();
    let empty = repo.git(["mktree", "--missing"]);
    let empty = empty.unwrap_or_else(|_| repo.git(["write-tree"]).unwrap());
    let mut bytes = Vec::new();
    for (mode, name) in lines {
        let id = if mode.ends_with("40000") {
            &empty
        } else {
            &blob
        };
        bytes.extend(mode.as_bytes());
        bytes.push(b' ');
        bytes.extend(*name);
        bytes.push(0);
        let pairs = id
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).unwrap());
        bytes.extend(pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()));
    }
    let file = repo.parent().join("tree");
    fs::write(&file, bytes).unwrap();
    let file = file.to_str().unwrap();
    let tree = repo
        .git(["hash-object", "-t", "tree", "-w", "--literally", file])
        .unwrap();
    let commit = repo.git(["commit-tree", "-m", "By hand", &tree]).unwrap();
    repo.git(["update-ref", "refs/heads/main", &commit])
        .unwrap();
}

#[test]
fn a_tree_that_no_git_writes_is_refused_by_its_path_and_nothing_of_it_is_on_the_disk() {
    let mut scene = scene();
    let plain = |name: &'static [u8]| vec![("100644", name)];
    let many: Vec<Vec<u8>> = (0..200_001)
        .map(|n| format!("f{n:06}").into_bytes())
        .collect();
    let many: Vec<(&str, &[u8])> = many
        .iter()
        .map(|name| ("100644", name.as_slice()))
        .collect();
    // What it is, the lines of the tree, and what is said.
    type Case<'a> = (&'a str, Vec<(&'a str, &'a [u8])>, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("a name that leads out", plain(b".."), ". or .."),
        ("a name with a slash", plain(b"a/../../b"), "a /"),
        (".git in capitals", plain(b".GIT"), "means .git"),
        (".git as NTFS has it", plain(b"git~1"), "means .git"),
        (
            ".git as HFS has it",
            plain(".g\u{200c}it".as_bytes()),
            "means .git",
        ),
        (
            ".git with its stream",
            plain(b".git::$INDEX_ALLOCATION"),
            "means .git",
        ),
        (
            "a name that is there twice",
            vec![("100644", b"a"), ("100644", b"a")],
            "twice",
        ),
        (
            "a link and a directory of one name",
            vec![("120000", b"b"), ("40000", b"b")],
            "twice",
        ),
        ("a mode that is none", vec![("100777", b"a")], "mode 100777"),
        ("a name that is not UTF-8", plain(b"\xff"), "not UTF-8"),
        ("200,001 files", many, "200000 files"),
    ];
    for (what, lines, said) in cases {
        commit_of(&scene.bad, &lines);
        scene.ends_with(what, said, PACK_PEAK);
    }
    let home = scene.weir.path("");
    let mut places = vec![home];
    while let Some(dir) = places.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().to_lowercase();
            assert!(
                !name.starts_with(".git") && name != "git~1" && !name.contains('\u{200c}'),
                "{}",
                entry.path().display()
            );
            if entry.file_type().unwrap().is_dir() {
                places.push(entry.path());
            }
        }
    }
    scene.stops();
}
