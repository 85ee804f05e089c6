//! What is got: the same in a process of its own as in the host's.

use weir_core::external::Reference;
use weir_core::plugin::PluginReference;
use weir_source::cosign;
use weir_tests::Auth;
use weir_tests::charts::FileServer;
use weir_tests::registry::Registry;

use crate::rig::{
    Rig, blob_at, chart, chart_of, got, kept, manifest, manifest_at, pin, signed, signing_key,
    watched,
};
use crate::scene::process;

#[test]
fn a_chart_of_a_registry_and_one_of_a_chart_repository_are_the_same_in_both_ways() {
    let registry = Registry::start().unwrap();
    for version in ["1.0.0", "1.1.0_b.2"] {
        let chart = chart(version);
        registry.push_chart("team/web", version, &chart).unwrap();
    }
    let rig = Rig::new();
    let helm = rig.has_chart();
    for (reference, words) in [
        (registry.reference("team/web", "%5E1"), "1.1.0+b.2"),
        (registry.reference("team/web", "1.0.0"), "1.0.0"),
        (helm, "good"),
    ] {
        let said = rig.same(&reference, |externals| chart_of(externals, &reference));
        assert!(said.starts_with("Chart"), "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(kept(&rig.cache()), 1, "{reference}");
    }
}

#[test]
fn a_plugin_and_its_signatures_are_the_same_in_both_ways() {
    let registry = Registry::start().unwrap();
    let component = vec![7; 3 << 20];
    registry
        .push_plugin("team/labels", "1", &component)
        .unwrap();
    let text = format!("oci://{}/team/labels:1", registry.host());
    let reference: PluginReference = text.parse().unwrap();
    let rig = Rig::new();
    let (key, manifest) = (signing_key(), pin(&component).manifest);
    let ours = cosign::sign(&key, &text, manifest);
    let here = rig.externals(weir_source::Fetching::InProcess);
    watched(|watch| {
        here.add_signature(&reference, manifest, (&ours, &key.public().unwrap()), watch)
    })
    .unwrap();
    let named = rig.same("named", |e| {
        got(watched(|watch| e.plugin_named(&reference, watch)))
    });
    assert!(named.contains(&manifest.to_string()), "{named}");
    let pin = pin(&component);
    let whole = rig.same("whole", |e| {
        got(watched(|watch| e.plugin(&reference, pin, watch)))
    });
    assert!(whole.contains("component: Some([7, 7"), "{}", &whole[..500]);
    rig.same("manifest", |e| {
        got(watched(|watch| e.plugin_manifest(&reference, pin, watch)))
    });
    let found = rig.same("signatures", |e| {
        signed(watched(|watch| e.signatures(&reference, manifest, watch)))
    });
    assert!(found.contains(&ours.signature), "{found}");
}

#[test]
fn an_archive_that_is_here_is_not_got_again_by_a_process() {
    let registry = Registry::start().unwrap();
    let archive = chart("x");
    let hex = registry.push_chart("web", "1.0.0", &archive).unwrap();
    let reference: Reference = registry.reference("web", "1.0.0").parse().unwrap();
    let rig = Rig::new();
    let externals = rig.externals(weir_source::Fetching::Process(process()));
    let resolve = || {
        watched(|watch| externals.resolve(&reference, watch))
            .unwrap()
            .0
    };
    let first = resolve();
    // The registry would serve other bytes, if it were asked for them.
    registry.tamper(&hex, b"evil").unwrap();
    assert_eq!(resolve(), first);
}

#[test]
fn a_token_server_with_credentials_of_its_own_gives_a_token_in_both_ways() {
    let (registry, tokens) = Registry::with_token_server().unwrap();
    registry
        .push_chart("team/web", "1.0.0", &chart("good"))
        .unwrap();
    let reference = registry.reference("team/web", "");
    let mut rig = Rig::new();
    let refused = rig.same("nothing to show", |e| chart_of(e, &reference));
    assert!(refused.starts_with("unauthorized"), "{refused}");
    rig.shows(&tokens.host(), "ann", "hunter3");
    let refused = rig.same("a wrong password", |e| chart_of(e, &reference));
    assert!(refused.contains("wrong, expired or revoked"), "{refused}");
    rig.shows(&tokens.host(), "ann", "hunter2");
    let said = rig.same("a password", |e| chart_of(e, &reference));
    assert!(said.contains("good"), "{said}");
}

#[test]
fn redirects_to_other_ports_are_followed_as_the_rules_allow_them_in_both_ways() {
    let elsewhere: Vec<FileServer> = (0..3).map(|_| FileServer::start().unwrap()).collect();
    let mut rig = Rig::new();
    let reference = rig.has_chart();
    let file = "/stable/files/web-1.0.0.tgz";
    let at = |server: &FileServer| format!("http://{}{file}", server.host());
    rig.server.redirect(file, &at(&elsewhere[0]));
    elsewhere[0].redirect(file, &at(&elsewhere[1]));
    elsewhere[1].redirect(file, &at(&elsewhere[2]));
    elsewhere[2].file(file, chart("good"));
    let said = rig.same("nobody has named them", |e| chart_of(e, &reference));
    assert!(said.contains("good"), "{said}");
    let all = elsewhere.iter().map(FileServer::host);
    let all: Vec<String> = all.chain([rig.server.host()]).collect();
    let hosts = |names: &[String]| Some(names.iter().map(|h| h.parse().unwrap()).collect());
    rig.policy.hosts = hosts(&all);
    let said = rig.same("all are named", |e| chart_of(e, &reference));
    assert!(said.contains("good"), "{said}");
    // All but one that is on the way.
    let asked = elsewhere[1].requests().len();
    rig.policy.hosts = hosts(&[&all[..1], &all[2..]].concat());
    let said = rig.same("one is not", |e| chart_of(e, &reference));
    assert!(said.contains("may not reach"), "{said}");
    assert!(said.contains(&elsewhere[1].host()), "{said}");
    assert_eq!(elsewhere[1].requests().len(), asked);
}

#[test]
fn a_component_elsewhere_is_got_without_credentials_in_both_ways() {
    let elsewhere = FileServer::start().unwrap();
    let mut rig = Rig::new();
    let component = vec![1; 1000];
    let (reference, pin) = rig.has_plugin(&component);
    rig.server.require(Auth::Basic {
        user: "ann".to_owned(),
        password: "hunter2".to_owned(),
    });
    rig.shows(&rig.server.host(), "ann", "hunter2");
    elsewhere.file("/blob", component.clone());
    let to = format!("http://{}/blob", elsewhere.host());
    rig.server.redirect(&blob_at(&component), &to);
    let whole = || {
        rig.same("elsewhere", |e| {
            got(watched(|watch| e.plugin(&reference, pin, watch)))
        })
    };
    assert!(whole().contains("component: Some([1, 1"));
    let shown = elsewhere.requests();
    assert!(shown.iter().all(|r| r.header("authorization").is_none()));
    elsewhere.require(Auth::Token("x".to_owned()));
    assert!(whole().starts_with("redirected"), "{}", whole());
    // And a manifest is not followed at all.
    let named = manifest(&component).to_string();
    elsewhere.require(Auth::Open);
    elsewhere.file("/manifest", named);
    let to = format!("http://{}/manifest", elsewhere.host());
    rig.server
        .redirect(&manifest_at(&pin.manifest.to_string()), &to);
    assert!(whole().starts_with("redirected"), "{}", whole());
}
