//! The pages of the bundled plugins: what each config takes is what its page lists.

use super::read;

/// The keys of a serde struct as they are written in a config: its fields, renamed as its attribute says.
fn keys_of(source: &str, name: &str) -> Vec<String> {
    let (before, after) = source.split_once(&format!("struct {name} {{")).unwrap();
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    let body = after.split("\n}").next().unwrap_or_default();
    let fields = body.lines().map(str::trim).filter(|l| !l.starts_with("//"));
    let fields = fields.filter_map(|l| l.split_once(": ").map(|(field, _)| field));
    fields
        .map(|field| field.trim_start_matches("pub ").trim_start_matches("r#"))
        .map(|field| {
            if attributes.contains("kebab-case") {
                return field.replace('_', "-");
            }
            let mut parts = field.split('_');
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |name, part| {
                let (head, tail) = part.split_at(1);
                name + &head.to_uppercase() + tail
            })
        })
        .collect()
}

#[test]
fn each_bundled_plugins_page_lists_the_keys_that_it_takes() {
    let of_sdk = read("plugins/sdk/rust/src/select.rs");
    for (plugin, inner) in [
        ("yaml", &[][..]),
        ("metadata", &[("select", "Select")]),
        ("baseline", &[("checks", "Checks")]),
        ("patch", &[("patches[]", "Patch")]),
        ("images", &[("images[]", "Image"), ("paths[]", "Place")]),
        ("substitute", &[("select", "Select")]),
        ("schema", &[("checks", "Checks")]),
    ] {
        let source = read(&format!("plugins/{plugin}/src/lib.rs"));
        let page = read(&format!("plugins/{plugin}/README.md"));
        let mut keys = keys_of(&source, "Config");
        for (key, name) in inner {
            let source = if *name == "Select" { &of_sdk } else { &source };
            keys.extend(keys_of(source, name).iter().map(|k| format!("{key}.{k}")));
        }
        // The map of checks is listed by its keys only.
        keys.retain(|key| key != "checks");
        let rows = page.lines().filter_map(|l| l.strip_prefix("| `"));
        let mut listed: Vec<&str> = rows.filter_map(|l| l.split('`').next()).collect();
        keys.sort();
        listed.sort_unstable();
        assert_eq!(listed, keys, "plugins/{plugin}/README.md");
    }
}

#[test]
fn the_page_of_jsonnet_lists_the_keys_that_its_config_takes() {
    let source = read("plugins/jsonnet/main.go");
    let keys = source
        .lines()
        .filter_map(|line| line.split_once("`json:\"")?.1.split('"').next());
    let page = read("plugins/jsonnet/README.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed = rows.filter_map(|row| row.split('`').next());
    assert_eq!(listed.collect::<Vec<_>>(), keys.collect::<Vec<_>>());
}

#[test]
fn the_page_of_bundled_plugins_lists_them_all() {
    let source = read("host/xtask/src/plugins.rs");
    let of = |start: &str| {
        source
            .split(start)
            .nth(1)
            .unwrap()
            .split("];")
            .next()
            .unwrap()
    };
    let plain = of("const PLUGINS: [&str; ").split('"').skip(1).step_by(2);
    // Those in Go stand with their folders.
    let in_go = of("const GO_PLUGINS: [(&str, &str); ")
        .split('"')
        .skip(1)
        .step_by(4);
    let mut names: Vec<&str> = plain.chain(in_go).collect();
    let page = read("docs/bundled.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ["));
    let mut listed: Vec<&str> = rows.filter_map(|row| row.split(']').next()).collect();
    names.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, names);
}

#[test]
fn the_page_of_helm_lists_the_keys_that_its_config_takes() {
    let source = read("plugins/helm/config.go");
    let mut keys: Vec<&str> = source
        .lines()
        .filter_map(|line| line.split_once("`json:\"")?.1.split('"').next())
        .collect();
    let page = read("plugins/helm/README.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let mut listed: Vec<&str> = rows
        .take_while(|row| !row.contains("`.Capabilities`"))
        .filter_map(|row| row.split(" | ").next())
        .flat_map(|names| names.split('`').skip(1).step_by(2))
        .collect();
    keys.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, keys);
}
