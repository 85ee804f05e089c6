//! A secret is made once, stays, is nobody else's, and gives each app of each repository a stream of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

fn state() -> (TempDir, SecretAt) {
    let dir = tempfile::tempdir().unwrap();
    let at = SecretAt::Below(dir.path().to_owned());
    (dir, at)
}

fn seed(secret: &RandomSecret, repository: &str, app: &str, plugin: &str) -> Seed {
    let whose = Whose {
        repository: &repository.parse().unwrap(),
        app: &app.parse().unwrap(),
        plugin: &plugin.parse().unwrap(),
    };
    secret.seed(&whose).unwrap()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_secret_is_made_at_first_need_and_stays() {
    let (_dir, at) = state();
    assert!(at.find().unwrap().is_none(), "looking makes none");
    assert!(!at.path().exists());
    let made = at.need().unwrap();
    assert_eq!(made.id(), at.need().unwrap().id());
    assert_eq!(at.find().unwrap().unwrap().id(), made.id());
    let found = fs::metadata(at.path()).unwrap().permissions().mode();
    assert_eq!(found & 0o777, 0o600);
    assert_eq!(fs::read(at.path()).unwrap().len(), 65);
    let (_other, other) = state();
    assert_ne!(other.need().unwrap().id(), made.id());
}

#[test]
fn a_file_with_the_same_digits_is_the_same_secret_elsewhere() {
    let (dir, at) = state();
    let made = at.need().unwrap();
    let copy = dir.path().join("copy");
    for end in ["", "\n", "\r\n"] {
        let digits = fs::read_to_string(at.path()).unwrap();
        fs::write(&copy, format!("{}{end}", digits.trim_end())).unwrap();
        mode(&copy, 0o440);
        let there = SecretAt::File(copy.clone()).find().unwrap().unwrap();
        assert_eq!(there.id(), made.id());
        assert_eq!(
            seed(&there, "shop", "web", "helm"),
            seed(&made, "shop", "web", "helm")
        );
        fs::remove_file(&copy).unwrap();
    }
}

#[test]
fn no_other_repository_app_plugin_or_secret_has_the_same_seed() {
    let secret = RandomSecret::read(&"07".repeat(32)).unwrap();
    let own = seed(&secret, "shop", "web", "helm");
    for other in [
        seed(&secret, "shop2", "web", "helm"),
        seed(&secret, "shop", "web.eu", "helm"),
        seed(&secret, "shop", "web", "helm2"),
        seed(
            &RandomSecret::read(&"08".repeat(32)).unwrap(),
            "shop",
            "web",
            "helm",
        ),
    ] {
        assert_ne!(other, own);
    }
    // Another Weir must come to the same, or every password changes: HMAC-SHA256, as any other program has it.
    assert_eq!(hex::encode(own.expose()), SEED);
}

/// What `openssl dgst -sha256 -mac HMAC -macopt hexkey:0707...` gives for the four parts, each with its length before it.
const SEED: &str = "6af28fd94250498f2ed06f6e9ad026114736e5553c3f85621dec469166d3fed2";

#[test]
fn what_others_can_read_is_refused_and_what_to_do_is_said() {
    let (dir, at) = state();
    at.need().unwrap();
    for bad in [0o640, 0o604, 0o620] {
        mode(&at.path(), bad);
        let error = at.need().unwrap_err();
        assert!(matches!(error, KeysError::Exposed { .. }), "{error}");
        assert!(
            error.to_string().contains("set its mode to 0600"),
            "{error}"
        );
    }
    mode(&at.path(), 0o600);
    mode(&dir.path().join("keys"), 0o750);
    let error = at.find().unwrap_err();
    assert!(matches!(error, KeysError::Exposed { .. }), "{error}");
}

#[test]
fn what_is_no_secret_is_refused_and_never_shown_or_replaced() {
    let (dir, at) = state();
    at.need().unwrap();
    let good = "0123456789abcdef".repeat(4);
    for bad in [
        String::new(),
        good[1..].to_owned(),
        format!("{good}0"),
        format!("{good}\n\n"),
        format!(" {good}"),
        good.replace('0', "g"),
    ] {
        fs::write(at.path(), &bad).unwrap();
        mode(&at.path(), 0o600);
        let error = at.need().unwrap_err().to_string();
        assert!(error.contains("expected 64 hex digits"), "{error}");
        assert!(!error.contains("456789abcdef"), "{error}");
        assert_eq!(fs::read_to_string(at.path()).unwrap(), bad);
    }
    let named = SecretAt::File(dir.path().join("none"));
    let error = named.need().unwrap_err().to_string();
    assert!(error.contains("never made"), "{error}");
    assert!(!named.path().exists());
    let folder = SecretAt::File(dir.path().to_owned());
    mode(dir.path(), 0o700);
    let error = folder.find().unwrap_err().to_string();
    assert!(error.contains("no plain file"), "{error}");
}

#[test]
fn a_secret_shows_nothing_of_itself() {
    let secret = RandomSecret::read(&"ab".repeat(32)).unwrap();
    let shown = format!("{secret:?} {}", secret.id());
    assert!(!shown.contains("abab"), "{shown}");
}
