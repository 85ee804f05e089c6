//! References: what is read, what is refused, and the folder that each one has.

use super::*;

fn parsed(text: &str) -> Reference {
    text.parse().unwrap()
}

fn host(host: &str, port: Option<u16>) -> HostPort {
    HostPort {
        host: host.to_owned(),
        port,
    }
}

#[test]
fn each_form_says_where_which_and_what_version() {
    let oci = parsed("oci://R.example:5000/charts/web?version=%5E1.2");
    assert_eq!(
        *oci.kind(),
        ReferenceKind::Oci {
            host: host("r.example", Some(5000)),
            path: "charts/web".to_owned(),
            version: "^1.2".to_owned(),
        }
    );
    let chart = parsed("helm+https://charts.example/stable/?chart=web&version=1.2.3+build");
    assert_eq!(
        *chart.kind(),
        ReferenceKind::Chart {
            url: WebUrl {
                tls: true,
                host: host("charts.example", None),
                path: "/stable".to_owned()
            },
            chart: "web".to_owned(),
            version: "1.2.3+build".to_owned(),
        }
    );
    let git = parsed("git+http://[::1]:80/team/base.git?ref=refs/tags/v1");
    let ReferenceKind::Git { url, revision } = git.kind() else {
        panic!("{git:?}")
    };
    assert_eq!(
        (url.to_string().as_str(), revision.as_str()),
        ("http://[::1]:80/team/base.git", "refs/tags/v1")
    );
    for (text, version) in [
        ("oci://h/web", ""),
        ("oci://h/web?version=", ""),
        ("oci://h/web?version=%3E%3D1%20%3C2", ">=1 <2"),
    ] {
        let ReferenceKind::Oci { version: seen, .. } = parsed(text).kind().clone() else {
            panic!("{text}")
        };
        assert_eq!(seen, version, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_refused_with_the_forms() {
    for bad in [
        "",
        "web",
        "https://h/x",
        "file:///etc",
        "ssh://h/x",
        "oci://",
        "oci:///web",
        "oci://h",
        "oci://h/Web",
        "oci://h/../x",
        "oci://h/a//b",
        "oci://h/a___b",
        "oci://h/-a",
        "oci://h/web:1.2",
        "oci://h/web@sha256:00",
        "oci://h/web?tag=1",
        "oci://h/web?version=1&version=2",
        "oci://h/web?version=%zz",
        "oci://h/web?version=%0a",
        "oci://u:p@h/web",
        "oci://h:0/web",
        "oci://h:99999/web",
        "oci://h:+80/web",
        "oci://h/web?version=1#x",
        "oci://h /web",
        "oci://h\\x/web",
        "oci://[::1/web",
        "oci://[x]/web",
        "helm+https://h/stable",
        "helm+https://h/stable?chart=",
        "helm+https://h/stable?chart=a/b",
        "helm+https://h/a/../b?chart=web",
        "helm+https://h/a/%2e%2e/b?chart=web",
        "helm+https://h/a%2fb?chart=web",
        "helm+file://h/x?chart=web",
        "git+https://h",
        "git+https://h/",
        "git+ssh://h/x",
        "git+https://h/x?ref=a&depth=1",
        "oci://h\u{e9}/web",
    ] {
        let error = bad.parse::<Reference>().unwrap_err().to_string();
        assert!(
            error.contains("expected") && error.contains("oci://HOST/PATH"),
            "{bad:?}: {error}"
        );
    }
    let long = format!("oci://h/{}", "a".repeat(MAX_REFERENCE));
    assert!(long.parse::<Reference>().is_err());
}

#[test]
fn a_folder_says_its_reference_exactly() {
    let reference = parsed("helm+https://h:1/a_b?chart=web&version=~1+x");
    assert_eq!(
        reference.dir().as_str(),
        ".weir/external/helm+https%3A%2F%2Fh%3A1%2Fa_b%3Fchart=web%26version=~1+x"
    );
    assert_eq!(Reference::unescaped(&reference.escaped()), Ok(reference));
    for bad in [
        "oci%3a%2F%2Fh%2Fweb",
        "oci%3A%2F%2Fh%2F%77eb",
        "oci%3A%2F%2Fh%2Fweb%",
        "oci%3A%2F%2Fh%2Fweb%FF",
        "web",
        "..%2F..",
        "",
    ] {
        assert!(Reference::unescaped(bad).is_err(), "{bad}");
    }
}

#[test]
fn only_this_machines_own_names_are_loopback() {
    for (text, loopback) in [
        ("oci://127.0.0.1:5000/a", true),
        ("oci://localhost/a", true),
        ("oci://[::1]:1/a", true),
        ("oci://127.0.0.2/a", false),
        ("oci://localhost.example/a", false),
        ("oci://10.0.0.1/a", false),
    ] {
        let ReferenceKind::Oci { host, .. } = parsed(text).kind().clone() else {
            panic!("{text}")
        };
        assert_eq!(is_loopback(&host), loopback, "{text}");
    }
}

#[test]
fn a_pin_fits_the_kind_of_its_reference_only() {
    let chart = LockedExternal::Chart {
        version: "1.0.0".to_owned(),
        digest: Digest::of(b""),
        size: 0,
    };
    let commit = LockedExternal::Commit(CommitId::from_bytes([1; 20]));
    for (text, is_git) in [
        ("oci://h/a", false),
        ("helm+http://h/x?chart=a", false),
        ("git+https://h/x", true),
    ] {
        assert_eq!(chart.fits(&parsed(text)), !is_git, "{text}");
        assert_eq!(commit.fits(&parsed(text)), is_git, "{text}");
    }
}
