//! An impact for a terminal.

use weir_core::name::AppName;

use super::Report;
use super::lines::{self, Line};
use crate::cli::diff;

/// All of it.
pub(super) fn text(report: &Report, colour: bool) -> String {
    let impact = &report.impact;
    let keys = impact.common_keys();
    let mut out = format!(
        "{}, from {} to {}\n",
        lines::headline(impact),
        report.from,
        report.to
    );
    for plugin in &impact.plugins {
        out.push_str(&format!("{}\n", lines::plugin(plugin)));
    }
    if !impact.common.is_empty() {
        out.push_str("\nthe same in many apps\n");
        for common in &impact.common {
            out.push_str(&shown(&lines::common(common), colour));
        }
        let said = lines::said(impact, &keys);
        if !said.is_empty() {
            let names: Vec<&str> = said.iter().map(|app| AppName::as_str(app)).collect();
            out.push_str(&format!(
                "  nothing else changes in {}: {}\n",
                lines::count(said.len(), "app"),
                names.join(", ")
            ));
        }
    }
    for app in impact
        .changes
        .iter()
        .filter(|app| !lines::is_said(app, &keys))
    {
        out.push_str(&format!("\napp {}: {}\n", app.app, lines::heading(app)));
        for line in lines::own(app, &keys) {
            out.push_str(&shown(&line, colour));
        }
    }
    for app in &impact.unrendered {
        out.push_str(&format!(
            "\napp {}: can be rendered on neither side, so nothing is known of it\n",
            app.app
        ));
        for line in lines::error(&app.error) {
            out.push_str(&shown(&line, colour));
        }
    }
    out
}

fn shown(line: &Line, colour: bool) -> String {
    let indent = "  ".repeat(line.depth);
    let text = diff::line(line.sign, &format!(" {}", line.text), colour);
    format!("{indent}{text}")
}
