//! An impact in words that text and Markdown share: lines with a sign, values cut around where they differ.

use weir_core::fields::{FieldChange, Shown};
use weir_core::impact::{AppChange, AppImpact, Change, Common, CommonKeys, Impact, PluginChange};
use weir_core::name::AppName;

/// The longest value that is shown whole, in characters.
const LONG: usize = 160;
/// Of a longer one so much is shown before the first difference.
const BEFORE: usize = 30;

/// One line: what it means, how deep it is, what it says.
pub(super) struct Line {
    /// `+`, `-`, `~`, or `!` for what needs a person.
    pub(super) sign: char,
    /// 0 for an object, 1 for its fields.
    pub(super) depth: usize,
    /// Without the sign.
    pub(super) text: String,
}

/// Names and errors come from a stranger's branch: nothing of them moves a terminal's cursor.
fn line(sign: char, depth: usize, text: impl Into<String>) -> Line {
    let text = text.into().replace(char::is_control, " ");
    Line { sign, depth, text }
}

/// An error, line by line.
pub(super) fn error(text: &str) -> impl Iterator<Item = Line> {
    text.lines().map(|text| line('!', 0, text))
}

/// `3 of 412 apps change`.
pub(super) fn headline(impact: &Impact) -> String {
    let verb = if impact.changed == 1 {
        "changes"
    } else {
        "change"
    };
    format!("{} of {} {verb}", impact.changed, count(impact.apps, "app"))
}

/// `1 app`, `2 apps`.
pub(super) fn count(n: usize, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {what}{s}")
}

/// A plugin that is another one.
pub(super) fn plugin(change: &PluginChange) -> String {
    let PluginChange {
        plugin,
        before,
        after,
        apps,
        changed,
    } = change;
    format!(
        "plugin {plugin}: sha256:{} -> sha256:{}, called by {}, of which {changed} change",
        before.short(),
        after.short(),
        count(*apps, "app")
    )
}

/// What many apps share, without its sign.
pub(super) fn common(common: &Common) -> Line {
    let Line { sign, text, .. } = field(&common.field, 0);
    let (apps, objects) = (common.apps.len(), common.objects);
    let objects = match objects == apps {
        true => String::new(),
        false => format!(", {}", count(objects, "object")),
    };
    line(
        sign,
        0,
        format!(
            "in {}{objects}: {}: {text}",
            count(apps, "app"),
            common.kind
        ),
    )
}

/// What becomes of an app, behind its name.
pub(super) fn heading(app: &AppImpact) -> String {
    let objects = |change: Change| app.objects.iter().filter(|o| o.change == change).count();
    let (added, removed, changed) = (
        objects(Change::Added),
        objects(Change::Removed),
        objects(Change::Changed),
    );
    match &app.change {
        AppChange::Added => format!("comes, with {}", count(added, "object")),
        AppChange::Removed => format!("goes, with {}", count(removed, "object")),
        AppChange::Broken { .. } => "can no longer be rendered".to_owned(),
        AppChange::Mended { .. } => {
            format!("can be rendered again, to {}", count(added, "object"))
        }
        AppChange::Changed => {
            let parts = [(added, "added"), (removed, "removed"), (changed, "changed")];
            let parts = parts.iter().filter(|(n, _)| *n > 0);
            let parts: Vec<String> = parts.map(|(n, word)| format!("{n} {word}")).collect();
            match parts.is_empty() {
                true => "lands elsewhere".to_owned(),
                false => parts.join(", "),
            }
        }
    }
}

/// Whether all that changes of it is said for many apps already.
pub(super) fn is_said(app: &AppImpact, keys: &CommonKeys) -> bool {
    let plain = app.change == AppChange::Changed && app.target.is_none() && app.held.is_none();
    plain && own(app, keys).is_empty()
}

/// What changes of an app, without what is said for many.
pub(super) fn own(app: &AppImpact, keys: &CommonKeys) -> Vec<Line> {
    let mut out = Vec::new();
    if let AppChange::Broken { error } = &app.change {
        out.extend(self::error(error));
    }
    if let Some(moved) = &app.target {
        let text = format!(
            "target: {} -> {}: not synced while it has objects in the old one",
            moved.before, moved.after
        );
        out.push(line('~', 0, text));
    }
    if let Some(held) = &app.held {
        let text = format!("would be held for `weir approve`: {}", held.message());
        out.push(line('!', 0, text));
    }
    for object in &app.objects {
        let fields = object.fields.iter();
        let own: Vec<Line> = fields
            .filter(|f| !keys.has(&object.object, f))
            .map(|f| field(f, 1))
            .collect();
        let unseen = object.fields.is_empty() && object.change == Change::Changed;
        if own.is_empty() && object.change == Change::Changed && !unseen {
            continue;
        }
        out.push(line(object.change.sign(), 0, object.object.to_string()));
        if unseen {
            out.push(line(
                '~',
                1,
                "only what a cluster sets by itself, such as status",
            ));
        }
        out.extend(own);
    }
    out
}

/// The apps of which nothing more is to be said.
pub(super) fn said<'a>(impact: &'a Impact, keys: &CommonKeys) -> Vec<&'a AppName> {
    let said = impact.changes.iter().filter(|app| is_said(app, keys));
    said.map(|app| &app.app).collect()
}

/// One field: its sign, and `path: before -> after`.
fn field(change: &FieldChange, depth: usize) -> Line {
    let path = &change.path;
    match (&change.before, &change.after) {
        (Some(Shown::Secret(_)), Some(Shown::Secret(_))) => line(
            '~',
            depth,
            format!("{path}: (secret, before) -> (secret, after)"),
        ),
        (Some(before), Some(after)) => {
            let (before, after) = cut(&before.to_string(), &after.to_string());
            line('~', depth, format!("{path}: {before} -> {after}"))
        }
        (None, Some(after)) => line(
            '+',
            depth,
            format!("{path}: {}", cut(&after.to_string(), "").0),
        ),
        (Some(before), None) => line(
            '-',
            depth,
            format!("{path}: {}", cut(&before.to_string(), "").0),
        ),
        (None, None) => line('~', depth, path.clone()),
    }
}

/// Two values that fit into a line: long ones from a little before their first difference.
fn cut(before: &str, after: &str) -> (String, String) {
    let length = |text: &str| text.chars().count();
    if length(before) <= LONG && length(after) <= LONG {
        return (before.to_owned(), after.to_owned());
    }
    let same = before
        .chars()
        .zip(after.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let start = same.saturating_sub(BEFORE);
    let part = |text: &str| {
        let shown: String = text.chars().skip(start).take(LONG).collect();
        let left = length(text).saturating_sub(start + LONG);
        let first = if start == 0 { "" } else { "…" };
        let last = match left {
            0 => String::new(),
            left => format!("… ({left} more characters)"),
        };
        format!("{first}{shown}{last}")
    };
    (part(before), part(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_around_their_first_difference() {
        let same = "x".repeat(500);
        let (before, after) = cut(&format!("{same}old"), &format!("{same}new, and longer"));
        assert_eq!(before, format!("…{}old", "x".repeat(BEFORE)));
        assert_eq!(after, format!("…{}new, and longer", "x".repeat(BEFORE)));
        let (whole, _) = cut("short", "");
        assert_eq!(whole, "short");
        let (long, _) = cut(&"ä".repeat(200), "");
        assert_eq!(long, format!("{}… (40 more characters)", "ä".repeat(160)));
    }

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!(
            (count(1, "app"), count(0, "app")),
            ("1 app".into(), "0 apps".into())
        );
    }
}
