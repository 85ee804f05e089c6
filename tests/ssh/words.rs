//! What the page for operators has to say.

use weir_tests::places;

#[test]
fn every_refusal_of_the_way_to_a_server_has_a_row_on_its_page() {
    let page = std::fs::read_to_string(places::root().join("docs/git.md")).unwrap();
    for kind in [
        "bad-url",
        "unreachable",
        "unauthorized",
        "known-hosts",
        "host-key-unknown",
        "host-key-changed",
        "host-key-revoked",
        "key-refused",
        "bad-key",
        "ssh-program",
        "not-found",
    ] {
        assert!(page.contains(&format!("| `{kind}` |")), "{kind}");
    }
}
