//! `plugin.yaml`: what a plugin is called, in any language. `weir plugin build` writes it into the component.

use std::path::Path;

use serde::Deserialize;
use weir_core::name::PluginName;
use weir_core::yaml::{self, Budget, Mark, YamlError};
use weir_sandbox::{Claims, Role};

use super::{RoleName, one_document};
use crate::error::Error;
use crate::plugins::read_capped;

/// The file's name, in the plugin's folder.
pub(super) const FILE: &str = "plugin.yaml";
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 10;
/// The longest of its texts, in characters.
const MAX_TEXT: usize = 500;

/// What a plugin is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) name: PluginName,
    pub(super) role: Role,
    version: String,
    description: String,
    license: String,
    source: String,
}

/// The file as it is typed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    name: PluginName,
    version: String,
    role: RoleName,
    #[serde(default)]
    description: String,
    #[serde(default)]
    license: String,
    #[serde(default)]
    source: String,
}

impl About {
    /// What the file in a plugin's folder says; `None` where there is none.
    ///
    /// # Errors
    /// It is not of the form that is documented; the error says where.
    pub(super) fn read(dir: &Path) -> Result<Option<About>, Error> {
        let path = dir.join(FILE);
        let Some(text) = read_capped(&path, MAX_FILE)? else {
            return Ok(None);
        };
        let read = About::parse(&text);
        read.map(Some)
            .map_err(|e| Error::Usage(format!("{}:{e}", path.display())))
    }

    fn parse(text: &[u8]) -> Result<About, YamlError> {
        let at = |mark: Mark, message: String| YamlError { mark, message };
        let nodes = yaml::parse(text, &Budget::MANIFEST)?;
        if let [_, second, ..] = nodes.as_slice() {
            return Err(one_document(second.mark));
        }
        let node = nodes.first().ok_or_else(|| {
            let top = Mark { line: 1, column: 1 };
            at(
                top,
                "the file is empty; expected `name`, `version` and `role`".to_owned(),
            )
        })?;
        let raw: Raw = yaml::decode(node)?;
        let place = weir_core::manifest::Place::root(node);
        for (key, text, expected, is_good) in [
            (
                "version",
                &raw.version,
                "a version such as 1.0.0",
                is_version as fn(&str) -> bool,
            ),
            (
                "description",
                &raw.description,
                "one line of at most 500 characters",
                is_line,
            ),
            (
                "license",
                &raw.license,
                "an SPDX expression, such as Apache-2.0 or MIT OR Apache-2.0",
                is_license,
            ),
            (
                "source",
                &raw.source,
                "a link that begins with https:// or http://",
                is_link,
            ),
        ] {
            let is_left_out = text.is_empty() && key != "version";
            if !is_left_out && !is_good(text) {
                let shown: String = text.chars().take(80).collect();
                return Err(at(
                    place.key(key).mark(),
                    format!("{key} {shown:?}: expected {expected}"),
                ));
            }
        }
        Ok(About {
            name: raw.name,
            role: raw.role.role(),
            version: raw.version,
            description: raw.description,
            license: raw.license,
            source: raw.source,
        })
    }

    /// As it is written into the component.
    pub(super) fn claims(&self) -> Claims {
        Claims {
            name: self.name.to_string(),
            version: self.version.clone(),
            description: self.description.clone(),
            license: self.license.clone(),
            source: self.source.clone(),
            role: self.role.to_string(),
        }
    }
}

/// Three numbers, and what may come after them (semver.org).
fn is_version(text: &str) -> bool {
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let numbers: Vec<&str> = numbers.split('.').collect();
    let is_number = |part: &&str| {
        !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit())
    };
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b".-+".contains(&b);
    numbers.len() == 3
        && numbers.iter().all(is_number)
        && rest.len() != 1
        && rest.len() <= 100
        && rest.bytes().all(is_plain)
}

fn is_line(text: &str) -> bool {
    text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control)
}

fn is_link(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && is_line(rest) && !rest.contains(char::is_whitespace)
    })
}

/// The form of an SPDX expression: identifiers with AND, OR and WITH between them. Whether there are such licences is not
/// looked up.
fn is_license(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut open = 0_usize;
    let mut wants_name = true;
    for word in spaced.split_whitespace() {
        match word {
            "(" if wants_name => open += 1,
            ")" if !wants_name && open > 0 => open -= 1,
            "AND" | "OR" | "WITH" if !wants_name => wants_name = true,
            "AND" | "OR" | "WITH" | "(" | ")" => return false,
            name => {
                let is_good = |b: u8| b.is_ascii_alphanumeric() || b".-+:".contains(&b);
                if !wants_name || !name.bytes().all(is_good) {
                    return false;
                }
                wants_name = false;
            }
        }
    }
    !wants_name && open == 0 && is_line(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name: team\nversion: 1.2.3-rc.1\nrole: validator\nlicense: (MIT OR Apache-2.0) AND ISC\nsource: https://git.example/team\n";

    fn complaint(text: &str) -> String {
        About::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_it_says_is_what_is_written_into_the_component() {
        let claims = About::parse(GOOD.as_bytes()).unwrap().claims();
        let expected = Claims {
            name: "team".into(),
            version: "1.2.3-rc.1".into(),
            description: String::new(),
            license: "(MIT OR Apache-2.0) AND ISC".into(),
            source: "https://git.example/team".into(),
            role: "validator".into(),
        };
        assert_eq!(claims, expected);
    }

    #[test]
    fn an_unknown_key_is_an_error_at_its_line_that_names_the_nearest() {
        let said = complaint(&format!("{GOOD}licence: MIT\n"));
        assert!(said.starts_with("6:1: "), "{said}");
        assert!(
            said.contains("licence") && said.contains("license"),
            "{said}"
        );
    }

    #[test]
    fn each_value_that_is_not_of_its_form_is_an_error_at_its_place() {
        for (line, bad, words) in [
            (1, "name: Team Labels", "plugin name"),
            (2, "version: \"1.2\"", "a version such as 1.0.0"),
            (2, "version: 1.2.3-", "a version such as 1.0.0"),
            (3, "role: helper", "renderer"),
            (4, "license: MIT Apache-2.0", "an SPDX expression"),
            (4, "license: MIT OR", "an SPDX expression"),
            (4, "license: (MIT", "an SPDX expression"),
            (
                5,
                "source: git.example/team",
                "a link that begins with https://",
            ),
            (
                5,
                "source: \"https://a b\"",
                "a link that begins with https://",
            ),
        ] {
            let lines = GOOD.lines().enumerate();
            let text: String = lines
                .map(|(n, good)| {
                    if n + 1 == line {
                        format!("{bad}\n")
                    } else {
                        format!("{good}\n")
                    }
                })
                .collect();
            let said = complaint(&text);
            assert!(said.starts_with(&format!("{line}:")), "{bad}: {said}");
            assert!(said.contains(words), "{bad}: {said}");
        }
    }

    #[test]
    fn a_key_that_is_missing_is_named_and_an_empty_file_says_what_is_expected() {
        assert!(complaint("name: a\nversion: 1.0.0\n").contains("role"));
        assert!(complaint("").contains("`name`, `version` and `role`"));
    }
}
