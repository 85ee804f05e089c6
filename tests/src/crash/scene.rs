//! A repository whose commits create, change, move and delete objects in a cluster and in a directory, and hands that edit them there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::files::Files;
use super::objects::{self, POOL};
use super::random::Random;
use crate::control_plane::{Connection, ControlPlane, With};
use crate::invariants::cluster::{Memory, Owner, Picture, Place, Rule, Violation};
use crate::weir::text;
use crate::{Repo, Serving, Weir};

/// What Git wants in the cluster at any time, about.
const OBJECTS: usize = 84;
/// What one app may lose between two whole runs.
const DROPS: usize = 8;
/// What one commit moves to another app at most.
const MOVES: usize = 4;
/// How often one object is edited by hand: Weir does not race whoever changes one field more than five times.
const EDITS: usize = 4;
/// Two apps that stay, and one that leaves and comes back.
const APPS: [&str; 3] = ["one", "two", "three"];
/// The one that comes and goes, and how many objects it has at most.
const GUEST: (usize, usize) = (2, 8);
/// What the host calls the repository.
const REPOSITORY: &str = "shop";

/// What Git says of one object.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    app: usize,
    value: u64,
}

/// The cluster, the repository and the machine.
pub(super) struct Scene {
    namespaces: [String; 2],
    repo: Repo,
    cluster: Connection,
    kinds: Vec<ApiResource>,
    wanted: BTreeMap<usize, Wanted>,
    files: Files,
    memory: Memory,
    /// What commits did to objects since the last whole run.
    fresh: BTreeSet<usize>,
    /// What was edited by hand since the last whole run.
    edited: BTreeSet<usize>,
    /// How often each object was edited by hand at all.
    edits: BTreeMap<usize, usize>,
    dropped: [usize; APPS.len()],
    /// The app whose file is no YAML now.
    broken: Option<usize>,
    /// The guest is not in the manifest now.
    away: bool,
    strangers: Vec<Value>,
    commits: u64,
    /// The machine.
    pub(super) weir: Weir,
    /// Last, so that it goes last.
    plane: ControlPlane,
}

impl Scene {
    /// The first commit, not synced yet.
    pub(super) fn new(random: &mut Random) -> Result<Scene> {
        let plane = ControlPlane::start(With::ApiServer)?;
        let admin = plane.admin();
        let mut weir = Weir::new()?;
        weir.variable("KUBECONFIG", admin.kubeconfig());
        let mut scene = Scene {
            namespaces: [plane.namespace("a")?, plane.namespace("b")?],
            repo: Repo::empty()?,
            cluster: Connection::open(admin.kubeconfig())?,
            kinds: objects::kinds(),
            wanted: BTreeMap::new(),
            files: Files::default(),
            memory: Memory::default(),
            fresh: BTreeSet::new(),
            edited: BTreeSet::new(),
            edits: BTreeMap::new(),
            dropped: [0; APPS.len()],
            broken: None,
            away: false,
            strangers: Vec::new(),
            commits: 0,
            weir,
            plane,
        };
        scene.commit(random)?;
        Ok(scene)
    }

    /// Starts `weir` with a command and further words.
    pub(super) fn start(&self, command: &str, more: &[&str]) -> Result<Serving> {
        let (repo, files) = (self.repo.path(), self.directory());
        let files = format!("files=dir:{}", text(&files)?);
        let words = [
            command,
            "--repo",
            text(&repo)?,
            "--name",
            REPOSITORY,
            "--target",
            "kube:",
            "--target",
            &files,
        ];
        self.weir.start(words.iter().chain(more))
    }

    fn directory(&self) -> PathBuf {
        self.weir.path("files")
    }

    /// The next commit: some objects go, some change, some move, others come. What was edited by hand is left to be
    /// put back first: a commit of the same field would be a conflict. Says what it is.
    pub(super) fn commit(&mut self, random: &mut Random) -> Result<String> {
        self.commits += 1;
        let came_back = self.away && random.percent(60);
        self.away &= !came_back;
        self.broken = None;
        let (gone, changed, moved) = (
            self.drop_some(random),
            self.change(random),
            self.moves(random),
        );
        let added = self.add(random, came_back);
        self.files.change(random);
        let more = if came_back { ", three is back" } else { "" };
        let what = format!("+{added} ~{changed} >{moved} -{gone}{more}");
        self.write()?;
        Ok(what)
    }

    /// A commit in which one app cannot be rendered, directly after a whole run: nothing of it may change.
    pub(super) fn break_app(&mut self, random: &mut Random) -> Result<String> {
        self.commits += 1;
        let app = usize::try_from(random.below(2))?;
        self.broken = Some(app);
        let changed = self.change(random);
        self.write()?;
        Ok(format!("~{changed}, {} cannot be rendered", APPS[app]))
    }

    /// A commit in which the guest leaves, directly after a whole run; half of what it had moves to another app.
    pub(super) fn leave(&mut self, random: &mut Random) -> Result<String> {
        self.commits += 1;
        let (guest, _) = GUEST;
        let (mut moved, mut gone) = (0, 0);
        for n in self.of_app(guest) {
            if random.percent(50) {
                moved += self.move_to(n, 0);
            } else {
                self.wanted.remove(&n);
                gone += 1;
            }
        }
        self.away = true;
        self.write()?;
        Ok(format!("three leaves: >{moved} -{gone}"))
    }

    /// Whether the guest is there to leave, and what it has can be seen to move: what moves to an app that cannot be
    /// rendered is dropped, as far as anybody can see.
    pub(super) fn can_leave(&self) -> bool {
        !self.away && self.broken.is_none()
    }

    /// Whether some app cannot be rendered now.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    fn of_app(&self, app: usize) -> Vec<usize> {
        let all = self.wanted.iter().filter(|(_, w)| w.app == app);
        all.map(|(n, _)| *n).collect()
    }

    /// What a commit may touch: of an app that can be rendered, not edited by hand.
    fn free(&self) -> Vec<usize> {
        let all = self.wanted.iter();
        let all = all.filter(|(n, w)| Some(w.app) != self.broken && !self.edited.contains(n));
        all.map(|(n, _)| *n).collect()
    }

    fn drop_some(&mut self, random: &mut Random) -> usize {
        let mut gone = 0;
        for _ in 0..2 + random.below(4) {
            let all: Vec<usize> = self.wanted.keys().copied().collect();
            let Some(n) = random.pick(&all) else { break };
            let Some(app) = self.wanted.get(&n).map(|w| w.app) else {
                break;
            };
            if self.dropped[app] < DROPS && self.of_app(app).len() > 2 {
                self.dropped[app] += 1;
                self.wanted.remove(&n);
                gone += 1;
            }
        }
        gone
    }

    fn change(&mut self, random: &mut Random) -> usize {
        let mut changed = 0;
        for n in self.free() {
            if random.percent(20) {
                let value = random.next();
                if let Some(wanted) = self.wanted.get_mut(&n) {
                    wanted.value = value;
                    self.fresh.insert(n);
                    changed += 1;
                }
            }
        }
        changed
    }

    fn moves(&mut self, random: &mut Random) -> usize {
        let mut moved = 0;
        for _ in 0..MOVES {
            let Some(n) = random.pick(&self.free()) else {
                break;
            };
            let Some(app) = self.wanted.get(&n).map(|w| w.app) else {
                break;
            };
            let to = if app == 0 { 1 } else { 0 };
            // The last ones stay: an app without objects is an error.
            if self.of_app(app).len() > 2 {
                moved += self.move_to(n, to);
            }
        }
        moved
    }

    fn move_to(&mut self, n: usize, app: usize) -> usize {
        let Some(wanted) = self.wanted.get_mut(&n) else {
            return 0;
        };
        wanted.app = app;
        self.fresh.insert(n);
        1
    }

    fn add(&mut self, random: &mut Random, came_back: bool) -> usize {
        let mut added = 0;
        let (guest, room) = GUEST;
        // A guest that comes back has objects: an app without any is an error.
        while self.wanted.len() < OBJECTS || (came_back && self.of_app(guest).len() < 3) {
            // What was edited by hand and then dropped comes back once that is settled.
            let free =
                (0..POOL).filter(|n| !self.wanted.contains_key(n) && !self.edited.contains(n));
            let Some(n) = random.pick(&free.collect::<Vec<_>>()) else {
                break;
            };
            let of_guest = self.of_app(guest).len();
            let is_first = (came_back || self.commits == 1) && of_guest < 3;
            let to_guest = !self.away && of_guest < room && random.percent(10);
            let app = if is_first || to_guest {
                guest
            } else {
                usize::from(random.percent(50))
            };
            let value = random.next();
            self.wanted.insert(n, Wanted { app, value });
            self.fresh.insert(n);
            added += 1;
        }
        added
    }

    fn write(&mut self) -> Result<()> {
        let mut manifest = String::from("version: 1\ntargets: { files: {} }\napps:\n");
        for (app, name) in APPS.iter().enumerate() {
            let file = format!("{name}.yaml");
            if app == GUEST.0 && self.away {
                if self.repo.path().join(&file).exists() {
                    self.repo.remove(&file)?;
                }
                continue;
            }
            let remove = if app == GUEST.0 {
                ", remove: prune"
            } else {
                ""
            };
            manifest.push_str(&format!("  - {{ name: {name}, path: {file}{remove} }}\n"));
            let of_app = self.wanted.iter().filter(|(_, w)| w.app == app);
            let mut text: String = of_app
                .map(|(n, w)| {
                    format!(
                        "---\n{}\n",
                        objects::object(*n, self.namespace(*n), w.value)
                    )
                })
                .collect();
            if self.broken == Some(app) {
                text.push_str("---\n[this is no object\n");
            }
            self.repo.write(&file, text)?;
        }
        manifest.push_str("  - { name: files, path: files.yaml, target: { name: files } }\n");
        let text = self.files.text(&self.namespaces);
        self.repo.write("files.yaml", text)?;
        self.repo.write("weir.yaml", manifest)?;
        self.repo.commit(&format!("Change {}", self.commits))?;
        let wanted = self.wanted();
        self.memory.commit(&wanted);
        Ok(())
    }

    fn namespace(&self, n: usize) -> &str {
        &self.namespaces[n % 2]
    }

    fn place(&self, n: usize) -> Place {
        objects::place(n, self.namespace(n))
    }

    /// Somebody edits an object by hand that was as Git wants it when the last whole run ended; says what was done.
    pub(super) fn edit(&mut self, random: &mut Random) -> Result<String> {
        let free = self.free().into_iter().filter(|n| !self.fresh.contains(n));
        let free: Vec<usize> = free.collect();
        let often = |n: &usize| self.edits.get(n).copied().unwrap_or_default();
        let least = free.iter().map(often).min().unwrap_or_default();
        let calm = free
            .iter()
            .copied()
            .filter(|n| often(n) == least && least < EDITS);
        let calm: Vec<usize> = calm.collect();
        let Some(n) = random.pick(&calm) else {
            return Ok("nothing to edit".to_owned());
        };
        *self.edits.entry(n).or_default() += 1;
        self.edited.insert(n);
        let (kind, namespace, name) = (
            objects::resource(n),
            self.namespace(n).to_owned(),
            objects::name(n),
        );
        let place = self.place(n);
        match random.below(10) {
            0..=5 => {
                let patch = objects::value_patch(n, "0");
                self.cluster.edit(&kind, &namespace, &name, &patch)?;
                Ok(format!("{place} was changed by hand"))
            }
            6..=7 => {
                let patch = json!({ "metadata": { "annotations": { "weir.dev/owner": null } } });
                self.cluster.edit(&kind, &namespace, &name, &patch)?;
                Ok(format!("{place} lost our name by hand"))
            }
            _ => {
                self.memory.deleted_by_hand(&place);
                self.cluster.delete(&kind, &namespace, &name)?;
                Ok(format!("{place} was deleted by hand"))
            }
        }
    }

    fn wanted(&self) -> BTreeMap<Place, Owner> {
        let all = self.wanted.iter();
        all.map(|(n, w)| (self.place(*n), format!("{REPOSITORY}/{}", APPS[w.app])))
            .collect()
    }

    fn picture(&self) -> Result<Picture> {
        let ledger = self.weir.state_dir().join("ledger");
        let mut picture = Picture::take(&ledger, &["default"], &self.cluster, &self.kinds)?;
        let here = |object: &Value| {
            let namespace = object["metadata"]["namespace"].as_str();
            self.namespaces
                .iter()
                .any(|n| Some(n.as_str()) == namespace)
        };
        picture.others.retain(here);
        Ok(picture)
    }

    /// What breaks a rule that holds at any time.
    pub(super) fn always(&mut self) -> Result<Vec<Violation>> {
        let picture = self.picture()?;
        let mut broken = picture.always();
        broken.extend(self.memory.look(&picture, &self.wanted()));
        let folder = self.directory();
        broken.extend(self.files.always(&folder, &self.namespaces));
        Ok(broken)
    }

    /// What is not as it must be after a whole run: the rules, and what Git says of each object to the last value.
    pub(super) fn settled(&mut self) -> Result<Vec<Violation>> {
        let (picture, wanted) = (self.picture()?, self.wanted());
        let unrendered = self.broken.iter();
        let unrendered = unrendered
            .map(|app| format!("{REPOSITORY}/{}", APPS[*app]))
            .collect();
        let mut broken = picture.settled(&wanted, &unrendered);
        broken.extend(self.memory.look(&picture, &wanted));
        let folder = self.directory();
        broken.extend(self.files.always(&folder, &self.namespaces));
        for (n, wanted) in &self.wanted {
            let place = self.place(*n);
            let found = picture.ours.get(&place);
            let value = found.and_then(|f| objects::value_of(&f.object));
            if value != Some(wanted.value) {
                let detail = format!("its value is {value:?}, Git says {}", wanted.value);
                broken.push(Violation {
                    rule: Rule::There,
                    place,
                    detail,
                });
            }
        }
        broken.extend(self.files.settled(&folder, &self.namespaces));
        self.edited.clear();
        self.fresh.clear();
        self.dropped = [0; APPS.len()];
        Ok(broken)
    }

    /// Objects of somebody else beside ours: one with our label, and one as a controller derives it from ours, with our
    /// annotation on it.
    pub(super) fn let_strangers_in(&mut self) -> Result<()> {
        let picture = self.picture()?;
        let ours = picture.ours.values().next().context("nothing is there")?;
        let annotation = &ours.object["metadata"]["annotations"]["weir.dev/owner"];
        for namespace in &self.namespaces {
            let labels = json!({ "weir.dev/app": APPS[0], "weir.dev/repository": REPOSITORY });
            for metadata in [
                json!({ "name": "theirs", "namespace": namespace, "labels": labels }),
                json!({ "name": "derived", "namespace": namespace, "labels": labels, "annotations": { "weir.dev/owner": annotation } }),
            ] {
                let object =
                    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
                self.plane.admin().apply(&object.to_string())?;
            }
        }
        self.strangers = self.picture()?.others;
        ensure!(self.strangers.len() >= 4, "{:?}", self.strangers);
        Ok(())
    }

    /// Whether what is somebody else's is as it was.
    pub(super) fn strangers_are_untouched(&self) -> Result<()> {
        let now = self.picture()?.others;
        ensure!(
            now == self.strangers,
            "what is somebody else's was {:?} and is {now:?}",
            self.strangers
        );
        Ok(())
    }
}
