//! Age files, whole and broken.

use proptest::prelude::*;

use super::*;
use crate::made_up::{age_file, armored, identity};

const TEXT: &[u8] = b"a data key";

fn opened(file: &[u8], keys: &[u8]) -> Unsealed {
    let keys: Vec<Identity> = keys.iter().map(|n| identity(*n)).collect();
    unseal(&armored(file), &keys)
}

#[test]
fn a_file_opens_with_its_key_and_with_no_other() {
    let file = age_file(1, TEXT, "");
    let whole = || Unsealed::Opened(Zeroizing::new(TEXT.to_vec()));
    assert_eq!(opened(&file, &[1]), whole());
    assert_eq!(opened(&file, &[2, 3, 1]), whole());
    assert_eq!(opened(&file, &[2]), Unsealed::NotForUs);
    assert_eq!(opened(&file, &[]), Unsealed::NotForUs);
    // Line ends of Windows, and blanks around each line.
    let odd = armored(&file).replace('\n', " \r\n  ");
    assert_eq!(unseal(&odd, &[identity(1)]), whole());
}

#[test]
fn stanzas_of_other_kinds_are_passed_over() {
    let other = format!("-> ssh-ed25519 abcd efgh\n{}\nAAAA\n", "A".repeat(64));
    let file = age_file(1, TEXT, &other);
    assert!(matches!(opened(&file, &[1]), Unsealed::Opened(_)));
    let many = "-> grease\n\n".repeat(100);
    let file = age_file(1, TEXT, &many);
    assert!(matches!(opened(&file, &[1]), Unsealed::Broken(_)));
}

#[test]
fn no_byte_of_a_file_can_be_changed() {
    let file = age_file(1, TEXT, "");
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        let found = opened(&changed, &[1]);
        assert!(!matches!(found, Unsealed::Opened(_)), "byte {at}");
        let found = opened(&file[..at], &[1]);
        assert!(!matches!(found, Unsealed::Opened(_)), "cut at {at}");
    }
    let longer = [&file[..], b"x"].concat();
    assert!(matches!(opened(&longer, &[1]), Unsealed::Broken(_)));
}

#[test]
fn what_is_no_armored_file_is_named() {
    for text in [
        "",
        "age-encryption.org/v1\n",
        "-----BEGIN AGE ENCRYPTED FILE-----\n!!\n-----END AGE ENCRYPTED FILE-----",
        "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n-----END AGE ENCRYPTED FILE-----",
        &"A".repeat(20_000),
    ] {
        assert!(matches!(unseal(text, &[identity(1)]), Unsealed::Broken(_)));
    }
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let header = [b"age-encryption.org/v1\n", &bytes[..]].concat();
        for file in [&bytes[..], &header] {
            prop_assert!(!matches!(opened(file, &[1]), Unsealed::Opened(_)));
        }
    }

    #[test]
    fn no_header_breaks_the_reader(lines in proptest::collection::vec("(-> )?(X25519 )?[A-Za-z0-9+/]{0,70}|---( [A-Za-z0-9]{0,44})?", 0..12)) {
        let file = format!("age-encryption.org/v1\n{}\n", lines.join("\n"));
        prop_assert!(!matches!(opened(file.as_bytes(), &[1]), Unsealed::Opened(_)));
    }
}
