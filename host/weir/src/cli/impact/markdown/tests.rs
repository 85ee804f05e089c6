//! A comment fits, says what it leaves out, and holds nothing that a stranger's text could break out of.

use std::collections::BTreeSet;

use serde_json::json;
use weir_core::fields::{FieldChange, Shown};
use weir_core::impact::{Change, Impact, ObjectChange, Unrendered};
use weir_core::object::ResourceId;

use super::*;

fn object(name: &str, fields: usize, value: &str) -> ObjectChange {
    let field = |n| FieldChange {
        path: format!("data.k{n}"),
        before: Some(Shown::Plain(json!("old"))),
        after: Some(Shown::Plain(json!(value))),
    };
    ObjectChange {
        object: ResourceId {
            group: String::new(),
            kind: "ConfigMap".to_owned(),
            namespace: None,
            name: name.to_owned(),
        },
        change: Change::Changed,
        fields: (0..fields).map(field).collect(),
    }
}

fn app(name: &str, change: AppChange, objects: Vec<ObjectChange>) -> AppImpact {
    AppImpact {
        app: name.parse().unwrap(),
        change,
        objects,
        target: None,
        held: None,
    }
}

fn report(changes: Vec<AppImpact>, unrendered: Vec<Unrendered>) -> Report {
    Report {
        from: "main (12345678)".to_owned(),
        to: "HEAD (abcdef12)".to_owned(),
        impact: Impact {
            apps: changes.len() + unrendered.len(),
            changed: changes.len(),
            plugins: Vec::new(),
            common: Vec::new(),
            changes,
            unrendered,
        },
    }
}

#[test]
fn whatever_changes_the_comment_fits_and_says_what_it_leaves_out() {
    let broken = |n: usize| AppChange::Broken {
        error: "x".repeat(n),
    };
    for (apps, objects, fields) in [(1, 1, 1), (1, 3000, 2), (3000, 1, 3), (200, 20, 20)] {
        let changes = (0..apps).map(|n| {
            let objects = (0..objects).map(|o| object(&format!("o{o}"), fields, &"v".repeat(90)));
            let change = if n % 7 == 3 {
                broken(n)
            } else {
                AppChange::Changed
            };
            app(&format!("a{n}"), change, objects.collect())
        });
        let report = report(changes.collect(), Vec::new());
        let text = markdown(&report, COMMENT);
        assert!(text.len() <= COMMENT, "{} bytes", text.len());
        let all = text.matches("<details").count();
        assert_eq!(all, text.matches("</details>").count());
        let whole = all == apps && !text.contains("more line");
        assert_eq!(whole, !text.contains("Left out"), "{apps} apps");
    }
}

#[test]
fn what_can_no_longer_be_rendered_comes_first_and_is_open() {
    let error = "no such file".to_owned();
    let changes = vec![
        app("a", AppChange::Changed, vec![object("o", 1, "new")]),
        app("z", AppChange::Broken { error }, Vec::new()),
    ];
    let text = markdown(&report(changes, Vec::new()), COMMENT);
    let at = |what: &str| text.find(what).unwrap();
    assert!(at("<details open><summary><b>z</b>") < at("<details><summary><b>a</b>"));
    assert!(text.contains("# no such file\n"), "{text}");
}

#[test]
fn no_text_of_a_branch_ends_its_fence() {
    let evil = "```\n</details> @everyone ````` <img src=x>";
    let unrendered = Unrendered {
        app: "b".parse().unwrap(),
        error: evil.to_owned(),
    };
    let changes = vec![app("a", AppChange::Changed, vec![object("o", 1, evil)])];
    let text = markdown(&report(changes, vec![unrendered]), COMMENT);
    let (mut fence, mut outside) = (None::<String>, String::new());
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            None if ticks.len() >= 3 => fence = Some(ticks),
            Some(open) if ticks.len() >= open.len() && line.trim_end() == ticks => fence = None,
            None => outside.push_str(&format!("{line}\n")),
            Some(_) => {}
        }
    }
    assert_eq!(fence, None, "{text}");
    assert!(
        !outside.contains("@everyone") && !outside.contains("<img"),
        "{outside}"
    );
    assert_eq!(outside.matches("</details>").count(), 2, "{outside}");
}

#[test]
fn many_apps_are_named_in_part() {
    let apps: Vec<AppName> = (0..25).map(|n| format!("a{n}").parse().unwrap()).collect();
    let text = named("app", &apps.iter().collect::<Vec<_>>());
    assert!(
        text.starts_with("25 apps: a0, a1, ") && text.ends_with(" and 5 more"),
        "{text}"
    );
    let names: BTreeSet<&str> = text
        .split([' ', ','])
        .filter(|w| w.starts_with('a'))
        .collect();
    assert_eq!(
        names
            .iter()
            .filter(|n| n.len() <= 3 && **n != "and")
            .count(),
        NAMES + 1 - 1,
        "{names:?}"
    );
}
