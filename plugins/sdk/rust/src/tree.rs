//! The app's files: one commit, read-only, inside the app's roots.
//!
//! A renderer is given a `&dyn Tree`. In the component that is the host's tree;
//! in a native test it is a [`MemoryTree`].

use std::collections::BTreeMap;
use std::fmt;

use crate::Diagnostic;

/// The only way to see files. Paths are relative to the repository's root, with
/// `/`, without `.` or `..`; the empty path is the root.
pub trait Tree {
    /// The entries of one directory, sorted by name.
    ///
    /// # Errors
    /// See [`TreeError`].
    fn entries(&self, dir: &str) -> Result<Vec<Entry>, TreeError>;

    /// One file, whole.
    ///
    /// # Errors
    /// See [`TreeError`].
    fn read(&self, path: &str) -> Result<Vec<u8>, TreeError>;
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The last part of the path.
    pub name: String,
    /// File or directory. A symbolic link shows as what it leads to.
    pub kind: Kind,
    /// Bytes; 0 for a directory.
    pub size: u64,
    /// Whether the file's executable bit is set.
    pub executable: bool,
    /// The file's Git blob id in hex; empty for a directory.
    pub digest: String,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File,
    /// More entries.
    Directory,
}

/// Why a path could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeError {
    /// Nothing there, or outside the app's roots: the two look the same.
    NotFound,
    /// A file where a directory was expected.
    NotADirectory,
    /// A directory where a file was expected.
    IsADirectory,
    /// The path is not of the form that a tree takes.
    InvalidPath,
}

/// How far a [`walk`] may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkLimits {
    /// Entries seen, files and directories together.
    pub entries: usize,
    /// Directories below each other.
    pub depth: usize,
}

/// All files below `dir` for which `keep` says yes, sorted by path. `keep` is
/// asked about directories, too: where it says no, the walk does not go in.
///
/// # Errors
/// `no-such-path` where a directory cannot be listed, and `tree-too-large` past
/// a limit: part of a directory is never taken for the whole.
pub fn walk(
    tree: &dyn Tree,
    dir: &str,
    limits: WalkLimits,
    keep: &mut dyn FnMut(&str, &Entry) -> bool,
) -> Result<Vec<String>, Diagnostic> {
    let mut files = Vec::new();
    let mut seen = 0;
    let mut open = vec![(dir.to_string(), 0)];
    while let Some((dir, depth)) = open.pop() {
        for entry in tree.entries(&dir).map_err(|error| error.at(&dir))? {
            seen += 1;
            if seen > limits.entries {
                return Err(too_large(
                    &dir,
                    &format!("more than {} entries", limits.entries),
                ));
            }
            let path = join(&dir, &entry.name);
            if !keep(&path, &entry) {
                continue;
            }
            match entry.kind {
                Kind::File => files.push(path),
                Kind::Directory if depth == limits.depth => {
                    return Err(too_large(
                        &path,
                        &format!("more than {} directories below each other", limits.depth),
                    ));
                }
                Kind::Directory => open.push((path, depth + 1)),
            }
        }
    }
    files.sort();
    Ok(files)
}

/// `name` inside `dir`, where the empty `dir` is the root.
#[must_use]
pub fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_string()
    } else {
        format!("{dir}/{name}")
    }
}

fn too_large(path: &str, what: &str) -> Diagnostic {
    let message = format!(
        "there are {what}; narrow the app's path or config (a symbolic link may lead in a circle)"
    );
    Diagnostic::error("tree-too-large", message).at(path)
}

impl TreeError {
    /// The same as a diagnostic about `path`.
    #[must_use]
    pub fn at(self, path: &str) -> Diagnostic {
        let shown = if path.is_empty() {
            "the repository's root"
        } else {
            path
        };
        Diagnostic::error("no-such-path", format!("cannot read {shown}: {self}")).at(path)
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "nothing is there in this commit, or it lies outside the app's roots",
            Self::NotADirectory => "it is a file, not a directory",
            Self::IsADirectory => "it is a directory, not a file",
            Self::InvalidPath => "the path must be relative, with `/`, without `.` or `..`",
        })
    }
}

impl std::error::Error for TreeError {}

/// A tree in memory, for tests.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryTree {
    /// A tree of these paths and contents; directories follow from the paths.
    pub fn new<P: Into<String>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (P, B)>) -> Self {
        Self {
            files: files
                .into_iter()
                .map(|(path, body)| (path.into(), body.into()))
                .collect(),
        }
    }

    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.files.keys().any(|file| below(path, file).is_some())
    }
}

impl Tree for MemoryTree {
    fn entries(&self, dir: &str) -> Result<Vec<Entry>, TreeError> {
        check(dir)?;
        if self.files.contains_key(dir) {
            return Err(TreeError::NotADirectory);
        }
        if !self.is_directory(dir) {
            return Err(TreeError::NotFound);
        }
        let mut found = BTreeMap::new();
        for (path, body) in &self.files {
            let Some(rest) = below(dir, path) else {
                continue;
            };
            let (name, kind) = match rest.split_once('/') {
                Some((name, _)) => (name, Kind::Directory),
                None => (rest, Kind::File),
            };
            let size = if kind == Kind::File {
                body.len() as u64
            } else {
                0
            };
            let entry = Entry {
                name: name.to_string(),
                kind,
                size,
                executable: false,
                digest: String::new(),
            };
            found.insert(name.to_string(), entry);
        }
        Ok(found.into_values().collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, TreeError> {
        check(path)?;
        match self.files.get(path) {
            Some(body) => Ok(body.clone()),
            None if self.is_directory(path) => Err(TreeError::IsADirectory),
            None => Err(TreeError::NotFound),
        }
    }
}

/// The part of `path` below `dir`.
fn below<'p>(dir: &str, path: &'p str) -> Option<&'p str> {
    if dir.is_empty() {
        Some(path)
    } else {
        path.strip_prefix(dir)?.strip_prefix('/')
    }
}

fn check(path: &str) -> Result<(), TreeError> {
    let bad = |part: &str| part.is_empty() || part == "." || part == "..";
    if !path.is_empty() && path.split('/').any(bad) {
        Err(TreeError::InvalidPath)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: WalkLimits = WalkLimits {
        entries: 100,
        depth: 10,
    };

    fn tree() -> MemoryTree {
        MemoryTree::new([
            ("a/x.yaml", "x"),
            ("a/b/y.yaml", "y"),
            ("a/b/.git/z", "z"),
            ("ab", "q"),
        ])
    }

    #[test]
    fn a_memory_tree_answers_like_the_hosts() {
        let names = |dir: &str| {
            tree()
                .entries(dir)
                .map(|es| es.into_iter().map(|e| e.name).collect::<Vec<_>>())
        };
        assert_eq!(names(""), Ok(vec!["a".into(), "ab".into()]));
        assert_eq!(names("a"), Ok(vec!["b".into(), "x.yaml".into()]));
        assert_eq!(names("ab"), Err(TreeError::NotADirectory));
        assert_eq!(names("no"), Err(TreeError::NotFound));
        assert_eq!(names("a/../a"), Err(TreeError::InvalidPath));
        assert_eq!(tree().read("ab"), Ok(b"q".to_vec()));
        assert_eq!(tree().read("a"), Err(TreeError::IsADirectory));
        assert_eq!(tree().read("a/"), Err(TreeError::InvalidPath));
        assert_eq!(tree().read("abc"), Err(TreeError::NotFound));
    }

    #[test]
    fn a_walk_gives_all_kept_files_sorted() {
        let files = walk(&tree(), "a", ROOMY, &mut |_, entry| {
            !entry.name.starts_with('.')
        });
        assert_eq!(files, Ok(vec!["a/b/y.yaml".into(), "a/x.yaml".into()]));
    }

    #[test]
    fn a_walk_past_a_limit_fails_and_names_the_place() {
        let few = WalkLimits {
            entries: 3,
            ..ROOMY
        };
        let error = walk(&tree(), "", few, &mut |_, _| true).unwrap_err();
        assert_eq!(error.code, "tree-too-large");
        let flat = WalkLimits { depth: 1, ..ROOMY };
        let error = walk(&tree(), "", flat, &mut |_, _| true).unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.path.as_deref()),
            ("tree-too-large", Some("a/b"))
        );
    }

    #[test]
    fn a_walk_of_nothing_says_that_nothing_is_there() {
        let error = walk(&tree(), "gone", ROOMY, &mut |_, _| true).unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.path.as_deref()),
            ("no-such-path", Some("gone"))
        );
        assert!(
            error.message.contains("outside the app's roots"),
            "{}",
            error.message
        );
    }
}
