//! The guest zoo in one repository: each guest is an app of its own, and a good app beside them goes on.
//!
//! Every guest of `guests/guests.txt` has a line in `zoo/table.rs`; a trial holds that.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use made::TEXTS;
use table::End::{Makes, Stops};
use table::{Guest, INSTANT, RAW, Raw, ZOO};
use weir_tests::{Ran, Repo, Weir, places};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The guests and what must come of each.
#[path = "zoo/table.rs"]
mod table;

/// Guests from text.
#[path = "zoo/made.rs"]
mod made;

fn main() -> ExitCode {
    let zoo = Arc::new(OnceLock::new());
    let mut trials = Vec::new();
    for guest in guests() {
        let zoo = Arc::clone(&zoo);
        let name = format!("{}_{}", guest.name.replace('-', "_"), guest.holds);
        trials.push(Trial::test(name, move || open(&zoo)?.ended(guest)));
    }
    for (name, run) in [
        (
            "the_good_app_goes_on_beside_every_bad_one",
            goes_on as fn(&Zoo) -> Result<(), Failed>,
        ),
        (
            "what_guests_see_is_the_same_elsewhere_and_at_another_time",
            same_elsewhere,
        ),
    ] {
        let zoo = Arc::clone(&zoo);
        trials.push(Trial::test(name, move || run(open(&zoo)?)));
    }
    trials.push(Trial::test("every_guest_has_a_trial", every_guest));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn guests() -> impl Iterator<Item = &'static Guest> {
    let raw = RAW.iter().map(|raw| &raw.guest);
    let texts = TEXTS.iter().map(|text| &text.guest);
    ZOO.iter().chain(raw).chain(texts)
}

/// One machine, one repository, a sync of all guests in each way in which plugins may run, and what came of it.
struct Zoo {
    weir: Weir,
    repo: Repo,
    digests: BTreeMap<String, String>,
    syncs: Vec<Synced>,
}

/// What came of a sync.
struct Synced {
    /// Where plugins ran.
    isolation: &'static str,
    live: PathBuf,
    errors: BTreeMap<String, String>,
}

/// The two ways in which plugins may run. What comes of a guest is the same in both.
const WAYS: [&str; 2] = ["in-process", "processes"];

/// Made by the first trial that needs it; the error of a zoo that cannot be made is each trial's.
fn open(zoo: &OnceLock<Result<Zoo, String>>) -> Result<&Zoo, Failed> {
    let made = zoo.get_or_init(|| Zoo::new().map_err(|e| format!("{e:#}")));
    made.as_ref().map_err(Failed::from)
}

impl Zoo {
    fn new() -> anyhow::Result<Zoo> {
        let mut repo = Repo::empty()?;
        let mut manifest = "version: 1\nplugins:\n".to_owned();
        for guest in guests() {
            let (name, limits) = (guest.name, guest.limits);
            writeln!(
                manifest,
                "  {name}: {{ source: \"file:guests/{name}.wasm\", limits: {{ {limits} }} }}"
            )?;
            repo.write(&format!("guests/{name}.wasm"), component(guest)?)?;
        }
        manifest
            .push_str("apps:\n  - { name: good, path: apps/good, target: { namespace: good } }\n");
        repo.write("apps/good/a.yaml", map("good", "first"))?;
        let roles = roles();
        for guest in guests() {
            let name = guest.name;
            let calls = match roles[name].as_str() {
                "renderer" if name == "reads-outside" => "roots: [apps/reads-outside], render: { plugin: reads-outside, config: { paths: [/etc/passwd, ../work/weir.yaml, weir.yaml, apps/trap/a.yaml, apps/reads-outside/a.yaml] } }".to_owned(),
                "renderer" if name == "all-roles" => "render: { plugin: all-roles, config: { file: apps/all-roles/a.yaml } }".to_owned(),
                "renderer" => format!("render: {{ plugin: {name} }}"),
                "transformer" if name == "adds-team" => {
                    "transform: [{ plugin: adds-team, config: { team: red } }]".to_owned()
                }
                "transformer" => format!("transform: [{{ plugin: {name} }}]"),
                _ => format!("validate: [{{ plugin: {name} }}]"),
            };
            writeln!(
                manifest,
                "  - {{ name: {name}, path: apps/{name}, {calls}, target: {{ namespace: {name} }} }}"
            )?;
            repo.write(&format!("apps/{name}/a.yaml"), map(name, "first"))?;
        }
        repo.write("weir.yaml", manifest)?;
        repo.commit("All guests")?;
        let weir = Weir::new()?;
        weir.run(["lock", "--repo", text(&repo.path())])?
            .success()?;
        let lock = std::fs::read_to_string(repo.path().join("weir.lock"))?;
        repo.write("weir.lock", at_instant(&lock))?;
        repo.commit("Lock")?;
        let mut syncs = Vec::new();
        for isolation in WAYS {
            let live = weir.path(&format!("live-{isolation}"));
            let ran = sync(&weir, &repo, &live, isolation)?;
            anyhow::ensure!(
                ran.code == Some(1),
                "a sync with bad apps ends with 1: {ran:?}"
            );
            syncs.push(Synced {
                isolation,
                live,
                errors: errors(&ran.stderr),
            });
            // The next one makes all of it anew.
            std::fs::remove_dir_all(weir.cache_dir().join("renders"))?;
        }
        Ok(Zoo {
            digests: digests(&lock),
            weir,
            repo,
            syncs,
        })
    }

    /// What came of one guest's app, in each way.
    fn ended(&self, guest: &Guest) -> Result<(), Failed> {
        for synced in &self.syncs {
            let ended = self.ended_in(synced, guest);
            ended.map_err(|e| format!("{}: {}", synced.isolation, e.message().unwrap_or("")))?;
        }
        Ok(())
    }

    fn ended_in(&self, synced: &Synced, guest: &Guest) -> Result<(), Failed> {
        let name = guest.name;
        let error = synced.errors.get(name);
        let files = files(&synced.live.join(name));
        match &guest.end {
            Stops(words) => {
                let error = error.ok_or_else(|| format!("{name}: no error; files: {files:?}"))?;
                let digest = &self.digests[name]["sha256:".len()..][..12];
                let always = [
                    format!("app `{name}`"),
                    format!("plugin `{name}`"),
                    digest.to_owned(),
                ];
                for word in always
                    .iter()
                    .map(String::as_str)
                    .chain(words.iter().copied())
                {
                    check(error.contains(word), format!("{word:?} is not in: {error}"))?;
                }
                check(
                    files.is_empty(),
                    format!("{name}: something was applied: {files:?}"),
                )
            }
            Makes(words) => {
                check(error.is_none(), format!("{name}: {error:?}"))?;
                check(files.len() == 1, format!("{name}: {files:?}"))?;
                let file = std::fs::read_to_string(&files[0])?;
                for word in *words {
                    check(file.contains(word), format!("{word:?} is not in: {file}"))?;
                }
                Ok(())
            }
        }
    }
}

fn goes_on(zoo: &Zoo) -> Result<(), Failed> {
    for synced in &zoo.syncs {
        let good = synced.live.join("good/configmap/good.yaml");
        let file = std::fs::read_to_string(&good)?;
        check(file.contains("value: first"), file)?;
    }
    let path = zoo.repo.path();
    let alone = zoo
        .weir
        .run(["render", "good", "--repo", text(&path)])?
        .success()?;
    check(alone.contains("value: first"), alone)?;
    // In a copy of the repository, since other trials read the first one at the same time.
    let mut other = Repo::from_dir(&path, &[".git"])?;
    other.write("apps/good/a.yaml", map("good", "second"))?;
    other.commit("A change beside the bad apps")?;
    let live = zoo.weir.path("other");
    let ran = sync(&zoo.weir, &other, &live, "processes")?.code(1)?;
    let file = std::fs::read_to_string(live.join("good/configmap/good.yaml"))?;
    check(file.contains("value: second"), file)?;
    let (bad, known) = (errors(&ran.stderr), &zoo.syncs[0].errors);
    check(
        bad.keys().eq(known.keys()),
        format!("{:?} and {:?}", bad.keys(), known.keys()),
    )
}

fn same_elsewhere(zoo: &Zoo) -> Result<(), Failed> {
    let mut weir = Weir::new()?;
    weir.timezone("Asia/Kathmandu")
        .locale("tr_TR.UTF-8")
        .umask(0o077);
    weir.variable("SECRET", "seen")
        .variable("XDG_CACHE_HOME", zoo.weir.path("cache"));
    let path = zoo.repo.path();
    for app in ["wants-clock", "wants-seed", "reads-environment"] {
        let rendered = weir
            .run(["render", app, "--repo", text(&path)])?
            .success()?;
        let saw = zoo.syncs[0].live.join(app).join("configmap/saw.yaml");
        let file = std::fs::read_to_string(saw)?;
        check(
            rendered == format!("---\n{file}"),
            format!("{rendered}\nis not\n{file}"),
        )?;
    }
    Ok(())
}

fn every_guest() -> Result<(), Failed> {
    let tested: BTreeSet<String> = ZOO.iter().map(|guest| guest.name.to_owned()).collect();
    let listed: BTreeSet<String> = listed().into_keys().collect();
    check(
        tested == listed,
        format!("tested {tested:?}\nin guests.txt {listed:?}"),
    )?;
    let mut written = BTreeSet::new();
    for entry in std::fs::read_dir(places::root().join("tests/guests/examples"))? {
        let path = entry?.path();
        written.extend(
            path.file_stem()
                .map(|name| name.to_string_lossy().replace('_', "-")),
        );
    }
    check(
        tested == written,
        format!("tested {tested:?}\nin examples {written:?}"),
    )
}

fn check(holds: bool, otherwise: String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn map(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ value: {value} }}\n"
    )
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn sync(weir: &Weir, repo: &Repo, live: &Path, isolation: &str) -> anyhow::Result<Ran> {
    let target = format!("default=dir:{}", live.display());
    let state = live.with_extension("state");
    weir.run([
        "sync",
        "--repo",
        text(&repo.path()),
        "--state",
        text(&state),
        "--target",
        &target,
        "--isolation",
        isolation,
    ])
}

/// The last error of each app, from the log as JSON lines.
fn errors(log: &str) -> BTreeMap<String, String> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let errors = lines.filter(|line| line["level"] == "ERROR");
    let of = |line: &serde_json::Value, field: &str| line[field].as_str().map(str::to_owned);
    errors
        .filter_map(|line| Some((of(&line, "app")?, of(&line, "message")?)))
        .collect()
}

/// The lock with another instant.
fn at_instant(lock: &str) -> String {
    let line = |line: &str| match line.split_once("instant: ") {
        Some((before, _)) => format!("{before}instant: \"{INSTANT}\"\n"),
        None => format!("{line}\n"),
    };
    lock.lines().map(line).collect()
}

/// The digest that the lock has for each plugin.
fn digests(lock: &str) -> BTreeMap<String, String> {
    let mut name = "";
    let mut digests = BTreeMap::new();
    for line in lock.lines() {
        match line.trim().split_once(':') {
            Some((key, "")) => name = key,
            Some(("digest", digest)) => {
                digests.insert(name.to_owned(), digest.trim().to_owned());
            }
            _ => {}
        }
    }
    digests
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Names and roles in `guests.txt`.
fn listed() -> BTreeMap<String, String> {
    let list = std::fs::read_to_string(places::root().join("tests/guests/guests.txt")).unwrap();
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let word = |line: &str, n| line.split_whitespace().nth(n).unwrap().to_owned();
    lines.map(|line| (word(line, 0), word(line, 1))).collect()
}

fn roles() -> BTreeMap<String, String> {
    let mut roles = listed();
    roles.extend(
        RAW.iter()
            .map(|raw| (raw.guest.name.to_owned(), raw.role.to_owned())),
    );
    roles.extend(
        TEXTS
            .iter()
            .map(|text| (text.guest.name.to_owned(), text.role.to_owned())),
    );
    roles
}

/// A guest's component: as it was built, or made here from text.
fn component(guest: &Guest) -> anyhow::Result<Vec<u8>> {
    if let Some(text) = TEXTS.iter().find(|text| text.guest.name == guest.name) {
        return made::component(text);
    }
    match RAW.iter().find(|raw| raw.guest.name == guest.name) {
        Some(raw) => assemble(raw),
        None => Ok(std::fs::read(
            places::guest_dir()?.join(format!("{}.wasm", guest.name)),
        )?),
    }
}

fn assemble(raw: &Raw) -> anyhow::Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(places::root().join("wit"))?;
    let world = resolve.select_world(&[package], Some(raw.role))?;
    let ([tag, at, len], [item, size], bytes) = (raw.answer, raw.item, raw.bytes);
    let function = if raw.role == "transformer" {
        "transform"
    } else {
        "validate"
    };
    let mut module = wat::parse_str(format!(
        r#"(module (memory (export "memory") 1)
        (global $top (mut i32) (i32.const 4096))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
          (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
          (global.get $top)
          (global.set $top (i32.add (global.get $top) (local.get 3))))
        (func (export "{function}") (param i32) (result i32)
          (i32.store (i32.const 1024) (i32.const {tag}))
          (i32.store (i32.const 1028) (i32.const {at}))
          (i32.store (i32.const 1032) (i32.const {len}))
          (i32.store (i32.const 2000) (i32.const {item}))
          (i32.store (i32.const 2004) (i32.const {size}))
          (i32.const 1024))
        (data (i32.const 3000) "{bytes}"))"#
    ))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default()
        .module(&module)?
        .validate(true)
        .encode()
}
