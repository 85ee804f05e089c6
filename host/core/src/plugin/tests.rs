//! References to plugins in registries, and patterns of them: what is read, what is refused, what matches.

use proptest::prelude::*;

use super::*;

const HEX: &str = "abababababababababababababababababababababababababababababababab";

fn parsed(text: &str) -> PluginReference {
    text.parse().unwrap()
}

#[test]
fn a_reference_has_a_tag_or_a_digest_or_both() {
    let tagged = parsed("oci://r.example:5000/team/labels:1.2");
    assert_eq!(tagged.host().to_string(), "r.example:5000");
    assert_eq!(tagged.path(), "team/labels");
    assert_eq!((tagged.tag(), tagged.digest()), (Some("1.2"), None));
    assert_eq!(tagged.repository(), "oci://r.example:5000/team/labels");
    let exact = parsed(&format!("oci://[::1]:5000/labels@sha256:{HEX}"));
    assert_eq!(exact.tag(), None);
    assert_eq!(exact.digest().map(|d| d.hex()).as_deref(), Some(HEX));
    let both = format!("oci://r.example/labels:v1@sha256:{HEX}");
    assert_eq!(parsed(&both).to_string(), both);
    assert_eq!(parsed(&both).tag(), Some("v1"));
}

#[test]
fn what_is_no_reference_is_refused_with_what_is_wrong() {
    let long = "x".repeat(1024);
    let short = &HEX[1..];
    for (text, why) in [
        ("", "does not begin with oci://"),
        ("r.example/a:1", "does not begin with oci://"),
        ("OCI://r.example/a:1", "does not begin with oci://"),
        ("oci://", "no / after the registry"),
        ("oci://r.example", "no / after the registry"),
        ("oci:///a:1", "is no host"),
        ("oci://u:p@r.example/a:1", "user and password"),
        ("oci://r.example:0/a:1", "a port is a number"),
        ("oci://r.example:99999/a:1", "a port is a number"),
        ("oci://R.example/a:1", "it is written oci://r.example/a:1"),
        (
            "oci://r.example:0443/a:1",
            "it is written oci://r.example:443/a:1",
        ),
        ("oci://r.example/:1", "is no name in a registry"),
        ("oci://r.example/A:1", "is no name in a registry"),
        ("oci://r.example/a//b:1", "is no name in a registry"),
        ("oci://r.example/../a:1", "is no name in a registry"),
        ("oci://r.example/a?version=1", "is no name in a registry"),
        ("oci://r.example/a#x:1", "is no name in a registry"),
        ("oci://r.example/a b:1", "is no name in a registry"),
        ("oci://r.example/a", "neither a tag nor a digest"),
        ("oci://r.example/a:", "is no tag"),
        ("oci://r.example/a:.x", "is no tag"),
        ("oci://r.example/a:-x", "is no tag"),
        ("oci://r.example/a:1+2", "is no tag"),
        ("oci://r.example/a:1/b", "is no tag"),
        ("oci://r.example/a:1:2", "is no tag"),
        ("oci://r.example/a@", "after the @"),
        ("oci://r.example/a@latest", "after the @"),
        ("oci://r.example/a@sha512:00", "after the @"),
        (&format!("oci://r.example/a@sha256:{short}"), "after the @"),
        (&format!("oci://r.example/a@sha256:{HEX}:1"), "after the @"),
        (
            &format!("oci://r.example/a@sha256:{}", HEX.to_uppercase()),
            "after the @",
        ),
        (&format!("oci://r.example/a:{}", &long[..129]), "is no tag"),
        (&format!("oci://r.example/a:{long}"), "longer than"),
    ] {
        let error = text.parse::<PluginReference>().unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
        assert!(error.contains("expected oci://HOST/PATH:TAG"), "{error}");
        assert!(error.len() < 900, "{error}");
    }
}

#[test]
fn a_password_in_a_reference_is_not_repeated() {
    for text in [
        "oci://ann:hunter2@r.example/a:1",
        "oci://hunter2@r.example",
        "hunter2@x/a:1",
    ] {
        for error in [
            text.parse::<PluginReference>().unwrap_err().to_string(),
            text.parse::<SourcePattern>().unwrap_err().to_string(),
        ] {
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn a_pattern_is_of_one_repository_or_of_all_below_and_never_of_the_start_of_a_name() {
    for (pattern, reference, matches) in [
        ("oci://r.example/team/", "oci://r.example/team/a:1", true),
        ("oci://r.example/team/", "oci://r.example/team/a/b:1", true),
        ("oci://r.example/team/", "oci://r.example/team:1", false),
        (
            "oci://r.example/team/",
            "oci://r.example/team-evil/a:1",
            false,
        ),
        ("oci://r.example/team", "oci://r.example/team:1", true),
        ("oci://r.example/team", "oci://r.example/team/a:1", false),
        ("oci://r.example/team", "oci://r.example/team-evil:1", false),
        ("oci://r.example/", "oci://r.example/any/thing:1", true),
        ("oci://r.example/", "oci://r.example:443/a:1", true),
        ("oci://r.example/", "oci://r.example:444/a:1", false),
        ("oci://r.example/", "oci://r.example.evil/a:1", false),
        ("oci://r.example/", "oci://x.r.example/a:1", false),
        ("oci://localhost/", "oci://localhost:80/a:1", true),
        ("oci://localhost/", "oci://localhost:443/a:1", false),
    ] {
        let pattern: RegistryPattern = pattern.parse().unwrap();
        assert_eq!(
            pattern.matches(&parsed(reference)),
            matches,
            "{pattern} {reference}"
        );
    }
}

#[test]
fn a_pattern_of_another_kind_of_source_matches_none() {
    let sources = ["bundled:yaml", "file:a.wasm", "oci://r.example/a:1"];
    for (pattern, matching) in [("bundled", 0), ("file", 1), ("oci://r.example/", 2)] {
        let pattern: SourcePattern = pattern.parse().unwrap();
        for (n, source) in sources.iter().enumerate() {
            let source: PluginSource = source.parse().unwrap();
            assert_eq!(
                pattern.matches(&source),
                n == matching,
                "{pattern} {source}"
            );
        }
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    for bad in [
        "",
        "*",
        "bundled:",
        "bundled:yaml",
        "file:",
        "oci://",
        "oci://r.example",
        "oci://*/",
        "oci://*.example/",
        "oci://r.example/a*",
        "oci://r.example//",
        "oci://r.example/a:1",
        "oci://r.example/A/",
        "oci://R.example/",
        "https://r.example/",
    ] {
        let error = bad.parse::<SourcePattern>().unwrap_err().to_string();
        assert!(
            error.contains("expected bundled, file, oci://"),
            "{bad}: {error}"
        );
    }
}

proptest! {
    #[test]
    fn whatever_text_is_a_reference_is_its_own_text(text in "(oci://)?[a-z0-9.:\\[\\]]{0,12}/[a-z0-9/._-]{0,16}(:[a-zA-Z0-9._-]{0,8})?(@sha256:[0-9a-f]{64})?") {
        if let Ok(reference) = text.parse::<PluginReference>() {
            prop_assert_eq!(reference.to_string(), text);
            prop_assert!(reference.tag().is_some() || reference.digest().is_some());
        }
    }

    #[test]
    fn whatever_bytes_come_nothing_panics(text in ".{0,80}") {
        let _ = text.parse::<PluginReference>().map_err(|e| e.to_string());
        let _ = text.parse::<SourcePattern>().map_err(|e| e.to_string());
    }

    #[test]
    fn whoever_is_below_a_pattern_is_matched_and_no_other_host_is(
        host in "[a-z]{1,8}", other in "[a-z]{1,8}", path in "[a-z]{1,5}(/[a-z]{1,5}){0,2}", more in "[a-z]{1,5}",
    ) {
        let pattern: RegistryPattern = format!("oci://{host}/{path}/").parse().unwrap();
        let below = format!("{path}/{more}:1");
        let reference = parsed(&format!("oci://{host}/{below}"));
        prop_assert!(pattern.matches(&reference));
        let elsewhere = format!("oci://{other}/{below}");
        prop_assert_eq!(pattern.matches(&parsed(&elsewhere)), host == other);
        let beside = format!("oci://{host}/{path}{more}:1");
        prop_assert!(!pattern.matches(&parsed(&beside)));
    }
}
