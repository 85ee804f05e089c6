//! What cannot be got: the same words, the same fault and the same time of another try in both ways.

use std::time::Duration;

use serde_json::{Value, json};
use weir_core::external::{LockedExternal, Reference};
use weir_core::plugin::RegistryPin;
use weir_tests::Auth;
use weir_tests::charts::{Answer, archive, sha256};
use weir_tests::registry::{MANIFEST, WASM_LAYER, descriptor};

use crate::rig::{
    Rig, blob_at, chart, chart_of, got, kept, manifest, manifest_at, pin, shown, signed, watched,
};

const FILE: &str = "/stable/files/web-1.0.0.tgz";
const INDEX: &str = "/stable/index.yaml";

/// What is wrong, how it comes about, and how the error begins.
type Case = (&'static str, fn(&mut Rig), &'static str);

fn status(rig: &Rig, path: &str, status: u16) {
    let answer = Answer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    };
    rig.server.answer(path, answer);
}

/// Of a chart in a chart repository.
const CHARTS: [Case; 22] = [
    (
        "no credentials",
        |rig| rig.server.require(Auth::Token("hunter2".to_owned())),
        "unauthorized Backoff Host",
    ),
    (
        "wrong credentials",
        |rig| {
            rig.server.require(Auth::Token("hunter2".to_owned()));
            rig.shows(&rig.server.host(), "ann", "hunter3");
        },
        "unauthorized Backoff Host",
    ),
    (
        "403",
        |rig| status(rig, INDEX, 403),
        "unauthorized Backoff Host",
    ),
    (
        "no index",
        |rig| rig.server.remove(INDEX),
        "not-found Backoff Repository",
    ),
    (
        "500",
        |rig| status(rig, INDEX, 500),
        "unreachable Backoff Host",
    ),
    (
        "429",
        |rig| status(rig, FILE, 429),
        "unreachable Backoff Host",
    ),
    (
        "an index that is none",
        |rig| rig.server.file(INDEX, "[\u{7}"),
        "refused OnChange Repository",
    ),
    (
        "no archive",
        |rig| rig.server.remove(FILE),
        "not-found Backoff Repository",
    ),
    (
        "another archive than the index says",
        |rig| rig.server.file(FILE, chart("evil")),
        "changed Backoff Repository",
    ),
    (
        "an archive that breaks off",
        |rig| rig.server.cut(FILE, 20),
        "unreachable Backoff Host",
    ),
    (
        "an archive without end",
        |rig| rig.server.endless(FILE, &[0; 4 << 10]),
        "limit OnChange Repository",
    ),
    (
        "a page",
        |rig| rig.server.charts(&[("web", "1.0.0", b"<html>")]),
        "refused OnChange Repository",
    ),
    (
        "a bomb",
        |rig| {
            let zeros = "0".repeat(16 << 20);
            let bomb = archive("web", "1.0.0", &[("a", &zeros)]).unwrap();
            rig.server.charts(&[("web", "1.0.0", &bomb)]);
        },
        "limit OnChange Repository",
    ),
    (
        "a redirect with a password",
        |rig| {
            rig.server
                .redirect(FILE, "http://ann:hunter2@127.0.0.1:1/x");
        },
        "refused OnChange Repository",
    ),
    (
        "a redirect to nowhere",
        |rig| rig.server.redirect(FILE, "http://127.0.0.1:1/x"),
        "unreachable Backoff Host",
    ),
    (
        "redirects in a circle",
        |rig| rig.server.redirect(FILE, FILE),
        "limit OnChange Repository",
    ),
    (
        "a redirect off this machine",
        |rig| rig.server.redirect(FILE, "http://a.example/x"),
        "not-allowed OnChange Host",
    ),
    (
        "a host that is not named",
        |rig| rig.policy.hosts = Some(vec!["a.example".parse().unwrap()]),
        "not-allowed OnChange Host",
    ),
    (
        "an authority that is not there",
        |rig| {
            let host = rig.server.host();
            rig.shows(&host, "ann", "x").ca_file = Some("/nowhere/ca.pem".into());
        },
        "git Backoff Host",
    ),
    (
        "an authority that is none",
        |rig| {
            let (host, file) = (rig.server.host(), rig.dir.path().join("ca.pem"));
            std::fs::write(&file, "no PEM").unwrap();
            rig.shows(&host, "ann", "x").ca_file = Some(file);
        },
        "git OnChange Host",
    ),
    (
        "credentials that could not be read",
        |rig| {
            let host = rig.server.host();
            rig.shows(&host, "ann", "x").unreadable = Some("its file is gone".to_owned());
        },
        "unreachable Backoff Host",
    ),
    (
        "no time",
        |rig| rig.limits.time = Duration::ZERO,
        "unreachable Backoff Host",
    ),
];

#[test]
fn each_failure_of_a_chart_has_the_same_words_in_both_ways() {
    for (what, set, begins) in CHARTS {
        let mut rig = Rig::new();
        rig.limits.archive_bytes = 1 << 20;
        let reference = rig.has_chart();
        set(&mut rig);
        let said = rig.same(what, |externals| chart_of(externals, &reference));
        assert!(said.starts_with(begins), "{what}: {said}");
        assert!(said.contains(&reference), "{what}: {said}");
        assert!(!said.contains("hunter"), "{what}: {said}");
        assert_eq!(kept(&rig.cache()), 0, "{what}");
    }
}

#[test]
fn references_that_mean_nothing_have_the_same_words_in_both_ways() {
    let rig = Rig::new();
    rig.has_chart();
    let host = rig.server.host();
    let image = json!({ "mediaType": MANIFEST, "config": descriptor("x", b"{}"), "layers": [] });
    rig.has_manifest(&image, MANIFEST);
    for (reference, words) in [
        (rig.server.reference("web", "2"), "no version of web"),
        (rig.server.reference("wbe", ""), "has no chart"),
        (rig.server.reference("web", "no!"), "is no version"),
        (
            format!("oci://{host}/nothing?version=1.0.0"),
            "has no repository",
        ),
        (format!("oci://{host}/nothing"), "has no repository"),
        (
            format!("oci://{host}/team/labels?version=1"),
            "has no repository",
        ),
        (
            "oci://registry.invalid/x?version=1.0.0".to_owned(),
            "cannot be reached",
        ),
        ("helm+https://127.0.0.1:1/x?chart=web".to_owned(), "refused"),
        ("helm+http://a.example/x?chart=web".to_owned(), "plain http"),
    ] {
        let said = rig.same(&reference, |externals| chart_of(externals, &reference));
        assert!(said.contains(words), "{said}");
        assert!(said.contains(&reference), "{said}");
    }
}

#[test]
fn a_version_that_was_changed_after_it_was_pinned_has_the_same_words_in_both_ways() {
    let rig = Rig::new();
    let reference: Reference = rig.has_chart().parse().unwrap();
    let evil = chart("evil");
    let (old, size) = (chart("good"), evil.len() as u64);
    rig.server.charts(&[("web", "1.0.0", &evil)]);
    let pin = |bytes: &[u8]| LockedExternal::Chart {
        version: "1.0.0".to_owned(),
        digest: format!("sha256:{}", sha256(bytes)).parse().unwrap(),
        size,
    };
    let said = rig.same("changed", |e| shown(e, &reference, &pin(&old)));
    assert!(said.starts_with("changed"), "{said}");
    assert!(
        said.contains(&sha256(&old)) && said.contains(&sha256(&evil)),
        "{said}"
    );
    assert_eq!(kept(&rig.cache()), 0);
    // What is no archive is not read where it is not what is pinned, and is refused where it is.
    rig.server.charts(&[("web", "1.0.0", b"<html>")]);
    let said = rig.same("a page", |e| shown(e, &reference, &pin(&old)));
    assert!(said.starts_with("changed"), "{said}");
    let said = rig.same("a page that is pinned", |e| {
        shown(e, &reference, &pin(b"<html>"))
    });
    assert!(said.starts_with("refused"), "{said}");
    rig.server.charts(&[("web", "2.0.0", &evil)]);
    let said = rig.same("gone", |e| shown(e, &reference, &pin(&old)));
    assert!(said.contains("no version 1.0.0 any more"), "{said}");
    let oci = format!(
        "oci://{}/{}?version=1",
        rig.server.host(),
        crate::rig::PLUGIN
    );
    let oci: Reference = oci.parse().unwrap();
    let said = rig.same("no blob", |e| shown(e, &oci, &pin(&old)));
    assert!(said.starts_with("not-found"), "{said}");
    rig.server.file(&blob_at(&old), evil);
    let said = rig.same("another blob", |e| shown(e, &oci, &pin(&old)));
    assert!(said.starts_with("changed"), "{said}");
    assert_eq!(kept(&rig.cache()), 0);
}

/// The manifest of a component with one thing exchanged.
fn with(component: &[u8], pointer: &str, value: Value) -> Value {
    let mut manifest = manifest(component);
    *manifest.pointer_mut(pointer).unwrap() = value;
    manifest
}

#[test]
fn each_flaw_of_a_plugins_manifest_has_the_same_words_in_both_ways() {
    let component = vec![1; 1000];
    let layer = descriptor(WASM_LAYER, &component);
    let list = json!({ "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [] });
    for (manifest, media_type, begins) in [
        (json!("log in"), MANIFEST, "manifest"),
        (list, MANIFEST, "index"),
        (manifest(&component), "text/html", "media-type"),
        (
            with(&component, "/config/mediaType", json!("x/y")),
            MANIFEST,
            "media-type",
        ),
        (with(&component, "/layers", json!([])), MANIFEST, "no-layer"),
        (
            with(&component, "/layers", json!([layer, layer])),
            MANIFEST,
            "layers",
        ),
        (
            with(&component, "/layers/0/digest", json!("x")),
            MANIFEST,
            "digest",
        ),
        (
            with(&component, "/layers/0/size", json!(u64::MAX)),
            MANIFEST,
            "size",
        ),
    ] {
        let rig = Rig::new();
        rig.has_manifest(&manifest, media_type);
        let reference = rig.plugin();
        let said = rig.same(begins, |e| {
            got(watched(|watch| e.plugin_named(&reference, watch)))
        });
        let start = format!("{begins} OnChange Repository: {reference}");
        assert!(said.starts_with(&start), "{said}");
    }
}

/// How the error begins; what the server has instead of one component, of another one; and what the lock says.
type Other = (&'static str, fn(&Rig, &[u8], &[u8]), fn(&mut RegistryPin));

#[test]
fn a_plugin_that_is_not_the_one_that_is_pinned_has_the_same_words_in_both_ways() {
    let (component, other) = (vec![1; 1000], vec![2; 1000]);
    let cases: [Other; 8] = [
        (
            "wrong-bytes",
            |rig, one, other| rig.server.file(&blob_at(one), other),
            |_| {},
        ),
        (
            "wrong-size",
            |rig, one, _| rig.server.file(&blob_at(one), &one[1..]),
            |_| {},
        ),
        (
            "wrong-size",
            |rig, one, _| rig.server.endless(&blob_at(one), &[0; 4 << 10]),
            |_| {},
        ),
        (
            "not-found",
            |rig, one, _| rig.server.remove(&blob_at(one)),
            |_| {},
        ),
        (
            "unreachable",
            |rig, one, _| rig.server.cut(&blob_at(one), 10),
            |_| {},
        ),
        (
            "wrong-bytes",
            |rig, one, other| {
                let at = manifest_at(&pin(one).manifest.to_string());
                rig.server.file(&at, manifest(other).to_string());
            },
            |_| {},
        ),
        ("not-as-locked", |_, _, _| {}, |pin| pin.size -= 1),
        (
            "not-found",
            |_, _, _| {},
            |pin| pin.manifest = pin.component,
        ),
    ];
    for (begins, set, change) in cases {
        let rig = Rig::new();
        let (reference, mut pin) = rig.has_plugin(&component);
        set(&rig, &component, &other);
        change(&mut pin);
        let said = rig.same(begins, |e| {
            got(watched(|watch| e.plugin(&reference, pin, watch)))
        });
        assert!(said.starts_with(begins), "{begins}: {said}");
        assert!(said.contains(&reference.to_string()), "{said}");
    }
}

#[test]
fn signatures_that_cannot_be_had_have_the_same_words_in_both_ways() {
    let rig = Rig::new();
    let (reference, pin) = rig.has_plugin(&[1; 10]);
    let found = |what: &str| {
        rig.same(what, |e| {
            signed(watched(|watch| {
                e.signatures(&reference, pin.manifest, watch)
            }))
        })
    };
    assert_eq!(found("none"), "[]");
    let at = manifest_at(&(pin.manifest.to_string().replace(':', "-") + ".sig"));
    rig.server.file(&at, "[");
    assert!(found("no manifest").starts_with("refused"));
    status(&rig, &at, 500);
    assert!(found("500").starts_with("unreachable"));
    let simple = "application/vnd.dev.cosign.simplesigning.v1+json";
    let mut layer = descriptor(simple, b"x");
    layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": "x" });
    let many = |count: usize| json!({ "layers": vec![layer.clone(); count] }).to_string();
    rig.server.file(&at, many(51));
    assert!(found("too many").starts_with("limit"));
    // What one of them is over is not there: it is said of that one.
    rig.server.file(&at, many(2));
    assert_eq!(found("unreadable").matches("Unreadable").count(), 2);
}
