//! Lines as ssh-keygen and ssh-keyscan write them, and lines that nobody should.

use super::*;

const ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFFzhR2+S4OZpXakEBKYvm1//sWAACj5py8kmlidqJLB";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBIpJJpCCpE864vvFmi9OXgypdGo0Q6GnAhcREARj0Cx0U+7g1WEJIQVZHdRJatLKxiy048CeecPxrDDso2fdz8U=";
/// What `ssh-keygen -H` made of `host.example` and `[host.example]:2222`.
const HASHED: [&str; 2] = [
    "|1|9rI4ql6yJX/+uZFwfCkIYAVOidA=|w6gKP4AAa6HzvMLXemPBrSOq8PE=",
    "|1|+514pEqWZpw2/idE1ym8FBsjlHw=|zb9Lo/Tdd+dbkAvAJRh/sCAu99U=",
];

fn read(text: &str) -> Result<KnownHosts, BrokenLine> {
    parse(text.as_bytes(), KnownHostsLimits::HOST)
}

/// The numbers of the lines about a name.
fn lines(hosts: &KnownHosts, name: &str) -> Vec<usize> {
    hosts.named(&[name.to_owned()]).map(Entry::line).collect()
}

fn refused(text: &str, line: usize, why: &str) {
    let error = read(text).unwrap_err();
    assert_eq!(error.line, line, "{text:?}: {error}");
    assert!(error.why.contains(why), "{text:?}: {error}");
}

#[test]
fn a_fingerprint_is_the_one_that_ssh_keygen_prints() {
    let hosts = read(&format!("h {ED25519}")).unwrap();
    let names = ["h".to_owned()];
    let entry = hosts.named(&names).next().unwrap();
    assert_eq!(
        entry.key().fingerprint(),
        "SHA256:ROvIdEtcpHmckk7m6qU5ETdgBb4eLvmneB1BGdndOQI"
    );
    assert_eq!(entry.key().algorithm(), "ssh-ed25519");
}

#[test]
fn comments_blank_lines_and_line_ends_of_any_kind_are_passed_over() {
    let text = format!("# a\n\n  \t\n\t# b\n h,i\t{ED25519} ann@laptop and more\r\n");
    let hosts = read(&text).unwrap();
    assert_eq!(lines(&hosts, "h"), [5]);
    assert_eq!(lines(&hosts, "i"), [5]);
    assert!(read("").unwrap().is_empty());
    assert!(read("# only words\n").unwrap().is_empty());
}

#[test]
fn a_port_is_part_of_the_name() {
    let hosts = read(&format!("h {ED25519}\n[h]:2222 {ECDSA}\n[::1]:22 {ECDSA}")).unwrap();
    assert_eq!(lines(&hosts, "h"), [1]);
    assert_eq!(lines(&hosts, "[h]:2222"), [2]);
    assert_eq!(lines(&hosts, "[h]:2223"), [0; 0]);
    let both = ["[h]:2222".to_owned(), "h".to_owned()];
    assert_eq!(hosts.named(&both).count(), 2);
}

#[test]
fn patterns_match_as_in_ssh_and_a_negation_takes_the_line_away() {
    for (hosts, name, expected) in [
        ("git.example", "git.example", true),
        ("GIT.example", "git.example", true),
        ("git.example", "git.example.evil", false),
        ("*.example", "git.example", true),
        ("*.example", "a.b.example", true),
        ("*.example", ".example", true),
        ("*.example", "example", false),
        ("*", "anything", true),
        ("?", "a", true),
        ("?", "ab", false),
        ("g?t.ex*", "git.example", true),
        ("*a*b*c*", "xxaxxbxxcxx", true),
        ("*a*b*c*", "xxaxxcxxbxx", false),
        ("*.example,!bad.example", "git.example", true),
        ("*.example,!bad.example", "bad.example", false),
        ("!bad.example,*.example", "bad.example", false),
        ("!bad.example", "git.example", false),
        ("[*.example]:2222", "[git.example]:2222", true),
        ("*.example", "[git.example]:2222", false),
        ("192.0.2.*", "192.0.2.7", true),
    ] {
        let read = read(&format!("{hosts} {ED25519}")).unwrap();
        assert_eq!(!lines(&read, name).is_empty(), expected, "{hosts} {name}");
    }
}

#[test]
fn a_pattern_made_to_take_long_does_not() {
    let stars = "*a".repeat(10_000);
    let hosts = read(&format!("{stars}b {ED25519}")).unwrap();
    assert_eq!(lines(&hosts, &"a".repeat(253)), [0; 0]);
}

#[test]
fn a_hashed_host_is_known_by_its_name_alone() {
    let hosts = read(&format!("{} {ED25519}\n{} {ED25519}", HASHED[0], HASHED[1])).unwrap();
    assert_eq!(lines(&hosts, "host.example"), [1]);
    assert_eq!(lines(&hosts, "[host.example]:2222"), [2]);
    assert_eq!(lines(&hosts, "other.example"), [0; 0]);
    assert_eq!(lines(&hosts, ""), [0; 0]);
}

#[test]
fn markers_say_what_a_key_is_for() {
    let text = format!(
        "@revoked * {ED25519}\n@cert-authority *.example {ECDSA}\n@revoked {} {ECDSA}\nh {ED25519}",
        HASHED[0]
    );
    let hosts = read(&text).unwrap();
    let meant = |name: &str| -> Vec<_> {
        let names = [name.to_owned()];
        hosts
            .named(&names)
            .map(|e| (e.line(), e.meaning()))
            .collect()
    };
    assert_eq!(meant("h"), [(1, Meaning::Revoked), (4, Meaning::Own)]);
    assert_eq!(
        meant("host.example"),
        [
            (1, Meaning::Revoked),
            (2, Meaning::Authority),
            (3, Meaning::Revoked)
        ]
    );
}

#[test]
fn a_line_that_ssh_would_pass_over_in_silence_is_refused_at_its_number() {
    let (kind, key) = ED25519.split_once(' ').unwrap();
    for (line, why) in [
        ("host.example".to_owned(), "there is no key type"),
        (format!("host.example {kind}"), "there is no key;"),
        (format!("@revoked {kind} {key}"), "there is no key;"),
        ("@revoked".to_owned(), "there is no host"),
        (
            format!("@Revoked h {kind} {key}"),
            "neither @revoked nor @cert-authority",
        ),
        (
            format!("@trusted h {kind} {key}"),
            "neither @revoked nor @cert-authority",
        ),
        (format!("{kind} {key}"), "there is no key;"),
        (format!("h {kind} {key}=x"), "not base64"),
        (format!("h {kind} {}", &key[..40]), "cut off"),
        (format!("h {kind} AAAA"), "not of the type"),
        (format!("h {kind} /////w=="), "not of the type"),
        (format!("h ssh-rsa {key}"), "but ssh-ed25519"),
        (format!("h ssh-ED25519 {key}"), "but ssh-ed25519"),
        ("h 1024 35 1234567".to_owned(), "ssh 1"),
        (format!(",h {kind} {key}"), "is empty"),
        (format!("h,,i {kind} {key}"), "is empty"),
        (format!("! {kind} {key}"), "is empty"),
        (format!("|1|x {kind} {key}"), "|1|SALT|HASH"),
        (
            format!("|2|{} {kind} {key}", &HASHED[0][3..]),
            "|1|SALT|HASH",
        ),
        (format!("|1|AAAA|AAAA {kind} {key}"), "20 bytes"),
        (format!("{}x {kind} {key}", HASHED[0]), "|1|SALT|HASH"),
        (format!("h\u{1b}[31m {kind} {key}"), "control character"),
        ("<html>404 not found</html>".to_owned(), "not base64"),
    ] {
        refused(&format!("# first\n{line}\n"), 2, why);
    }
    let error = parse(b"h \xff\xfe x", KnownHostsLimits::HOST).unwrap_err();
    assert!(error.why.contains("not text"), "{error}");
}

#[test]
fn each_limit_holds_at_its_edge() {
    let line = format!("a,b {ED25519}");
    let limits = |bytes, lines, line_bytes, patterns| KnownHostsLimits {
        bytes,
        lines,
        line_bytes,
        patterns,
    };
    let length = line.len();
    assert!(parse(line.as_bytes(), limits(length, 1, length, 2)).is_ok());
    for (limits, why) in [
        (limits(length - 1, 1, length, 2), "the file has more than"),
        (limits(length, 0, length, 2), "more than 0 lines"),
        (limits(length, 1, length - 1, 2), "the line has more than"),
        (limits(length, 1, length, 1), "more than 1 hosts"),
    ] {
        let error = parse(line.as_bytes(), limits).unwrap_err();
        assert!(error.why.contains(why), "{error}");
    }
}

#[test]
fn no_text_makes_the_reader_panic() {
    let whole = format!(
        "@revoked !a,*b,{} {ECDSA} x\n{} {ED25519}\n",
        "c", HASHED[1]
    );
    for end in 0..whole.len() {
        let _ = read(&whole[..end]);
        let mut bytes = whole.clone().into_bytes();
        bytes[end] ^= 0x80;
        let _ = parse(&bytes, KnownHostsLimits::HOST);
    }
}
