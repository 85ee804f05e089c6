//! The files of a repository that Weir reads itself: `weir.yaml`, `weir.lock`, any YAML, and names.

use std::collections::BTreeMap;

use weir_core::digest::ObjectId;
use weir_core::external::Reference;
use weir_core::lock::Lock;
use weir_core::manifest::{MAX_ERRORS, Manifest};
use weir_core::name::RepoPath;
use weir_core::plugin::{PluginReference, SourcePattern};
use weir_core::tree::{Entry, Tree};
use weir_core::yaml::{self, Budget};
use weir_source::{RefName, RepoUrl};

/// Smaller than a host allows, so that a fuzzer is not kept waiting by what is only large.
pub(crate) const BUDGET: Budget = Budget {
    bytes: 1 << 20,
    documents: 1_000,
    nodes: 20_000,
    depth: 100,
};

/// The tree that manifests speak of: a few apps of each kind.
fn tree() -> Option<Tree> {
    let paths = [
        "apps/a/a.yaml",
        "apps/b/Chart.yaml",
        "teams/one/apps/c/kustomization.yaml",
        "teams/two/apps/c/c.yaml",
        "weir.yaml",
    ];
    let file = Entry::File {
        id: ObjectId::from_bytes([1; 20]),
        size: 1,
        executable: false,
    };
    let entries: Option<BTreeMap<RepoPath, Entry>> = paths
        .iter()
        .map(|path| Some((path.parse().ok()?, file.clone())))
        .collect();
    Tree::new(None, entries?).ok()
}

/// A manifest is read or refused at places that are in it, with a bounded number of errors; its apps differ in name and lie
/// in the tree.
pub(crate) fn manifest(data: &[u8]) {
    let Some(tree) = tree() else {
        unreachable!("the tree is made of good paths");
    };
    match Manifest::parse(data, "weir.yaml", &tree) {
        Ok(resolved) => {
            let apps = &resolved.manifest.apps;
            for app in apps {
                assert!(tree.is_dir(&app.path) || app.path.is_root(), "{}", app.path);
                let same = apps.iter().filter(|other| other.name == app.name);
                assert_eq!(same.count(), 1, "two apps called {}", app.name);
            }
        }
        Err(errors) => {
            assert!((1..=MAX_ERRORS).contains(&errors.0.len()), "{errors}");
            let lines = data.iter().filter(|b| matches!(b, b'\n' | b'\r')).count() + 2;
            for error in &errors.0 {
                assert!(error.mark.line as usize <= lines, "{error}");
                let shown = error.to_string();
                assert!(!shown.contains(['\0', '\u{1b}']), "{shown:?}");
            }
        }
    }
}

/// A lock that is written again reads as the same lock.
pub(crate) fn lock(data: &[u8]) {
    if let Ok(lock) = Lock::parse(data, "weir.lock") {
        let text = lock.emit();
        let again = Lock::parse(text.as_bytes(), "weir.lock");
        assert_eq!(again.as_ref(), Ok(&lock), "{text}");
        assert_eq!(again.map(|lock| lock.emit()), Ok(text));
    }
}

/// A stream ends within its budget, and each document that is written again reads as the same values.
pub(crate) fn yaml_stream(data: &[u8]) {
    let Ok(nodes) = yaml::parse(data, &BUDGET) else {
        return;
    };
    assert!(nodes.len() <= BUDGET.documents);
    for node in nodes {
        let value = node.to_json();
        let text = yaml::emit(&value);
        // Text with its indents may be larger than the compact form that was read.
        let budget = Budget {
            bytes: 64 << 20,
            nodes: BUDGET.nodes * 2,
            depth: BUDGET.depth + 1,
            ..BUDGET
        };
        match yaml::parse(text.as_bytes(), &budget).as_deref() {
            Ok([again]) => assert_eq!(again.to_json(), value, "{text}"),
            // A document that is null is left out.
            Ok([]) => assert!(value.is_null(), "{text}"),
            other => unreachable!("{other:?} of {text}"),
        }
    }
}

/// What is a name, a path, a URL or a reference reads as itself again, and none of them leaves its place.
pub(crate) fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(path) = text.parse::<RepoPath>() {
        assert!(
            path.parts().all(|part| !matches!(part, "" | "." | "..")),
            "{path}"
        );
        assert!(!path.as_str().contains('\0'));
        assert_eq!(path.as_str().parse(), Ok(path.clone()));
    }
    if let Ok(reference) = text.parse::<Reference>() {
        let folder = reference.escaped();
        assert!(
            !folder.contains('/') && folder != "." && folder != "..",
            "{folder}"
        );
        assert_eq!(Reference::unescaped(&folder).as_ref(), Ok(&reference));
        assert!(!reference.dir().is_root(), "{folder}");
    }
    if let Ok(reference) = text.parse::<PluginReference>() {
        assert_eq!(reference.to_string(), text, "it has one text");
        assert!(!reference.path().contains(".."), "{text}");
    }
    if let Ok(pattern) = text.parse::<SourcePattern>() {
        assert_eq!(pattern.to_string(), text, "it has one text");
    }
    if let Ok(url) = text.parse::<RepoUrl>() {
        let shown = url.to_string();
        assert!(
            !shown.starts_with('-') && !shown.contains(char::is_control),
            "{shown:?}"
        );
    }
    if let Ok(name) = text.parse::<RefName>() {
        let shown = name.to_string();
        assert!(
            !shown.starts_with('-') && !shown.contains(".."),
            "{shown:?}"
        );
    }
}
