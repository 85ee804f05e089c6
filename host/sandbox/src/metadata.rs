//! What a component says of itself, in custom sections of its outermost level. Anyone can write anything there: it is
//! shown as a claim and decides nothing.
//!
//! The names are those of the wasm-tools family (`component-name`, `version`, `description`, `licenses`, `source`), which
//! `wasm-tools metadata show` and `wkg` read; the role has a section of its own.

use std::borrow::Cow;
use std::ops::Range;

use wasm_encoder::{ComponentNameSection, ComponentSection as _, CustomSection};
use wasmparser::{BinaryReader, ComponentName, ComponentNameSectionReader};

/// The name of a component, as the name section has it.
const NAME: &str = "component-name";
/// The role that it was built for. The host goes by what it exports.
const ROLE: &str = "weir-role";
/// The longest claim that is shown, in bytes.
const MAX_CLAIM: usize = 2000;
/// A component's magic number, version and layer.
const HEADER: usize = 8;
/// The id of a custom section.
const CUSTOM: u8 = 0;

/// What a component says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// What it is called.
    pub name: Claim,
    /// Its version.
    pub version: Claim,
    /// One line about it.
    pub description: Claim,
    /// An SPDX expression.
    pub license: Claim,
    /// Where its source lies.
    pub source: Claim,
    /// The role that it was built for.
    pub role: Claim,
}

/// One thing that a component says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Claim {
    /// It says nothing.
    #[default]
    Missing,
    /// This.
    Said(String),
    /// Something that is no text, or says it twice.
    Unreadable(&'static str),
}

/// What is written into a component. Empty texts are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// What it is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line about it.
    pub description: String,
    /// An SPDX expression.
    pub license: String,
    /// Where its source lies.
    pub source: String,
    /// The role that it was built for.
    pub role: String,
}

impl Claim {
    /// The text, where there is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Claim::Said(text) => Some(text),
            Claim::Missing | Claim::Unreadable(_) => None,
        }
    }

    /// Takes one more section of this name in.
    fn hears(&mut self, bytes: &[u8]) {
        *self = match (&*self, std::str::from_utf8(bytes)) {
            (Claim::Missing, Ok(_)) if bytes.len() > MAX_CLAIM => {
                Claim::Unreadable("longer than 2000 bytes")
            }
            (Claim::Missing, Ok(text)) if text.chars().any(char::is_control) => {
                Claim::Unreadable("it has control characters")
            }
            (Claim::Missing, Ok(text)) => Claim::Said(text.to_owned()),
            (Claim::Missing, Err(_)) => Claim::Unreadable("it is not UTF-8"),
            _ => Claim::Unreadable("it is said more than once"),
        };
    }
}

/// What a component says of itself. Bytes that are no component say nothing.
pub(crate) fn read(component: &[u8]) -> Metadata {
    let mut said = Metadata::default();
    for section in custom_sections(component) {
        let claim = match section.name {
            "version" => &mut said.version,
            "description" => &mut said.description,
            "licenses" => &mut said.license,
            "source" => &mut said.source,
            ROLE => &mut said.role,
            NAME => {
                match own_name(section.data) {
                    Ok(Some(name)) => said.name.hears(name.as_bytes()),
                    Ok(None) => {}
                    Err(()) => said.name = Claim::Unreadable("the name section is malformed"),
                }
                continue;
            }
            _ => continue,
        };
        claim.hears(section.data);
    }
    said
}

/// The component with these claims, in the place of any that it has. All else stays as it is.
#[must_use]
pub fn with_claims(component: &[u8], claims: &Claims) -> Vec<u8> {
    let sections = [
        ("version", &claims.version),
        ("description", &claims.description),
        ("licenses", &claims.license),
        ("source", &claims.source),
        (ROLE, &claims.role),
    ];
    let replaced = |name: &str| name == NAME || sections.iter().any(|(n, _)| *n == name);
    let mut out = Vec::with_capacity(component.len() + 1024);
    let mut kept = 0;
    for section in custom_sections(component).filter(|s| replaced(s.name)) {
        out.extend_from_slice(component.get(kept..section.whole.start).unwrap_or_default());
        kept = section.whole.end;
    }
    out.extend_from_slice(component.get(kept..).unwrap_or_default());
    let mut names = ComponentNameSection::new();
    names.component(&claims.name);
    names.append_to_component(&mut out);
    for (name, text) in sections.into_iter().filter(|(_, text)| !text.is_empty()) {
        let section = CustomSection {
            name: Cow::Borrowed(name),
            data: Cow::Borrowed(text.as_bytes()),
        };
        section.append_to_component(&mut out);
    }
    out
}

/// The component's own name in its name section.
fn own_name(data: &[u8]) -> Result<Option<String>, ()> {
    for part in ComponentNameSectionReader::new(BinaryReader::new(data, 0)) {
        if let ComponentName::Component { name, .. } = part.map_err(|_| ())? {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// A custom section of the outermost level.
struct Section<'a> {
    name: &'a str,
    data: &'a [u8],
    /// Where it lies, with its id and size.
    whole: Range<usize>,
}

/// The custom sections of the outermost level, as far as the bytes can be followed.
fn custom_sections(component: &[u8]) -> impl Iterator<Item = Section<'_>> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        loop {
            let start = at;
            let id = *component.get(start)?;
            let mut reader = BinaryReader::new(component.get(start + 1..)?, 0);
            let size = usize::try_from(reader.read_var_u32().ok()?).ok()?;
            let body = start + 1 + reader.current_position();
            at = body.checked_add(size)?;
            let content = component.get(body..at)?;
            if id != CUSTOM {
                continue;
            }
            let mut reader = BinaryReader::new(content, 0);
            let name = reader.read_string().ok()?;
            let data = content.get(reader.current_position()..)?;
            return Some(Section {
                name,
                data,
                whole: start..at,
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            name: "team".into(),
            version: "1.2.3".into(),
            description: "Sets a label".into(),
            license: "Apache-2.0".into(),
            source: "https://git.example/team".into(),
            role: "transformer".into(),
        }
    }

    fn said(text: &str) -> Claim {
        Claim::Said(text.into())
    }

    fn empty() -> Vec<u8> {
        wat::parse_str("(component (core module))").unwrap()
    }

    fn with_section(name: &str, data: &[u8]) -> Vec<u8> {
        let mut out = empty();
        let section = CustomSection {
            name: name.into(),
            data: data.into(),
        };
        section.append_to_component(&mut out);
        out
    }

    #[test]
    fn what_is_written_is_read_again_and_the_component_is_as_before() {
        let component = with_claims(&empty(), &claims());
        let metadata = read(&component);
        assert_eq!(metadata.name, said("team"));
        assert_eq!(metadata.version, said("1.2.3"));
        assert_eq!(metadata.description, said("Sets a label"));
        assert_eq!(metadata.license, said("Apache-2.0"));
        assert_eq!(metadata.source, said("https://git.example/team"));
        assert_eq!(metadata.role, said("transformer"));
        assert!(component.starts_with(&empty()), "nothing else changes");
        wasmparser::Validator::new()
            .validate_all(&component)
            .unwrap();
    }

    #[test]
    fn claims_take_the_place_of_older_ones() {
        let before = with_claims(&empty(), &claims());
        let newer = Claims {
            version: "2.0.0".into(),
            description: String::new(),
            ..claims()
        };
        let component = with_claims(&before, &newer);
        assert_eq!(component, with_claims(&empty(), &newer));
        assert_eq!(read(&component).version, said("2.0.0"));
        assert_eq!(read(&component).description, Claim::Missing);
    }

    #[test]
    fn a_component_that_says_nothing_claims_nothing() {
        assert_eq!(read(&empty()), Metadata::default());
        assert_eq!(read(b"no component at all"), Metadata::default());
        assert_eq!(read(b""), Metadata::default());
    }

    #[test]
    fn a_claim_that_is_no_text_is_shown_as_that() {
        let long = "x".repeat(MAX_CLAIM + 1);
        for (data, why) in [
            (&[0xff, 0xfe][..], "it is not UTF-8"),
            (b"1.0\nsigner: trusted", "it has control characters"),
            (long.as_bytes(), "longer than 2000 bytes"),
        ] {
            let metadata = read(&with_section("version", data));
            assert_eq!(metadata.version, Claim::Unreadable(why));
        }
        let metadata = read(&with_section(NAME, &[0, 0xff]));
        assert_eq!(
            metadata.name,
            Claim::Unreadable("the name section is malformed")
        );
    }

    #[test]
    fn a_claim_that_is_made_twice_is_none() {
        let mut twice = with_section("source", b"https://a.example");
        let section = CustomSection {
            name: "source".into(),
            data: b"https://b.example".into(),
        };
        section.append_to_component(&mut twice);
        assert_eq!(
            read(&twice).source,
            Claim::Unreadable("it is said more than once")
        );
    }

    #[test]
    fn what_a_module_inside_says_is_not_the_components() {
        let inner = wat::parse_str(r#"(component (core module (@custom "version" "9.9.9")))"#);
        assert_eq!(read(&inner.unwrap()).version, Claim::Missing);
    }
}
