//! Patterns for images' names: `*` is any text without a slash, `**` any text.

use std::fmt;

use serde::Deserialize;

/// A pattern, cut at its stars.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern {
    text: String,
    /// What stands before the first star.
    start: String,
    /// Each star: whether it may hold slashes, and the text after it.
    rest: Vec<(bool, String)>,
}

/// Few enough that trying all ways costs nothing.
const MOST_STARS: usize = 4;

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Pattern, String> {
        if text.is_empty() {
            return Err(
                "the pattern is empty: write an image's name, such as registry.example/shop/*"
                    .into(),
            );
        }
        if text.contains('@') || text.rsplit('/').next().is_some_and(|own| own.contains(':')) {
            return Err(format!(
                "{text:?} has a tag or digest: a pattern is matched with the name alone"
            ));
        }
        let mut pieces = text.split('*');
        let start = pieces.next().unwrap_or_default().to_owned();
        let mut rest: Vec<(bool, String)> = Vec::new();
        let mut is_deep = false;
        for (index, piece) in pieces.enumerate() {
            // Nothing between two stars: they are one that may hold slashes.
            match rest.last_mut() {
                Some((deep, after)) if index > 0 && after.is_empty() && !is_deep => {
                    *deep = true;
                    is_deep = true;
                    piece.clone_into(after);
                }
                Some((_, after)) if after.is_empty() => {
                    return Err(format!("{text:?} has three stars in a row"));
                }
                _ => {
                    is_deep = false;
                    rest.push((false, piece.to_owned()));
                }
            }
        }
        if rest.len() > MOST_STARS {
            return Err(format!("{text:?} has more than {MOST_STARS} stars"));
        }
        Ok(Pattern { text, start, rest })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Pattern {
    pub(crate) fn stars(&self) -> usize {
        self.rest.len()
    }

    /// What each star stands for, where the name matches. A star takes as little as it can.
    pub(crate) fn matches<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let rest = name.strip_prefix(self.start.as_str())?;
        let mut stars = Vec::with_capacity(self.rest.len());
        tail(&self.rest, rest, &mut stars).then_some(stars)
    }
}

/// Each star but the last of a run without slashes is tried from short to long: at most as many ways as the name has
/// letters for each, and a name has at most 512.
fn tail<'n>(pattern: &[(bool, String)], text: &'n str, stars: &mut Vec<&'n str>) -> bool {
    let Some(((deep, after), others)) = pattern.split_first() else {
        return text.is_empty();
    };
    if others.is_empty() {
        // The last one is decided by the end.
        let Some(held) = text.strip_suffix(after.as_str()) else {
            return false;
        };
        if !*deep && held.contains('/') {
            return false;
        }
        stars.push(held);
        return true;
    }
    let held_before = stars.len();
    // Each place, also those that overlap: of `library/library/` both may be the right one.
    for (at, _) in text.char_indices() {
        let (held, rest) = text.split_at(at);
        let Some(rest) = rest.strip_prefix(after.as_str()) else {
            continue;
        };
        if !*deep && held.contains('/') {
            return false;
        }
        stars.push(held);
        if tail(others, rest, stars) {
            return true;
        }
        stars.truncate(held_before);
    }
    false
}

/// A name in which `{1}` stands for what the first star held, and so on.
pub(crate) fn fill(name: &str, stars: &[impl AsRef<str>]) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((number, after)) = after.split_once('}') else {
            return Err(format!("{name:?} has a `{{` without its `}}`"));
        };
        let star = number
            .parse::<usize>()
            .ok()
            .and_then(|number| stars.get(number.checked_sub(1)?));
        match star {
            Some(star) => filled.push_str(star.as_ref()),
            None => {
                return Err(format!(
                    "{name:?} has {{{number}}}, and the pattern has {} stars",
                    stars.len()
                ));
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
