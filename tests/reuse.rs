//! Renders that were made before are used again just where they would come out the same.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::path::PathBuf;

use weir_tests::scene::map;
use weir_tests::{Ran, Repo, Weir, places};

/// Three apps, each with a directory of its own and a label from a transformer.
const MANIFEST: &str = "version: 1\n\
    plugins: { metadata: { source: 'bundled:metadata' } }\n\
    defaults: { transform: [{ plugin: metadata, config: { labels: { team: shop } } }] }\n\
    apps:\n- { name: a, path: a }\n- { name: b, path: b }\n- { name: c, path: c }\n";

struct Scene {
    repo: Repo,
    weir: Weir,
}

impl Scene {
    fn new() -> Scene {
        let mut repo = Repo::empty().unwrap();
        repo.write("weir.yaml", MANIFEST).unwrap();
        for app in ["a", "b", "c"] {
            let file = format!("{app}/map.yaml");
            repo.write(&file, map(app, "one")).unwrap();
        }
        repo.commit("first").unwrap();
        let weir = Weir::new().unwrap();
        Scene { repo, weir }
    }

    fn render(&self, more: &[&str]) -> Ran {
        let repo = self.repo.path();
        let words = ["--log", "weir=debug", "render", "--repo"];
        let words = words.into_iter().chain([repo.to_str().unwrap()]);
        self.weir.run(words.chain(more.iter().copied())).unwrap()
    }

    /// What a render that does well prints, and how many of its apps were rendered before.
    fn rendered(&self, more: &[&str]) -> (String, usize) {
        let ran = self.render(more).code(0).unwrap();
        let mut lines = ran.stderr.lines();
        let of = lines.find_map(|line| {
            let (before, _) = line.split_once(" apps were rendered before")?;
            before.rsplit(' ').nth(2)?.rsplit('"').next()?.parse().ok()
        });
        let stderr = &ran.stderr;
        assert!(of.is_some(), "{stderr}");
        (ran.stdout, of.unwrap())
    }

    /// The files of kept renders.
    fn kept(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.weir.cache_dir().join("renders")).unwrap();
        let files = files.map(|file| file.unwrap().path());
        files
            .filter(|path| path.extension().is_some_and(|end| end == "render"))
            .collect()
    }

    fn forget(&self) {
        for file in self.kept() {
            fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn only_apps_that_read_what_changed_are_rendered_again() {
    let mut scene = Scene::new();
    let (first, before) = scene.rendered(&[]);
    assert_eq!(before, 0);
    let (again, before) = scene.rendered(&[]);
    assert_eq!((again, before), (first, 3));
    let file = |path: &'static str, text: String| (path, text);
    for (what, (path, text), reused) in [
        (
            "a file that nobody reads",
            file("README.md", "hello".to_owned()),
            3,
        ),
        ("a file of one app", file("a/map.yaml", map("a", "two")), 2),
        (
            "a file that was not there",
            file("b/more.yaml", map("more", "one")),
            2,
        ),
        (
            "the config of all",
            file("weir.yaml", MANIFEST.replace("shop", "till")),
            0,
        ),
        (
            "what is done with an app later",
            file(
                "weir.yaml",
                MANIFEST
                    .replace("shop", "till")
                    .replace("path: c }", "path: c, after: [a] }"),
            ),
            3,
        ),
        (
            "the namespace of one app",
            file(
                "weir.yaml",
                MANIFEST
                    .replace("shop", "till")
                    .replace("path: b }", "path: b, target: { namespace: shop } }"),
            ),
            2,
        ),
    ] {
        scene.repo.write(path, text).unwrap();
        scene.repo.commit(what).unwrap();
        let (with, before) = scene.rendered(&[]);
        assert_eq!(before, reused, "{what}");
        scene.forget();
        let (without, before) = scene.rendered(&[]);
        assert_eq!((with, before), (without, 0), "{what}");
    }
}

#[test]
fn a_file_that_only_a_transformer_or_a_validator_reads_is_an_input_like_any_other() {
    let mut scene = Scene::new();
    let guest = fs::read(places::guest_dir().unwrap().join("all-roles.wasm")).unwrap();
    scene.repo.write("roles.wasm", guest).unwrap();
    let step = |file: &str| format!("[{{ plugin: roles, config: {{ file: {file} }} }}]");
    let manifest = format!(
        "version: 1\nplugins: {{ roles: {{ source: 'file:roles.wasm' }} }}\napps:\n\
         - {{ name: a, path: a, roots: [a, words], transform: {}, validate: {} }}\n\
         - {{ name: b, path: b }}\n",
        step("words/one"),
        step("words/two"),
    );
    scene.repo.write("weir.yaml", manifest).unwrap();
    for word in ["one", "two"] {
        let file = format!("words/{word}");
        scene.repo.write(&file, "first").unwrap();
    }
    scene.repo.commit("words").unwrap();
    let repo = scene.repo.path();
    let lock = ["lock", "--repo", repo.to_str().unwrap()];
    scene.weir.run(lock).unwrap().code(0).unwrap();
    scene.repo.commit("lock").unwrap();
    let (first, _) = scene.rendered(&[]);
    assert!(first.contains("said: first"), "{first}");
    assert_eq!(scene.rendered(&[]), (first, 2));
    scene.repo.write("words/one", "second").unwrap();
    scene.repo.commit("what the transformer reads").unwrap();
    let (second, before) = scene.rendered(&[]);
    assert!(second.contains("said: second"), "{second}");
    assert_eq!(before, 1);
    scene.repo.write("words/two", "bad words").unwrap();
    scene.repo.commit("what the validator reads").unwrap();
    let said = scene.render(&["a"]).code(1).unwrap().stderr;
    assert!(said.contains("bad words"), "{said}");
    // What lies outside of the app's roots is not there.
    let manifest = fs::read_to_string(scene.repo.path().join("weir.yaml")).unwrap();
    let narrow = manifest.replace("roots: [a, words]", "roots: [a]");
    scene.repo.write("weir.yaml", narrow).unwrap();
    scene.repo.commit("narrow roots").unwrap();
    let said = scene.render(&["a"]).code(1).unwrap().stderr;
    assert!(said.contains("words/one"), "{said}");
}

#[test]
fn what_several_revisions_rendered_is_kept_for_each() {
    let mut scene = Scene::new();
    let first = scene.repo.head().unwrap();
    scene.repo.write("a/map.yaml", map("a", "two")).unwrap();
    let second = scene.repo.commit("second").unwrap();
    let one = scene.rendered(&["--rev", &first]).0;
    let (two, before) = scene.rendered(&["--rev", &second]);
    assert_eq!(before, 2);
    for (revision, text) in [(&first, &one), (&second, &two), (&first, &one)] {
        let (now, before) = scene.rendered(&["--rev", revision]);
        assert_eq!((&now, before), (text, 3));
    }
}

#[test]
fn a_kept_render_that_was_damaged_or_brought_from_elsewhere_is_made_again() {
    let scene = Scene::new();
    let (right, _) = scene.rendered(&[]);
    for damage in [
        |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1,
        |bytes: &mut Vec<u8>| bytes.truncate(40),
        Vec::clear,
    ] {
        for file in scene.kept() {
            let mut bytes = fs::read(&file).unwrap();
            damage(&mut bytes);
            fs::write(&file, bytes).unwrap();
        }
        let ran = scene.render(&[]).code(0).unwrap();
        assert_eq!(ran.stdout, right);
        assert!(
            ran.stderr.contains("a kept render is not used"),
            "{}",
            ran.stderr
        );
        assert_eq!(scene.rendered(&[]), (right.clone(), 3));
    }
    // Under the key of another installation nothing is true.
    fs::remove_file(scene.weir.cache_dir().join("renders/key")).unwrap();
    assert_eq!(scene.rendered(&[]), (right, 0));
}

#[test]
fn a_plugin_in_the_tree_that_is_not_the_pinned_one_is_refused_all_the_same() {
    let mut scene = Scene::new();
    let plugin = places::bundled("metadata").unwrap();
    let manifest = MANIFEST.replace("bundled:metadata", "file:policy/metadata.wasm");
    scene.repo.write("weir.yaml", manifest).unwrap();
    scene.repo.write("policy/metadata.wasm", &plugin).unwrap();
    scene.repo.commit("a plugin of its own").unwrap();
    let repo = scene.repo.path();
    let lock = ["lock", "--repo", repo.to_str().unwrap()];
    scene.weir.run(lock).unwrap().code(0).unwrap();
    scene.repo.commit("lock").unwrap();
    scene.rendered(&[]);
    assert_eq!(scene.rendered(&[]).1, 3);
    scene
        .repo
        .write("policy/metadata.wasm", [&plugin[..], &[0]].concat())
        .unwrap();
    scene
        .repo
        .commit("another plugin, and the same lock")
        .unwrap();
    let said = scene.render(&[]).code(1).unwrap().stderr;
    assert!(said.contains("but weir.lock pins"), "{said}");
}

#[test]
fn a_bundled_plugin_is_kept_for_a_later_host_though_nothing_is_rendered() {
    let scene = Scene::new();
    scene.rendered(&[]);
    let kept = scene.weir.state_dir().join("plugins");
    let count = || fs::read_dir(&kept).map_or(0, Iterator::count);
    let before = count();
    assert!(before > 0);
    fs::remove_dir_all(&kept).unwrap();
    assert_eq!(scene.rendered(&[]).1, 3);
    assert_eq!(count(), before);
}

#[test]
fn whatever_changes_a_kept_render_gives_the_bytes_of_a_new_one() {
    let mut scene = Scene::new();
    // A simple generator with a fixed seed: what fails here fails again.
    let mut state = 0x2545_f491_u32;
    let mut chance = |below: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % below
    };
    let mut reused = 0;
    for step in 0..12 {
        for _ in 0..=chance(3) {
            let app = ["a", "b", "c"][chance(3) as usize];
            let folder = ["", "deep/", "deep/er/"][chance(3) as usize];
            let name = ["x", "y"][chance(2) as usize];
            let path = format!("{app}/{folder}{name}.yaml");
            let there = scene.repo.path().join(&path).exists();
            match chance(4) {
                0 if there => scene.repo.remove(&path).unwrap(),
                1 if !there => scene.repo.symlink(&path, "map.yaml").unwrap(),
                _ if there && scene.repo.path().join(&path).is_symlink() => {}
                _ => {
                    let name = format!("{}-{name}-{}", folder.replace('/', "-"), chance(3));
                    let name = format!("m{name}");
                    scene
                        .repo
                        .write(&path, map(&name, &chance(3).to_string()))
                        .unwrap();
                }
            }
        }
        scene.repo.write("step", step.to_string()).unwrap();
        scene.repo.commit("change").unwrap();
        let with = scene.render(&[]);
        reused +=
            usize::from(with.stderr.contains("1 of 3 apps") || with.stderr.contains("2 of 3 apps"));
        scene.forget();
        let without = scene.render(&[]);
        assert_eq!(
            (with.code, &with.stdout),
            (without.code, &without.stdout),
            "step {step}"
        );
    }
    assert!(
        reused > 3,
        "only {reused} steps used something again: the test says little"
    );
}
