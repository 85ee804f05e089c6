//! What says whom to trust, and what only some may read: hosts' keys, signers and signatures, encrypted files.

use weir_core::render::{self, Document};
use weir_core::reveal::Hidden;
use weir_secrets::{DataKey, File, Keys as SecretKeys, SecretLimits, fuzzing, holds_token, sealed};
use weir_source::known_hosts::{self, Meaning};
use weir_source::{Keys, KnownHostsLimits};

use crate::files::BUDGET;

/// The key that the encrypted files of the corpus are for. It opens nothing else.
const AGE_KEY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
/// Names that lines are asked about.
const NAMES: [&str; 5] = ["", "a", "git.example", "[git.example]:2222", "10.0.0.1"];

/// A line says the same wherever it stands; a name that is asked for is in the file's own words, or the line is hashed.
pub(crate) fn known_hosts(data: &[u8]) {
    let read = known_hosts::parse(data, KnownHostsLimits::HOST);
    let mut below = b"# a comment\n\n".to_vec();
    below.extend_from_slice(data);
    let moved = known_hosts::parse(&below, KnownHostsLimits::HOST);
    let names = NAMES.map(str::to_owned);
    match (read, moved) {
        (Ok(read), Ok(moved)) => {
            for name in &names {
                let one = std::slice::from_ref(name);
                let here: Vec<_> = read.named(one).collect();
                let there: Vec<_> = moved.named(one).collect();
                assert_eq!(here.len(), there.len(), "{name}");
                for (here, there) in here.into_iter().zip(there) {
                    assert_eq!((here.line() + 2, here.key()), (there.line(), there.key()));
                    assert_eq!(here.meaning(), there.meaning());
                    assert!(here.key().fingerprint().starts_with("SHA256:"));
                    let marked = data.windows(8).any(|part| part == b"@revoked");
                    assert!(marked || here.meaning() != Meaning::Revoked);
                }
            }
            assert_eq!(read.is_empty(), moved.is_empty());
        }
        (Err(here), Err(there)) => assert_eq!(here.why, there.why),
        // A file at a limit is over it with two lines more.
        (Ok(_), Err(over)) => {
            assert!(over.why.starts_with("more than") || over.why.contains("bytes"));
        }
        (Err(wrong), Ok(_)) => unreachable!("{wrong}: only below a comment it is none"),
    }
}

/// The data is lines of `allowed_signers`, armoured keys and a commit, with a zero byte between them. What is signed is
/// signed by nobody once a byte more stands in it.
pub(crate) fn signatures(data: &[u8]) {
    let mut parts = data.splitn(3, |b| *b == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (allowed, openpgp, commit) = (next(), next(), next());
    let mut keys = Keys::default();
    if let Ok(with) = keys.with_allowed_signers("signers", allowed) {
        keys = with;
    }
    if let Ok(with) = keys.with_openpgp("keys", openpgp) {
        keys = with;
    }
    if keys.signer(commit).is_ok() {
        assert!(Keys::default().signer(commit).is_err());
        let mut more = commit.to_vec();
        more.push(b'!');
        assert!(keys.signer(&more).is_err());
    }
}

/// A file opens with its own key and no other; an encrypted Secret is taken for one, and ciphertext is nowhere else.
pub(crate) fn sops(data: &[u8]) {
    let mut keys = SecretKeys::none();
    let value = (
        "keys.agekey".to_owned(),
        Hidden::new(AGE_KEY.as_bytes().to_vec()),
    );
    let added = keys.add_secret("keys", &[value], SecretLimits::HOST);
    assert!(added.is_ok(), "{added:?}");
    if let Ok(Some(file)) = File::read(data, SecretLimits::HOST) {
        let other = DataKey::new(&[7; 32]);
        assert!(other.is_some_and(|key| !fuzzing::opens_with(&file, &key)));
        let opens = fuzzing::opens(&file, &keys);
        assert!(!opens || !file.metadata.recipients().is_empty());
        assert!(!fuzzing::opens(&file, &SecretKeys::none()));
    }
    let document = Document {
        origin: "a.yaml".to_owned(),
        body: data.to_vec(),
    };
    if let Ok(objects) = render::parse(&[document], &BUDGET)
        && let Ok(all) = sealed(&objects, SecretLimits::HOST)
        && all.is_empty()
    {
        // What goes to a cluster as it is has no ciphertext in it.
        for object in &objects {
            assert!(!holds_token(object.text()), "{}", object.text());
        }
    }
}
