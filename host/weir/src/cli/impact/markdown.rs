//! An impact as a comment on a pull request: what matters most comes first, and all of it fits.

use weir_core::impact::{AppChange, AppImpact, CommonKeys};
use weir_core::name::AppName;

use super::Report;
use super::lines::{self, Line};

/// The largest comment, in bytes. GitHub and Gitea take 65,536 characters, GitLab a million.
pub(super) const COMMENT: usize = 60_000;
/// Kept for what says what was left out, in bytes.
const TAIL: usize = 2_000;
/// How many apps one list names.
const NAMES: usize = 20;
/// What is said for many apps, and plugins: so many lines of each at most.
const LINES: usize = 50;
/// An app that does not fit is shown in part where so many bytes are left.
const WORTH: usize = 1_000;
/// The longest line of an error, in characters.
const LINE: usize = 500;

/// The comment, of so many bytes at most.
pub(super) fn markdown(report: &Report, room: usize) -> String {
    let impact = &report.impact;
    let keys = impact.common_keys();
    let mut out = format!(
        "## {}\n\nfrom `{}` to `{}`\n",
        lines::headline(impact),
        plain(&report.from),
        plain(&report.to)
    );
    let plugins = impact.plugins.iter().map(lines::plugin);
    for plugin in plugins.take(LINES) {
        out.push_str(&format!("\n- {plugin}\n"));
    }
    if !impact.common.is_empty() {
        let common: Vec<Line> = impact
            .common
            .iter()
            .take(LINES)
            .map(lines::common)
            .collect();
        out.push_str("\n### The same in many apps\n\n");
        out.push_str(&fence(&common));
        let more = impact.common.len().saturating_sub(LINES);
        if more > 0 {
            out.push_str(&format!(
                "\nand {} like these\n",
                lines::count(more, "change")
            ));
        }
        let said = lines::said(impact, &keys);
        if !said.is_empty() {
            out.push_str(&format!(
                "\nNothing else changes in {}.\n",
                named("app", &said)
            ));
        }
    }
    let mut apps: Vec<&AppImpact> = impact
        .changes
        .iter()
        .filter(|app| !lines::is_said(app, &keys))
        .collect();
    // Stable: within one rank they stay in order of name.
    apps.sort_by_key(|app| rank(app));
    let room = room.saturating_sub(TAIL);
    let mut left_out: Vec<&AppName> = Vec::new();
    let mut cut_off = 0;
    for app in apps {
        let free = room.saturating_sub(out.len());
        // In order: after the first one that does not fit, no other one is let in.
        let section = match left_out.is_empty() {
            true => section(app, &keys, free),
            false => None,
        };
        match section {
            Some((text, missing)) => {
                out.push_str(&text);
                cut_off += missing;
            }
            None => left_out.push(&app.app),
        }
    }
    for app in &impact.unrendered {
        let lines: Vec<Line> = error(&app.error);
        let text = format!(
            "\n<details><summary><b>{}</b>: can be rendered on neither side</summary>\n\n{}\n</details>\n",
            app.app,
            fence(&lines)
        );
        if left_out.is_empty() && out.len() + text.len() <= room {
            out.push_str(&text);
        } else {
            left_out.push(&app.app);
        }
    }
    out.push_str(&tail(&left_out, cut_off));
    out
}

/// What a person has to see first.
fn rank(app: &AppImpact) -> usize {
    match (&app.change, &app.held) {
        (AppChange::Broken { .. }, _) => 0,
        (_, Some(_)) => 1,
        (AppChange::Removed, None) => 2,
        _ => 3,
    }
}

/// One app in so many bytes, and how many of its lines are left out; nothing where too little would be left of it.
fn section(app: &AppImpact, keys: &CommonKeys, free: usize) -> Option<(String, usize)> {
    let mut lines: Vec<Line> = lines::own(app, keys);
    for line in &mut lines {
        shorten(&mut line.text);
    }
    let all = lines.len();
    let text = |lines: &[Line]| {
        let open = if rank(app) < 2 { " open" } else { "" };
        let heading = lines::heading(app);
        let more = match all - lines.len() {
            0 => String::new(),
            more => format!("\nand {} of it\n", lines::count(more, "more line")),
        };
        format!(
            "\n<details{open}><summary><b>{}</b>: {heading}</summary>\n\n{}{more}\n</details>\n",
            app.app,
            fence(lines)
        )
    };
    let whole = text(&lines);
    if whole.len() <= free {
        return Some((whole, 0));
    }
    if free < WORTH {
        return None;
    }
    // Half of what is left until it fits: a comment is small.
    let mut kept = lines.len();
    while kept > 0 {
        kept /= 2;
        let part = text(lines.get(..kept)?);
        if part.len() <= free {
            return Some((part, all - kept));
        }
    }
    None
}

fn error(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = lines::error(text).take(LINES).collect();
    lines.iter_mut().for_each(|line| shorten(&mut line.text));
    lines
}

fn shorten(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(LINE) {
        text.truncate(at);
        text.push('…');
    }
}

/// Lines in a fence that nothing in them can end: what they hold comes from a stranger's branch.
fn fence(lines: &[Line]) -> String {
    let ticks = lines.iter().map(|l| longest_ticks(&l.text)).max();
    let fence = "`".repeat(ticks.unwrap_or(0).max(2) + 1);
    let mut out = format!("{fence}diff\n");
    for line in lines {
        // What a forge paints: + green, - red, ! orange, # grey.
        let sign = match line.sign {
            '~' => '!',
            '!' => '#',
            sign => sign,
        };
        let indent = "  ".repeat(line.depth);
        out.push_str(&format!("{sign} {indent}{}\n", line.text));
    }
    out.push_str(&fence);
    out.push('\n');
    out
}

/// The longest run of backticks.
fn longest_ticks(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// Words of a command line inside backticks.
fn plain(text: &str) -> String {
    text.replace(|c: char| c == '`' || c.is_control(), " ")
}

/// `3 apps: a, b, c`, of which some are named.
fn named(what: &str, apps: &[&AppName]) -> String {
    let names: Vec<&str> = apps.iter().take(NAMES).map(|app| app.as_str()).collect();
    let more = match apps.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{}: {}{more}",
        lines::count(apps.len(), what),
        names.join(", ")
    )
}

/// What was left out.
fn tail(apps: &[&AppName], lines: usize) -> String {
    let mut parts = Vec::new();
    if !apps.is_empty() {
        parts.push(named("app", apps));
    }
    if lines > 0 {
        parts.push(lines::count(lines, "line"));
    }
    if parts.is_empty() {
        return String::new();
    }
    format!(
        "\n**Left out, since a comment has to be small:** {}. `weir impact` prints all of it.\n",
        parts.join("; and ")
    )
}

#[cfg(test)]
mod tests;
