//! The Git cache of the real binary over a hard life: killed a hundred times in the middle of fetches, and a disk that is full.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use weir_tests::server::Fault;
use weir_tests::weir::http_get;
use weir_tests::{GitServer, Repo, Serving, Weir};

/// Longer than any one step takes, on any machine.
const SOON: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;
/// In each round so many are killed while the answer is held at some byte, and so many at any moment.
const HELD: usize = 8;
const ANYTIME: usize = 2;
const ROUNDS: usize = 10;

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next()).unwrap() % bound
    }

    /// Bytes that no compression makes fewer.
    fn noise(&mut self, length: usize) -> Vec<u8> {
        (0..length)
            .map(|_| u8::try_from(self.next() & 0xff).unwrap())
            .collect()
    }
}

fn map(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: shop, namespace: a }}\ndata: {{ value: \"{value}\" }}\n"
    )
}

/// One more commit: a value, and noise beside it.
fn push(repo: &mut Repo, value: &str, noise: &[u8]) -> String {
    let manifest = "version: 1\napps: [{ name: shop, path: app }]\n";
    repo.write("weir.yaml", manifest).unwrap();
    repo.write("app/map.yaml", map(value)).unwrap();
    repo.write("noise", noise).unwrap();
    repo.commit(value).unwrap()
}

/// All files below a folder, with their sizes.
fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return all;
    };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => all.extend(files(&entry.path())),
            Ok(meta) => all.push((entry.path(), meta.len())),
            Err(_) => {}
        }
    }
    all
}

fn bytes(dir: &Path) -> u64 {
    files(dir).iter().map(|(_, bytes)| bytes).sum()
}

/// What a fetch makes on its way and takes away at its end.
fn leftovers(dir: &Path) -> Vec<PathBuf> {
    let is_left = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let half = name.ends_with(".pack") && !path.with_extension("idx").exists();
        let ending = [".lock", ".keep"].iter().any(|end| name.ends_with(end));
        let beginning = [".tmp", "tmp_"].iter().any(|start| name.starts_with(start));
        let new = path.components().any(|part| part.as_os_str() == "new");
        half || ending || beginning || new
    };
    let all = files(dir).into_iter().map(|(path, _)| path);
    all.filter(is_left).collect()
}

#[test]
fn killed_a_hundred_times_in_the_middle_of_a_fetch_the_next_one_succeeds_and_nothing_is_left() {
    let mut random = Random(0x5eed);
    let mut repo = Repo::empty().unwrap();
    let server = GitServer::of(&repo).unwrap();
    let weir = Weir::new().unwrap();
    let (live, cache) = (weir.path("live"), weir.cache_dir().join("git"));
    let target = format!("dir:{}", live.display());
    let url = server.url("work");
    let words = ["sync", "--repo", &url, "--target", &target];
    let (mut kills, mut in_the_middle, mut most, mut fetched) = (0, 0, 0, 0);
    for round in 0..ROUNDS {
        let length = 40_000 + random.below(160_000);
        let noise = random.noise(length);
        fetched += length as u64;
        push(&mut repo, &format!("no. {round}"), &noise);
        for n in 0..HELD + ANYTIME {
            let mut serving;
            if n < HELD {
                // Of what comes: from the first byte of the answer to its last one.
                let at = random.below(length);
                server.fault(Fault::Hold(at));
                let held = server.held();
                serving = weir.start(words).unwrap();
                server.wait_for_held(held + 1, SOON).unwrap();
                serving.kill().unwrap();
                in_the_middle += 1;
            } else {
                server.fault(Fault::None);
                serving = weir.start(words).unwrap();
                let all = server.requests().len();
                // It is somewhere between its first request and its end.
                server
                    .wait_for_requests(all + 1 + random.below(4), SOON)
                    .unwrap();
                serving.kill().unwrap();
            }
            let signal = serving.ended_by_signal().unwrap();
            kills += usize::from(signal == Some(SIGKILL));
            most = most.max(bytes(&cache));
            // What is there already, what came this time, and once more while it is being put in place.
            let bound = 3 * (fetched + (512 << 10));
            assert!(bytes(&cache) < bound, "{:?}", files(&cache));
        }
        server.fault(Fault::None);
        weir.run(words).unwrap().success().unwrap();
        let landed = fs::read_to_string(live.join("a/configmap/shop.yaml")).unwrap();
        assert!(landed.contains(&format!("no. {round}")), "{landed}");
        let left = leftovers(&cache);
        assert!(left.is_empty(), "{left:?}");
        assert!(
            bytes(&cache) < 2 * (fetched + (256 << 10)),
            "{} bytes for {fetched}: {:?}",
            bytes(&cache),
            files(&cache)
        );
    }
    assert!(in_the_middle >= 80 && kills >= 95, "{kills} kills");
    println!(
        "{kills} kills, {in_the_middle} of them in the middle of an answer; at most {most} bytes"
    );
}

/// `weir serve` whose cache is on a disk of its own.
struct Small {
    repo: Repo,
    server: GitServer,
    weir: Weir,
    serving: Serving,
    address: String,
}

impl Small {
    fn live(&self) -> String {
        let map = self.weir.path("live/a/configmap/shop.yaml");
        fs::read_to_string(map).unwrap_or_default()
    }

    fn taken(&self) -> PathBuf {
        let file = self.weir.path("disk").join("taken");
        self.serving.sees(&file).unwrap()
    }

    /// Waits until the API's word on the repository has this text, or until there is none.
    fn api_says(&mut self, said: Option<&str>) {
        let until = Instant::now() + SOON;
        loop {
            let (status, body) = http_get(&self.address, "/api/v1/apps").unwrap();
            assert_eq!(status, 200, "{body}");
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            let message = body["repositories"][0]["message"].as_str();
            if message.is_some_and(|m| said.is_some_and(|said| m.contains(said)))
                || message.is_none() && said.is_none()
            {
                return;
            }
            assert!(
                Instant::now() < until,
                "{said:?}: {body:#}\n{}",
                self.serving.transcript()
            );
            std::thread::yield_now();
        }
    }
}

const DISK_KIB: u64 = 64 << 10;

fn small() -> Small {
    let mut repo = Repo::empty().unwrap();
    let first = push(&mut repo, "one", b"little");
    let server = GitServer::of(&repo).unwrap();
    let mut weir = Weir::new().unwrap();
    let (disk, live) = (weir.path("disk"), weir.path("live"));
    weir.small_disk(&disk, DISK_KIB, 0).unwrap();
    let (url, target) = (server.url("work"), format!("dir:{}", live.display()));
    let cache = disk.to_str().unwrap();
    let mut words = vec![
        "serve", "--repo", &url, "--target", &target, "--cache", cache,
    ];
    words.extend(["--interval", "200ms", "--listen", "127.0.0.1:0"]);
    let mut serving = weir.start(words).unwrap();
    let line = serving.wait_for_text("/api/v1/apps", SOON).unwrap();
    let address = line.split("http://").nth(1).unwrap();
    let address = address.split('/').next().unwrap().to_owned();
    let synced = format!("synced to {}", &first[..10]);
    serving.wait_for_text(&synced, SOON).unwrap();
    Small {
        repo,
        server,
        weir,
        serving,
        address,
    }
}

/// Takes all room that a disk has.
fn fill(file: &Path) {
    let mut taken = fs::File::create(file).unwrap();
    let part = vec![0; 4096];
    loop {
        match std::io::Write::write(&mut taken, &part) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull => return,
            Err(e) => panic!("{}: {e}", file.display()),
        }
    }
}

#[test]
fn fault_18_a_full_disk_is_said_with_what_to_do_and_gone_on_from_when_there_is_room() {
    let mut it = small();
    let mut random = Random(18);
    for round in 0..2 {
        let before = it.live();
        fill(&it.taken());
        let value = format!("round {round}");
        let noise = random.noise(1 << 20);
        let commit = push(&mut it.repo, &value, &noise);
        it.serving.signal(Signal::HUP).unwrap();
        let line = it.serving.wait_for_text("the disk is full", SOON).unwrap();
        for said in [
            "--cache",
            "free space there",
            "the last good state stays",
            "ERROR",
        ] {
            assert!(line.contains(said), "{said}: {line}");
        }
        it.api_says(Some("the disk is full"));
        assert_eq!(it.live(), before, "what is there stays");
        assert_eq!(http_get(&it.address, "/readyz").unwrap().0, 200);
        // It is tried again and again, and nothing of that is left.
        let cache = it.serving.sees(&it.weir.path("disk").join("git")).unwrap();
        let left = leftovers(&cache);
        assert!(left.is_empty(), "{left:?}");
        fs::remove_file(it.taken()).unwrap();
        let synced = format!("synced to {}", &commit[..10]);
        it.serving.signal(Signal::HUP).unwrap();
        it.serving.wait_for_text(&synced, SOON).unwrap();
        assert!(it.live().contains(&value), "{}", it.live());
        it.api_says(None);
    }
    assert!(it.server.requests().len() > 4);
    let code = it.serving.terminate(SOON).unwrap();
    assert_eq!(code, Some(0), "{}", it.serving.transcript());
}

#[test]
fn a_full_cache_disk_fails_no_sync_that_could_be_done_without_it() {
    let mut repo = Repo::empty().unwrap();
    push(&mut repo, "one", b"little");
    let mut weir = Weir::new().unwrap();
    let (disk, live) = (weir.path("disk"), weir.path("live"));
    // Full from the start, and with room for some of what would be kept.
    for (n, taken) in [DISK_KIB - 4, DISK_KIB - 2048].into_iter().enumerate() {
        let value = format!("no. {n}");
        push(&mut repo, &value, b"little");
        weir.small_disk(&disk, DISK_KIB, taken).unwrap();
        let (path, target) = (repo.path(), format!("dir:{}", live.display()));
        let words = [
            "sync",
            "--repo",
            path.to_str().unwrap(),
            "--target",
            &target,
            "--cache",
            disk.to_str().unwrap(),
        ];
        let ran = weir.run(words).unwrap();
        let said = ran.stderr.clone();
        ran.success().unwrap();
        let landed = fs::read_to_string(live.join("a/configmap/shop.yaml")).unwrap();
        assert!(landed.contains(&value), "{landed}");
        // With a little room some of it is kept.
        let is_said = said.contains("kept") && said.contains("WARN");
        assert!(is_said || n > 0, "{said}");
    }
}
