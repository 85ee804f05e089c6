//! Webhooks: each forge's published example, every way to be wrong, and orders of requests that somebody made up.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;
use crate::name::RepositoryName;

/// GitHub's own example, of its page on validating deliveries.
const GITHUB_SECRET: &str = "It's a Secret to Everybody";
const GITHUB_BODY: &[u8] = b"Hello, World!";
const GITHUB_SIGNATURE: &str =
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
/// The example of Standard Webhooks' first implementer, of its page on verifying by hand.
const STANDARD_SECRET: &str = "whsec_plJ3nmyCDGBKInavdOK15jsl";
const STANDARD_BODY: &[u8] = br#"{"event_type":"ping","data":{"success":true}}"#;
const STANDARD_TIME: i64 = 1_731_705_121;
const STANDARD_HEADERS: [(&str, &str); 3] = [
    ("webhook-id", "msg_loFOjxBNrRLzqYUf"),
    ("webhook-timestamp", "1731705121"),
    (
        "webhook-signature",
        "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    ),
];
const SECRET: &str = "a secret of the forge's";

/// Headers as a request has them; a name may be there more than once.
#[derive(Clone, Default)]
struct Headers(BTreeMap<&'static str, Vec<Vec<u8>>>);

impl Headers {
    fn of<'t>(headers: impl IntoIterator<Item = (&'static str, &'t str)>) -> Headers {
        let mut all = Headers::default();
        for (name, value) in headers {
            all.add(name, value);
        }
        all
    }

    fn add(&mut self, name: &'static str, value: impl Into<Vec<u8>>) {
        self.0.entry(name).or_default().push(value.into());
    }

    fn get(&self, name: &str) -> Header<'_> {
        match self.0.get(name).map(Vec::as_slice) {
            None | Some([]) => Header::Absent,
            Some([one]) => Header::One(one),
            Some(_) => Header::Several,
        }
    }
}

fn keys(forge: Forge, secrets: &[&str]) -> Keys {
    let mut keys = Keys::of(forge);
    for secret in secrets {
        keys.add(secret.as_bytes()).unwrap();
    }
    keys
}

fn verify(keys: &Keys, headers: &Headers, body: &[u8], now: i64) -> Result<(), Refusal> {
    let claims = Claims::read(|name| headers.get(name))?;
    let mut verifier = Verifier::begin(Some(keys), &claims, now);
    verifier.update(body);
    verifier.finish()
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

/// A delivery as this forge sends it, signed now.
fn sent(forge: Forge, secret: &str, body: &[u8], now: i64) -> Headers {
    let hex = hex::encode(mac(secret.as_bytes(), body));
    let mut headers = Headers::default();
    match forge {
        Forge::Github => headers.add("x-hub-signature-256", format!("sha256={hex}")),
        Forge::Gitea => headers.add("x-gitea-signature", hex),
        Forge::Gitlab => headers.add("x-gitlab-token", secret),
        Forge::Generic => {
            let text = [format!("id-1.{now}.").as_bytes(), body].concat();
            let tag = STANDARD.encode(mac(secret.as_bytes(), &text));
            headers.add("webhook-id", "id-1");
            headers.add("webhook-timestamp", now.to_string());
            headers.add("webhook-signature", format!("v1,{tag}"));
        }
    }
    headers
}

const FORGES: [Forge; 4] = [Forge::Github, Forge::Gitlab, Forge::Gitea, Forge::Generic];

#[test]
fn each_published_example_is_right() {
    let github = Headers::of([("x-hub-signature-256", GITHUB_SIGNATURE)]);
    let own = keys(Forge::Github, &[GITHUB_SECRET]);
    assert_eq!(verify(&own, &github, GITHUB_BODY, 0), Ok(()));
    let standard = Headers::of(STANDARD_HEADERS);
    for forge in [Forge::Generic, Forge::Gitlab] {
        let own = keys(forge, &[STANDARD_SECRET]);
        assert_eq!(
            verify(&own, &standard, STANDARD_BODY, STANDARD_TIME),
            Ok(())
        );
    }
    // Gitea and Forgejo publish none; this one was made with openssl.
    let tag = "70d6d0d00ad3759d06cbfcb2e226d06f7c5b914062d101dd4d6211c838d37bea";
    let body = b"{\"ref\":\"refs/heads/main\"}\n";
    let own = keys(Forge::Gitea, &[SECRET]);
    for name in ["x-gitea-signature", "x-forgejo-signature"] {
        let headers = Headers::of([(name, tag)]);
        assert_eq!(verify(&own, &headers, body, 0), Ok(()), "{name}");
    }
    let token = Headers::of([("x-gitlab-token", SECRET)]);
    let own = keys(Forge::Gitlab, &[SECRET]);
    assert_eq!(verify(&own, &token, b"anything", 0), Ok(()));
}

#[test]
fn another_form_than_the_forge_sends_is_refused_before_the_body() {
    let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let upper = hex.to_uppercase();
    let github = |value: &str| vec![("x-hub-signature-256", value.to_owned())];
    let gitea = |value: &str| vec![("x-gitea-signature", value.to_owned())];
    let signed = |list: &str, id: &str, time: &str| {
        vec![
            ("webhook-signature", list.to_owned()),
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", time.to_owned()),
        ]
    };
    let good = STANDARD_HEADERS[2].1;
    let many = [good; 9].join(" ");
    let wrong = [
        github(hex),
        github(&format!("sha1={hex}")),
        github(&format!("SHA256={hex}")),
        github(&format!("sha256={upper}")),
        github(&format!("sha256={}", &hex[1..])),
        github(&format!("sha256={}", &hex[2..])),
        github(&format!("sha256={hex}00")),
        github(&format!("sha256= {hex}")),
        github("sha256="),
        github(&"x".repeat(1025)),
        gitea(&upper),
        gitea(&hex[1..]),
        gitea(&format!("sha256={hex}")),
        [gitea(hex), gitea(hex)].concat(),
        [github(GITHUB_SIGNATURE), github(GITHUB_SIGNATURE)].concat(),
        signed("v2,x", "a", "1"),
        signed("v1,", "a", "1"),
        signed("v1,AAAA", "a", "1"),
        signed(good.trim_end_matches('='), "a", "1"),
        signed(&many, "a", "1"),
        signed(good, "a.1", "1"),
        signed(good, "a b", "1"),
        signed(good, "a", "-1"),
        signed(good, "a", "1e3"),
        signed(good, "a", "999999999999"),
        vec![("webhook-signature", good.to_owned())],
        vec![
            ("x-gitea-signature", hex.to_owned()),
            ("x-forgejo-signature", hex.replace('7', "8")),
        ],
    ];
    for headers in wrong {
        let all = Headers::of(headers.iter().map(|(name, value)| (*name, value.as_str())));
        let refused = Claims::read(|name| all.get(name)).err();
        assert!(
            matches!(refused, Some(Refusal::Malformed(_))),
            "{headers:?}: {refused:?}"
        );
    }
    for nothing in [
        vec![],
        gitea(""),
        vec![("x-hub-signature", "sha1=0".to_owned())],
    ] {
        let all = Headers::of(nothing.iter().map(|(name, value)| (*name, value.as_str())));
        let refused = Claims::read(|name| all.get(name)).err();
        assert_eq!(refused, Some(Refusal::Unsigned), "{nothing:?}");
    }
}

#[test]
fn a_signature_counts_for_its_forge_and_its_secret_only() {
    for forge in FORGES {
        let headers = sent(forge, SECRET, b"body", 100);
        for other in FORGES {
            let expected = if other == forge {
                Ok(())
            } else {
                Err(Refusal::Wrong)
            };
            let got = verify(&keys(other, &[SECRET]), &headers, b"body", 100);
            assert_eq!(got, expected, "{forge} sent, {other} expected");
        }
        let stranger = keys(forge, &["another secret of the forge's"]);
        assert_eq!(
            verify(&stranger, &headers, b"body", 100),
            Err(Refusal::Wrong)
        );
        let none = Keys::of(forge);
        assert_eq!(verify(&none, &headers, b"body", 100), Err(Refusal::Wrong));
        let claims = Claims::read(|name| headers.get(name)).ok().unwrap();
        let nobody = Verifier::begin(None, &claims, 100);
        assert_eq!(nobody.finish(), Err(Refusal::Wrong));
    }
}

#[test]
fn any_of_several_secrets_counts_so_that_they_can_be_changed() {
    for forge in FORGES {
        let both = keys(forge, &["the secret on its way out", SECRET]);
        for secret in ["the secret on its way out", SECRET] {
            let headers = sent(forge, secret, b"body", 100);
            assert_eq!(verify(&both, &headers, b"body", 100), Ok(()), "{forge}");
        }
        let headers = sent(forge, "neither of the two", b"body", 100);
        assert_eq!(verify(&both, &headers, b"body", 100), Err(Refusal::Wrong));
    }
    // GitLab while a hook goes over from a token to signatures.
    let both = keys(Forge::Gitlab, &[SECRET, STANDARD_SECRET]);
    let standard = Headers::of(STANDARD_HEADERS);
    assert_eq!(
        verify(&both, &standard, STANDARD_BODY, STANDARD_TIME),
        Ok(())
    );
    let token = sent(Forge::Gitlab, SECRET, b"", 0);
    assert_eq!(verify(&both, &token, b"anything", 0), Ok(()));
    let signing = keys(Forge::Gitlab, &[STANDARD_SECRET]);
    let plain = Headers::of([("x-gitlab-token", STANDARD_SECRET)]);
    let refused = verify(&signing, &plain, b"", 0);
    assert_eq!(
        refused,
        Err(Refusal::Wrong),
        "a signing token is never sent"
    );
}

#[test]
fn a_signature_of_another_time_is_stale_and_a_wrong_one_is_just_wrong() {
    let own = keys(Forge::Generic, &[STANDARD_SECRET]);
    let headers = Headers::of(STANDARD_HEADERS);
    let at = |now| verify(&own, &headers, STANDARD_BODY, now);
    assert_eq!(at(STANDARD_TIME + 300), Ok(()));
    assert_eq!(at(STANDARD_TIME - 300), Ok(()));
    assert_eq!(at(STANDARD_TIME + 301), Err(Refusal::Stale));
    assert_eq!(at(STANDARD_TIME - 301), Err(Refusal::Stale));
    assert_eq!(at(i64::MIN), Err(Refusal::Stale));
    let wrong = verify(&own, &headers, b"other", i64::MAX);
    assert_eq!(wrong, Err(Refusal::Wrong));
}

#[test]
fn a_secret_that_could_be_found_or_is_none_is_refused_without_being_repeated() {
    for (forge, secret, expected) in [
        (Forge::Github, &b""[..], KeyError::Short(0)),
        (Forge::Github, b"fifteen bytes..", KeyError::Short(15)),
        (
            Forge::Gitea,
            b"two lines of text\nand more\n",
            KeyError::Lines,
        ),
        (
            Forge::Gitlab,
            b"whsec_not base64 at all",
            KeyError::Encoding,
        ),
        (Forge::Generic, b"whsec_c2hvcnQ=", KeyError::Short(5)),
        (Forge::Github, &[b'x'; 1025], KeyError::Long),
    ] {
        let error = Keys::of(forge).add(secret).unwrap_err();
        assert_eq!(error, expected);
        assert!(!error.to_string().contains("text\n"), "{error}");
    }
    for line in [
        "sixteen bytes...",
        "sixteen bytes...\n",
        "sixteen bytes...\r\n",
    ] {
        let mut own = Keys::of(Forge::Github);
        own.add(line.as_bytes()).unwrap();
        let headers = sent(Forge::Github, "sixteen bytes...", b"body", 0);
        assert_eq!(verify(&own, &headers, b"body", 0), Ok(()));
    }
    // What a GitHub secret looks like is not ours to read into.
    assert!(
        Keys::of(Forge::Github)
            .add(b"whsec_not base64 at all")
            .is_ok()
    );
}

#[test]
fn a_ping_asks_for_nothing_and_a_push_for_a_look() {
    let asks = |forge, name, event: &str| {
        let headers = Headers::of([(name, event)]);
        Asks::of(forge, |name| headers.get(name))
    };
    for (forge, name, event) in [
        (Forge::Github, "x-github-event", "push"),
        (Forge::Gitlab, "x-gitlab-event", "Push Hook"),
        (Forge::Gitlab, "x-gitlab-event", "Tag Push Hook"),
        (Forge::Gitlab, "x-gitlab-event", "System Hook"),
        (Forge::Gitea, "x-gitea-event", "push"),
        (Forge::Gitea, "x-forgejo-event", "push"),
        (Forge::Generic, "x-github-event", "ping"),
        (Forge::Github, "x-unrelated", "x"),
    ] {
        assert_eq!(asks(forge, name, event), Asks::Look, "{forge} {event}");
    }
    for (forge, name, event) in [
        (Forge::Github, "x-github-event", "ping"),
        (Forge::Github, "x-github-event", "issues"),
        (Forge::Github, "x-github-event", "PUSH"),
        (Forge::Gitlab, "x-gitlab-event", "Pipeline Hook"),
        (Forge::Gitea, "x-gitea-event", "issues"),
        (Forge::Gitea, "x-forgejo-event", ""),
    ] {
        assert_eq!(asks(forge, name, event), Asks::Nothing, "{forge} {event}");
    }
}

#[test]
fn an_id_is_bounded_and_has_no_control_character_where_it_is_shown() {
    let of = |id: &[u8]| {
        let mut headers = Headers::default();
        headers.add("x-github-delivery", id);
        Delivery::of(Forge::Github, |name| headers.get(name))
    };
    assert_eq!(of(b"72d3162e-cc78").unwrap().to_string(), "72d3162e-cc78");
    assert_eq!(of(b""), None);
    let odd = of(b"a\n\x1b[31m\xff\"").unwrap().to_string();
    assert_eq!(odd, r#"a\n\x1b[31m\xff\""#);
    let long = of(&[b'x'; 10_000]).unwrap();
    assert_eq!(long.to_string().len(), 80);
    assert_ne!(
        long,
        of(&[b'x'; 10_001]).unwrap(),
        "told apart all the same"
    );
}

#[test]
fn a_delivery_is_remembered_for_a_while_and_only_so_many_are() {
    let name = |text: &str| text.parse::<RepositoryName>().unwrap();
    let delivery = |n: u64| {
        let mut headers = Headers::default();
        headers.add("webhook-id", n.to_string());
        Delivery::of(Forge::Generic, |name| headers.get(name)).unwrap()
    };
    let (shop, docs) = (name("shop"), name("docs"));
    let mut seen = Seen::default();
    let mut again = |now, of: &RepositoryName, n| {
        let knows = seen.knows(now, of, &delivery(n));
        seen.keep(now, of, &delivery(n));
        assert!(seen.is_bounded());
        knows
    };
    assert!(!again(0, &shop, 1));
    assert!(again(1, &shop, 1));
    assert!(!again(1, &docs, 1), "of another repository");
    assert!(again(600_000, &shop, 1));
    assert!(!again(600_001, &shop, 1), "forgotten by now");
    for n in 0..20_000 {
        assert!(!again(600_002, &docs, 100 + n));
    }
    assert!(again(600_003, &docs, 20_099));
    assert!(!again(600_003, &docs, 100), "more came after it");
}

#[test]
fn a_few_looks_come_at_once_and_a_storm_is_one_a_second() {
    let mut pace = Pace::default();
    for n in 0..5 {
        assert_eq!(pace.ask(1_000), Go::Now, "{n}");
    }
    assert_eq!(pace.ask(1_000), Go::In(1_000));
    assert_eq!(pace.ask(1_001), Go::WithThat);
    assert_eq!(pace.ask(1_999), Go::WithThat);
    assert_eq!(pace.ask(2_000), Go::In(1_000), "that look has begun by now");
    assert_eq!(pace.ask(60_000), Go::Now);
    // One a second is no storm.
    let mut steady = Pace::default();
    for second in 0..1_000 {
        assert_eq!(steady.ask(second * 1_000), Go::Now, "{second}");
    }
}

proptest! {
    #[test]
    fn how_a_body_is_cut_plays_no_part(
        body in proptest::collection::vec(any::<u8>(), 0..2_000),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        forge in proptest::sample::select(FORGES.to_vec()),
    ) {
        let headers = sent(forge, SECRET, &body, 7);
        let claims = Claims::read(|name| headers.get(name)).ok().unwrap();
        let own = keys(forge, &[SECRET]);
        let mut verifier = Verifier::begin(Some(&own), &claims, 7);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        places.push(body.len());
        places.sort_unstable();
        let mut from = 0;
        for to in places {
            verifier.update(&body[from..to]);
            from = to;
        }
        prop_assert_eq!(verifier.finish(), Ok(()));
    }

    #[test]
    fn any_flipped_bit_of_body_or_headers_is_refused(
        body in proptest::collection::vec(any::<u8>(), 1..500),
        at in any::<proptest::sample::Index>(),
        bit in 0..8u8,
        in_body in any::<bool>(),
        forge in proptest::sample::select(FORGES.to_vec()),
    ) {
        let mut headers = sent(forge, SECRET, &body, 7);
        let mut body = body;
        if in_body && forge != Forge::Gitlab {
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
        } else {
            let mut bytes: Vec<&mut u8> = headers.0.values_mut().flatten().flatten().collect();
            let at = at.index(bytes.len());
            *bytes[at] ^= 1 << bit;
        }
        prop_assert!(verify(&keys(forge, &[SECRET]), &headers, &body, 7).is_err());
    }

    #[test]
    fn whoever_asks_gets_a_look_that_begins_after_it_and_there_are_not_many(
        waits in proptest::collection::vec(0..3_000u64, 1..200),
    ) {
        let mut pace = Pace::default();
        let (mut now, mut looks) = (0, Vec::new());
        for wait in waits {
            now += wait;
            match pace.ask(now) {
                Go::Now => looks.push(now),
                Go::In(time) => looks.push(now + time),
                Go::WithThat => {}
            }
            let last = looks.last().copied().unwrap_or_default();
            prop_assert!(last >= now, "asked at {}, the last look is at {}", now, last);
        }
        for window in looks.windows(6) {
            prop_assert!(window[5] - window[0] >= 1_000, "{:?}", window);
        }
    }
}
