//! Markers in a text: `${weir:NAME}`, `${weir:NAME|text}`, and `$${weir:`, which stands for `${weir:`.

/// How a marker begins. No shell, template or other tool has a variable of this form.
pub(crate) const OPENING: &str = "${weir:";

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Marker(Marker<'a>),
}

/// A place for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker<'a> {
    pub(crate) name: &'a str,
    /// Whether the value is text here, whatever it is elsewhere.
    pub(crate) as_text: bool,
}

/// The parts of a text, in order.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPENING) {
        if let Some(before) = before.strip_suffix('$') {
            pieces.push(Piece::Text(before));
            pieces.push(Piece::Text(OPENING));
            rest = after;
            continue;
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let (inside, after) = after.split_once('}').ok_or_else(|| {
            format!("`{OPENING}` without its `}}`: write {OPENING}NAME}}, or $${{weir: where it is meant as it stands")
        })?;
        let (name, as_text) = match inside.split_once('|') {
            Some((name, "text")) => (name, true),
            None => (inside, false),
            Some((name, other)) => {
                return Err(format!(
                    "`{OPENING}{name}|{other}}}`: after the `|` only `text` is known"
                ));
            }
        };
        if !is_name(name) {
            return Err(format!(
                "`{OPENING}{inside}}}` names no value: letters, digits, `_`, `.` and `-`, and a letter or `_` first"
            ));
        }
        pieces.push(Piece::Marker(Marker { name, as_text }));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

pub(crate) fn is_name(name: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    name.bytes().next().is_some_and(first)
        && name
            .bytes()
            .all(|b| first(b) || b.is_ascii_digit() || b == b'.' || b == b'-')
}
