//! The author's guide shows the templates as they are, and its commands do what it says.

use weir_tests::places;
use weir_tests::plugin_project::{machine, run};

fn guide() -> String {
    std::fs::read_to_string(places::root().join("docs/plugins.md")).unwrap()
}

#[test]
fn each_plugin_in_the_guide_is_a_template_as_it_is() {
    let guide = guide();
    let mut shown = 0;
    for piece in guide.split("<!-- host/").skip(1) {
        let (path, rest) = piece.split_once(" -->\n```").unwrap();
        let (_, rest) = rest.split_once('\n').unwrap();
        let (text, _) = rest.split_once("\n```\n").unwrap();
        let path = format!("host/{path}");
        let file = std::fs::read_to_string(places::root().join(&path)).unwrap();
        assert_eq!(format!("{text}\n"), file, "{path}");
        shown += 1;
    }
    assert_eq!(shown, 3, "one for each role");
}

#[test]
fn the_guides_commands_print_what_it_says() {
    let guide = guide();
    let (_, block) = guide.split_once("<!-- run -->\n```console\n").unwrap();
    let (block, _) = block.split_once("```\n").unwrap();
    let mut weir = machine().unwrap();
    let dir = weir.path("guide");
    std::fs::create_dir(&dir).unwrap();
    weir.current_dir(&dir);
    let mut commands = 0;
    for piece in block.split("$ weir plugin ").skip(1) {
        let (command, expected) = piece.split_once('\n').unwrap();
        let said = run(&weir, command.split(' ')).unwrap().success().unwrap();
        assert_eq!(said, expected, "{command}");
        commands += 1;
    }
    assert_eq!(commands, 2);
}

#[test]
fn the_guide_lists_each_key_and_each_command() {
    let guide = guide();
    let read = |path: &str| std::fs::read_to_string(places::root().join(path)).unwrap();
    let keys = |file: &str, start: &str| -> Vec<String> {
        let text = read(file);
        let (_, body) = text.split_once(start).unwrap();
        let body = body.split("\n}").next().unwrap();
        let lines = body
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with('/') && !line.starts_with('#'));
        let names = lines.filter_map(|line| line.split_once(": ").map(|(name, _)| name));
        names
            .map(|name| name.trim_start_matches("pub(super) ").to_owned())
            .collect()
    };
    let of_plugin = keys("host/weir/src/cli/plugin/about.rs", "struct Raw {");
    let of_case = keys(
        "host/weir/src/cli/plugin/case.rs",
        "pub(super) struct Told {",
    );
    assert!(
        of_plugin.len() >= 6 && of_case.len() >= 7,
        "{of_plugin:?} {of_case:?}"
    );
    for key in of_plugin.iter().chain(&of_case) {
        assert!(guide.contains(&format!("\n| `{key}` |")), "{key}");
    }
    let machine = machine().unwrap();
    let help = run(&machine, ["--help"]).unwrap().success().unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.contains(&"bench"), "{help}");
    for name in names.iter().filter(|name| **name != "help") {
        assert!(guide.contains(&format!("| `weir plugin {name} ")), "{name}");
    }
}
