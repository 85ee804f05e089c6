//! Paths of a repository by pattern: `weir.yaml`, `policy`, `teams/*/quota.yaml`, `**/secrets`.

use std::fmt;
use std::str::FromStr;

use crate::name::RepoPath;

/// The longest pattern, in bytes.
const MAX_BYTES: usize = 1_024;
/// The most parts of a pattern.
const MAX_PARTS: usize = 32;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path pattern {0:?}: {1}")]
pub struct PatternError(String, &'static str);

/// A path, in which `*` is any text within one part and `**` any number of parts. What lies below it is meant, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Any number of parts.
    Any,
    /// One part: the texts between its stars.
    One(Vec<String>),
}

impl PathPattern {
    /// Whether the path, or a folder that it lies in, is meant.
    pub fn matches(&self, path: &RepoPath) -> bool {
        // Which numbers of the pattern's parts can have matched what was read of the path.
        let mut open = vec![false; self.parts.len() + 1];
        open[0] = true;
        self.close(&mut open);
        let whole = |open: &[bool]| open.last().copied().unwrap_or(false);
        for part in path.parts() {
            let mut next = vec![false; open.len()];
            for (n, of) in self.parts.iter().enumerate().filter(|(n, _)| open[*n]) {
                match of {
                    Part::Any => next[n] = true,
                    Part::One(texts) if is(texts, part) => next[n + 1] = true,
                    Part::One(_) => {}
                }
            }
            self.close(&mut next);
            open = next;
            if whole(&open) {
                return true;
            }
        }
        false
    }

    /// `**` may stand for nothing.
    fn close(&self, open: &mut [bool]) {
        for (n, part) in self.parts.iter().enumerate() {
            if open[n] && *part == Part::Any {
                open[n + 1] = true;
            }
        }
    }
}

/// Whether a part of a path is these texts with anything between them.
fn is(texts: &[String], part: &str) -> bool {
    let [first, middle @ .., last] = texts else {
        return texts.first().is_some_and(|only| only == part);
    };
    let Some(mut rest) = part.strip_prefix(first.as_str()) else {
        return false;
    };
    for text in middle {
        match rest.find(text.as_str()) {
            Some(at) => rest = &rest[at + text.len()..],
            None => return false,
        }
    }
    rest.ends_with(last.as_str())
}

impl FromStr for PathPattern {
    type Err = PatternError;
    fn from_str(text: &str) -> Result<PathPattern, PatternError> {
        let wrong = |why| PatternError(text.chars().take(100).collect(), why);
        if text.len() > MAX_BYTES {
            return Err(wrong("expected at most 1024 bytes"));
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.contains(['?', '[', ']', '{', '}', '!']) {
            return Err(wrong(
                "expected a path in which * and ** alone have a meaning of their own",
            ));
        }
        let path: RepoPath = path.parse().map_err(|_| {
            wrong("expected a path inside the repository: relative, with /, without empty parts, . or ..")
        })?;
        if path.is_root() {
            return Err(wrong("expected a path: ** means all"));
        }
        let mut parts = Vec::new();
        for part in path.parts() {
            match part {
                "**" => parts.push(Part::Any),
                part if part.contains("**") => {
                    return Err(wrong("expected ** to stand alone between two /"));
                }
                part => parts.push(Part::One(part.split('*').map(str::to_owned).collect())),
            }
        }
        if parts.len() > MAX_PARTS {
            return Err(wrong("expected at most 32 parts"));
        }
        let text = path.as_str().to_owned();
        Ok(PathPattern { text, parts })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_a_path_and_all_below_it() {
        for (pattern, path, is) in [
            ("weir.yaml", "weir.yaml", true),
            ("weir.yaml", "weir.yaml/x", true),
            ("weir.yaml", "a/weir.yaml", false),
            ("weir.yaml", "weir.yamlx", false),
            ("policy", "policy/a/b", true),
            ("policy/", "policy/a", true),
            ("policy/**", "policy/a/b", true),
            ("policy/**", "policy", true),
            ("policy/*", "policy/a/b", true),
            ("policy/*", "policy", false),
            ("teams/*/quota.yaml", "teams/a/quota.yaml", true),
            ("teams/*/quota.yaml", "teams/a/b/quota.yaml", false),
            ("**/quota.yaml", "quota.yaml", true),
            ("**/quota.yaml", "a/b/quota.yaml", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b/c", true),
            ("a/**/b", "a/x/c", false),
            ("*.yaml", "x.yaml", true),
            ("*.yaml", "x.yml", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("**", "anything/at/all", true),
        ] {
            let of: PathPattern = pattern.parse().unwrap();
            assert_eq!(of.matches(&path.parse().unwrap()), is, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_what_was_expected() {
        for bad in [
            "", "/", ".", "/a", "a//b", "../a", "a/**b", "a?", "[a]", "{a,b}", "!a", "a\\b",
        ] {
            let error = bad.parse::<PathPattern>().unwrap_err().to_string();
            assert!(error.contains("expected"), "{bad}: {error}");
        }
        assert!("a/".repeat(33).parse::<PathPattern>().is_err());
        assert!("a".repeat(1_025).parse::<PathPattern>().is_err());
    }
}
