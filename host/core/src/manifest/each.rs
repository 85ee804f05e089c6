//! `each:` globs over the directories of a tree, and the names made from what they match.

use super::MAX_APPS;
use super::place::quote;
use crate::name::RepoPath;
use crate::tree::Tree;

/// A glob of directories: parts of literal text with at most one `*` each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Glob(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Star { before: String, after: String },
}

/// A directory that matches, with what each `*` stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) path: RepoPath,
    pub(super) captures: Vec<String>,
}

impl Glob {
    /// Reads a glob.
    ///
    /// # Errors
    /// A text for the author when it is none.
    pub(super) fn parse(text: &str) -> Result<Glob, String> {
        let wrong = |why: &str| Err(format!("glob {}: {why}", quote(text)));
        if let Err(e) = text.parse::<RepoPath>() {
            return wrong(e.why);
        }
        if text.contains("**") {
            return wrong(
                "** is not understood; expected one * for each part of the path, such as teams/*/apps/*",
            );
        }
        if let Some(c) = text.chars().find(|c| "?[]{}!".contains(*c)) {
            return wrong(&format!(
                "{c} is not understood; expected * alone, for any text inside one part of the path"
            ));
        }
        if !text.contains('*') {
            return wrong("expected a *, such as apps/*; for a single directory use path:");
        }
        let mut parts = Vec::new();
        for part in text.trim_end_matches('/').split('/') {
            parts.push(match part.split_once('*') {
                None => Part::Literal(part.to_owned()),
                Some((_, after)) if after.contains('*') => {
                    return wrong("expected at most one * in each part of the path");
                }
                Some((before, after)) => Part::Star {
                    before: before.to_owned(),
                    after: after.to_owned(),
                },
            });
        }
        Ok(Glob(parts))
    }

    /// The directory that all matches lie in.
    pub(super) fn start(&self) -> RepoPath {
        let literal = self.0.iter().map_while(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Star { .. } => None,
        });
        // The whole glob was read as a path, so its first parts are one.
        literal
            .collect::<Vec<_>>()
            .join("/")
            .parse()
            .unwrap_or_default()
    }

    /// How many `*` there are.
    pub(super) fn captures(&self) -> usize {
        self.0
            .iter()
            .filter(|part| matches!(part, Part::Star { .. }))
            .count()
    }

    /// The directories that match, in order of path.
    ///
    /// # Errors
    /// When they are more than [`MAX_APPS`].
    pub(super) fn matches(&self, tree: &Tree) -> Result<Vec<Match>, String> {
        let mut found: Vec<Match> = Vec::new();
        for (path, _) in tree.below(&self.start()) {
            if found.last().is_some_and(|last| path.is_within(&last.path)) {
                continue;
            }
            let Some(next) = self.directory_of(path) else {
                continue;
            };
            if found.len() == MAX_APPS {
                return Err(format!(
                    "this matches more than {MAX_APPS} directories, which is the most for one manifest"
                ));
            }
            found.push(next);
        }
        Ok(found)
    }

    /// The directory of the glob's depth that a path lies in, if it matches.
    fn directory_of(&self, path: &RepoPath) -> Option<Match> {
        let text = path.as_str();
        let (end, _) = text.match_indices('/').nth(self.0.len() - 1)?;
        let directory = &text[..end];
        let mut captures = Vec::new();
        for (part, name) in self.0.iter().zip(directory.split('/')) {
            if let Some(capture) = part.matches(name)? {
                captures.push(capture.to_owned());
            }
        }
        Some(Match {
            path: directory.parse().ok()?,
            captures,
        })
    }
}

impl Part {
    /// `None` when the name does not match; what the `*` stands for where there is one.
    fn matches<'a>(&self, name: &'a str) -> Option<Option<&'a str>> {
        match self {
            Part::Literal(text) => (text == name).then_some(None),
            Part::Star { before, .. } if before.is_empty() && name.starts_with('.') => None,
            Part::Star { before, after } => Some(Some(
                name.strip_prefix(before.as_str())?
                    .strip_suffix(after.as_str())?,
            )),
        }
    }
}

/// A text with `{1}`, `{2}`, … replaced by what the stars stand for.
///
/// # Errors
/// A text for the author when a brace is not closed or there is no such star.
pub(super) fn expand(text: &str, captures: &[String]) -> Result<String, String> {
    let wrong = |what: &str| {
        let expected = match captures.len() {
            1 => "{1}, since the glob has one *".to_owned(),
            stars => format!("{{1}} to {{{stars}}}, since the glob has {stars} *"),
        };
        format!("{}: {what}; expected {expected}", quote(text))
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, open)) = rest.split_once('{') {
        let (number, after) = open
            .split_once('}')
            .ok_or_else(|| wrong("a { is not closed"))?;
        let capture = number
            .parse::<usize>()
            .ok()
            .and_then(|n| captures.get(n.checked_sub(1)?));
        out.push_str(before);
        out.push_str(capture.ok_or_else(|| {
            wrong(&format!(
                "{{{}}} stands for nothing",
                number.chars().take(20).collect::<String>()
            ))
        })?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::digest::BlobId;
    use crate::tree::Entry;

    fn tree(paths: &[&str]) -> Tree {
        let file = || Entry::File {
            id: BlobId::from_bytes([0; 20]),
            size: 0,
            executable: false,
        };
        let entries: BTreeMap<_, _> = paths.iter().map(|p| (p.parse().unwrap(), file())).collect();
        Tree::new(None, entries).unwrap()
    }

    fn matches(glob: &str, paths: &[&str]) -> Vec<String> {
        let found = Glob::parse(glob).unwrap().matches(&tree(paths)).unwrap();
        found
            .into_iter()
            .map(|m| format!("{} {}", m.path, m.captures.join(",")))
            .collect()
    }

    #[test]
    fn a_star_stays_inside_one_part_of_the_path() {
        let paths = [
            "teams/a/apps/shop/x.yaml",
            "teams/a/apps/shop/deep/y.yaml",
            "teams/b/apps/till/x.yaml",
            "teams/b/x/till/x.yaml",
        ];
        assert_eq!(
            matches("teams/*/apps/*", &paths),
            ["teams/a/apps/shop a,shop", "teams/b/apps/till b,till"]
        );
        assert_eq!(matches("teams/*", &paths), ["teams/a a", "teams/b b"]);
    }

    #[test]
    fn files_and_hidden_directories_do_not_match() {
        assert_eq!(
            matches("*", &["README.md", ".github/x.yaml", "a/x.yaml"]),
            ["a a"]
        );
        assert_eq!(matches(".g*", &[".github/x.yaml"]), [".github ithub"]);
    }

    #[test]
    fn text_beside_a_star_has_to_be_there_and_does_not_overlap() {
        assert_eq!(
            matches("app-*-x", &["app-1-x/a", "app-x/a", "app-1-y/a", "other/a"]),
            ["app-1-x 1"]
        );
    }

    #[test]
    fn a_directory_is_found_once_though_its_neighbours_sort_into_it() {
        assert_eq!(
            matches("*", &["a-b/x", "a/x", "a/y", "a.b/x"]),
            ["a-b a-b", "a.b a.b", "a a"]
        );
    }

    #[test]
    fn what_no_one_would_read_alike_is_refused() {
        for bad in [
            "", "a", "/a/*", "a/../*", "a/**", "*a*", "a/?", "a/[bc]*", "{a,b}/*",
        ] {
            assert!(Glob::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn templates_name_only_stars_that_exist() {
        let captures = ["a".to_owned(), "b".to_owned()];
        assert_eq!(expand("x-{2}-{1}{1}", &captures).unwrap(), "x-b-aa");
        for bad in [
            "{0}",
            "{3}",
            "{",
            "{1",
            "{}",
            "{a}",
            "{99999999999999999999}",
        ] {
            assert!(expand(bad, &captures).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_star_stands_for_is_not_expanded_again() {
        assert_eq!(
            expand("{1}", &["{2}".to_owned(), "b".to_owned()]).unwrap(),
            "{2}"
        );
    }
}
