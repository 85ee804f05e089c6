//! Which of the versions that are there is meant: an exact one, or the newest that a constraint lets pass, as Helm reads both.

use semver::{BuildMetadata, Prerelease, Version};

/// Comparators in one constraint; more is no constraint that a person wrote.
const MAX_COMPARATORS: usize = 32;

/// What a reference asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    text: String,
    /// One of these groups has to hold.
    any: Vec<Group>,
}

/// Comparators that have to hold together.
#[derive(Debug, Clone)]
struct Group {
    all: Vec<Comparator>,
    /// Whether one of them names a pre-release: then pre-releases may be chosen.
    prereleases: bool,
}

/// What lies between two versions, or what does not.
#[derive(Debug, Clone, Default)]
struct Comparator {
    from: Option<Edge>,
    to: Option<Edge>,
    outside: bool,
}

#[derive(Debug, Clone)]
struct Edge {
    version: Version,
    included: bool,
}

/// A version of which parts may be left out.
struct Partial {
    major: u64,
    minor: Option<u64>,
    patch: Option<u64>,
    pre: Prerelease,
    any: bool,
}

impl Wanted {
    /// Reads a version or a constraint; empty for the newest stable one.
    ///
    /// # Errors
    /// What is not understood.
    pub(crate) fn parse(text: &str) -> Result<Wanted, String> {
        let mut any = Vec::new();
        let mut count = 0;
        for group in text.split("||") {
            let mut all = Vec::new();
            let words = words(group)?;
            count += words.len();
            if count > MAX_COMPARATORS {
                return Err(format!(
                    "version {text:?} has more than {MAX_COMPARATORS} comparators"
                ));
            }
            let mut prereleases = false;
            for (operator, version) in words {
                let partial = Partial::parse(&version).ok_or_else(|| {
                    format!("version {text:?}: {version:?} is no version, such as 1.2.3 or 1.x")
                })?;
                prereleases |= !partial.pre.is_empty();
                all.push(partial.compared(&operator));
            }
            any.push(Group { all, prereleases });
        }
        Ok(Wanted {
            text: text.trim().to_owned(),
            any,
        })
    }

    /// The exact version, where it is written out and nothing else can be meant.
    pub(crate) fn exact(&self) -> Option<&str> {
        lenient(&self.text).map(|_| self.text.as_str()).filter(|t| {
            let numbers = t.split(['-', '+']).next().unwrap_or_default();
            numbers.split('.').count() == 3
        })
    }

    /// The newest of these that is meant; of two with the same precedence the one whose text sorts last.
    pub(crate) fn choose<'v>(
        &self,
        versions: impl IntoIterator<Item = &'v str>,
    ) -> Option<&'v str> {
        let mut best: Option<(Version, &str)> = None;
        for text in versions {
            if text == self.text && !text.is_empty() {
                return Some(text);
            }
            let Some(version) = lenient(text).filter(|v| self.admits(v)) else {
                continue;
            };
            if best.as_ref().is_none_or(|b| *b < (version.clone(), text)) {
                best = Some((version, text));
            }
        }
        best.map(|(_, text)| text)
    }

    fn admits(&self, version: &Version) -> bool {
        self.any.iter().any(|group| {
            (version.pre.is_empty() || group.prereleases)
                && group.all.iter().all(|c| c.admits(version))
        })
    }
}

impl Comparator {
    fn admits(&self, version: &Version) -> bool {
        let above =
            self.from
                .as_ref()
                .is_none_or(|edge| match version.cmp_precedence(&edge.version) {
                    std::cmp::Ordering::Equal => edge.included,
                    order => order.is_gt(),
                });
        let below =
            self.to
                .as_ref()
                .is_none_or(|edge| match version.cmp_precedence(&edge.version) {
                    std::cmp::Ordering::Equal => edge.included,
                    order => order.is_lt(),
                });
        (above && below) != self.outside
    }
}

impl Partial {
    fn parse(text: &str) -> Option<Partial> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (numbers, rest) = match text.find(['-', '+']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let pre = rest.strip_prefix('-').unwrap_or_default();
        let pre = pre.split('+').next().unwrap_or_default();
        if pre.is_empty() && rest.starts_with('-') {
            return None;
        }
        if let Some((_, build)) = rest.split_once('+') {
            if build.is_empty() {
                return None;
            }
            BuildMetadata::new(build).ok()?;
        }
        let mut parts = numbers.split('.');
        let mut part = || -> Option<Option<u64>> {
            match parts.next() {
                None | Some("x" | "X" | "*") => Some(None),
                Some(n) if n.bytes().all(|b| b.is_ascii_digit()) => n.parse().ok().map(Some),
                Some(_) => None,
            }
        };
        let (major, minor, patch) = (part()?, part()?, part()?);
        if parts.next().is_some() || numbers.is_empty() {
            return None;
        }
        let minor = major.and(minor);
        Some(Partial {
            major: major.unwrap_or(0),
            minor,
            patch: minor.and(patch),
            pre: Prerelease::new(pre).ok()?,
            any: major.is_none(),
        })
    }

    /// The lowest version that this can be.
    fn lowest(&self) -> Version {
        Version {
            pre: self.pre.clone(),
            ..Version::new(self.major, self.minor.unwrap_or(0), self.patch.unwrap_or(0))
        }
    }

    /// What comes after all that this can be, pre-releases of it left out.
    fn after(&self) -> Option<Edge> {
        let next = match (self.any, self.minor, self.patch) {
            (true, _, _) => return None,
            (_, None, _) => Version::new(self.major.checked_add(1)?, 0, 0),
            (_, Some(minor), None) => Version::new(self.major, minor.checked_add(1)?, 0),
            (_, Some(minor), Some(patch)) => Version::new(self.major, minor, patch.checked_add(1)?),
        };
        Some(before(next))
    }

    /// `~`: the same minor version where one is said, otherwise the same major one.
    fn near(&self) -> Option<Edge> {
        Partial {
            patch: None,
            pre: Prerelease::EMPTY,
            ..*self
        }
        .after()
    }

    /// `^`: up to the next change of the first number that is not zero.
    fn compatible(&self) -> Option<Edge> {
        let minor = if self.major > 0 { None } else { self.minor };
        let patch = if minor == Some(0) { self.patch } else { None };
        Partial {
            minor,
            patch,
            pre: Prerelease::EMPTY,
            ..*self
        }
        .after()
    }

    fn compared(&self, operator: &str) -> Comparator {
        let whole = self.patch.is_some();
        let edge = |included| {
            Some(Edge {
                version: self.lowest(),
                included,
            })
        };
        let range = |from, to| Comparator {
            from,
            to,
            outside: false,
        };
        // All that this can be: one version, or those that begin like it.
        let same = || match whole {
            true => range(edge(true), edge(true)),
            false => range(edge(true), self.after()),
        };
        match operator {
            "!=" => Comparator {
                outside: true,
                ..same()
            },
            ">" if whole => range(edge(false), None),
            // After all that begins like it.
            ">" => range(
                self.after().map(|e| Edge {
                    included: true,
                    ..e
                }),
                None,
            ),
            ">=" | "=>" => range(edge(true), None),
            "<" => range(None, edge(false)),
            "<=" | "=<" if whole => range(None, edge(true)),
            "<=" | "=<" => range(None, self.after()),
            "~" | "~>" => range(edge(true), self.near()),
            "^" => range(edge(true), self.compatible()),
            _ => same(),
        }
    }
}

/// Everything below a version, its pre-releases left out, too.
fn before(version: Version) -> Edge {
    let pre = Prerelease::new("0").unwrap_or(Prerelease::EMPTY);
    Edge {
        version: Version { pre, ..version },
        included: false,
    }
}

/// Operators and versions of one group, hyphen ranges written out; an empty group is all.
fn words(group: &str) -> Result<Vec<(String, String)>, String> {
    let spaced = group.replace(',', " ");
    let mut words: Vec<(String, String)> = Vec::new();
    let mut operator = String::new();
    let mut range = false;
    for word in spaced.split_whitespace() {
        if word == "-" && operator.is_empty() && words.last().is_some_and(|w| w.0.is_empty()) {
            if let Some(last) = words.last_mut() {
                last.0 = ">=".to_owned();
            }
            range = true;
            continue;
        }
        let at = word.find(|c| !"=!<>~^".contains(c)).unwrap_or(word.len());
        operator.push_str(&word[..at]);
        if at == word.len() {
            continue;
        }
        if !matches!(
            operator.as_str(),
            "" | "=" | "!=" | ">" | "<" | ">=" | "=>" | "<=" | "=<" | "~" | "~>" | "^"
        ) || (range && !operator.is_empty())
        {
            return Err(format!(
                "{operator:?} is no operator: expected one of = != > < >= <= ~ ^"
            ));
        }
        if range {
            operator = "<=".to_owned();
        }
        words.push((std::mem::take(&mut operator), word[at..].to_owned()));
        range = false;
    }
    if !operator.is_empty() || range {
        return Err(format!("{group:?} ends where a version was expected"));
    }
    Ok(words)
}

/// A version as charts have it: with a `v` before it, or without the last numbers.
fn lenient(text: &str) -> Option<Version> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let (numbers, rest) = match text.find(['-', '+']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let padded = match numbers.split('.').count() {
        1 => format!("{numbers}.0.0{rest}"),
        2 => format!("{numbers}.0{rest}"),
        _ => text.to_owned(),
    };
    Version::parse(&padded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: [&str; 12] = [
        "0.0.3",
        "0.2.9",
        "0.3.0",
        "1.0.0",
        "1.2.0",
        "1.2.3",
        "v1.2.4",
        "1.10.0",
        "2.0.0-rc.1",
        "2.0.0",
        "2.1.0+b",
        "3.0.0-alpha",
    ];

    fn chosen(wanted: &str) -> Option<&'static str> {
        Wanted::parse(wanted).unwrap().choose(THERE)
    }

    #[test]
    fn the_newest_that_a_constraint_lets_pass_is_chosen() {
        for (wanted, expected) in [
            ("", Some("2.1.0+b")),
            ("*", Some("2.1.0+b")),
            ("x", Some("2.1.0+b")),
            ("1.2.3", Some("1.2.3")),
            ("v1.2.3", Some("1.2.3")),
            ("=1.2.4", Some("v1.2.4")),
            ("2.1.0", Some("2.1.0+b")),
            ("1", Some("1.10.0")),
            ("1.x", Some("1.10.0")),
            ("1.2", Some("v1.2.4")),
            ("1.2.*", Some("v1.2.4")),
            ("~1.2.1", Some("v1.2.4")),
            ("~1", Some("1.10.0")),
            ("^1.2", Some("1.10.0")),
            ("^0.2.1", Some("0.2.9")),
            ("^0.0.3", Some("0.0.3")),
            ("^0", Some("0.3.0")),
            (">=1 <1.10", Some("v1.2.4")),
            (">=1, <1.10.0", Some("v1.2.4")),
            (">= 1.0.0 < 1.2.0", Some("1.0.0")),
            (">1", Some("2.1.0+b")),
            (">1 <2", None),
            ("<=1.2", Some("v1.2.4")),
            ("<=1", Some("1.10.0")),
            ("!=2.x", Some("1.10.0")),
            ("1.0.0 - 1.2", Some("v1.2.4")),
            ("<0.1 || ~1.0", Some("1.0.0")),
            ("2.0.0-rc.1", Some("2.0.0-rc.1")),
            (">=2.0.0-0 <2.0.0", Some("2.0.0-rc.1")),
            (">=3.0.0-0", Some("3.0.0-alpha")),
            ("^2.0.0-0", Some("2.1.0+b")),
            (">=3", None),
            ("9.9.9", None),
        ] {
            assert_eq!(chosen(wanted), expected, "{wanted:?}");
        }
    }

    #[test]
    fn what_is_no_constraint_is_refused() {
        for bad in [
            "latest",
            "1.2.3.4",
            "=>=1",
            ">",
            "1.2.3-",
            "^",
            "1.0 -",
            "1..2",
            "~>!1",
            "1.2.3+",
            "a.b.c",
            "1.0.0 - >2",
        ] {
            assert!(Wanted::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Wanted::parse(&">0 ".repeat(MAX_COMPARATORS + 1)).is_err());
    }

    #[test]
    fn only_a_version_that_is_written_out_is_exact() {
        for (wanted, exact) in [
            ("1.2.3", true),
            ("v1.2.3-rc.1+b", true),
            ("1.2", false),
            ("^1.2.3", false),
            ("", false),
            ("1.2.x", false),
        ] {
            assert_eq!(
                Wanted::parse(wanted).unwrap().exact().is_some(),
                exact,
                "{wanted}"
            );
        }
    }

    #[test]
    fn the_order_of_what_is_there_changes_nothing() {
        let two = ["1.0.0+a", "1.0.0+b", "1.0.0"];
        let wanted = Wanted::parse("").unwrap();
        assert_eq!(wanted.choose(two), Some("1.0.0+b"));
        assert_eq!(wanted.choose(two.into_iter().rev()), Some("1.0.0+b"));
    }
}
