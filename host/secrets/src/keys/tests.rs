//! Keys of a Secret; those of files are tried with the real `age-keygen`, in tests/secrets.rs.

use super::*;
use crate::made_up::{LIMITS, identity, secret};

fn of(data: &[(&str, String)]) -> Result<Vec<Recipient>, String> {
    let hidden =
        |(key, text): &(&str, String)| ((*key).to_owned(), Hidden::new(text.clone().into_bytes()));
    let data: Vec<(String, Hidden)> = data.iter().map(hidden).collect();
    let mut keys = Keys::none();
    let added = keys.add_secret("weir/age", &data, LIMITS);
    added.map(|()| keys.recipients()).map_err(|e| e.to_string())
}

#[test]
fn each_key_of_a_secret_that_ends_so_is_read() {
    let text = format!(
        "# created: now\n# public key: x\n{}\n\n{}\r\n",
        secret(1),
        secret(2)
    );
    let found = of(&[
        ("a.agekey", text),
        ("b.agekey", secret(3)),
        ("other", "hunter2".to_owned()),
    ]);
    let expected: Vec<Recipient> = [1, 2, 3].map(|n| identity(n).recipient()).to_vec();
    assert_eq!(found.unwrap(), expected);
}

#[test]
fn what_is_wrong_is_named_and_not_shown() {
    for (data, expected) in [
        (vec![], "Secret weir/age holds no age key"),
        (
            vec![("identity", secret(1))],
            "whose name ends with .agekey",
        ),
        (
            vec![("a.agekey", "hunter2".to_owned())],
            "Secret weir/age, key a.agekey, line 1 expected",
        ),
        (
            vec![("a.agekey", "\n# x\n".to_owned())],
            "Secret weir/age, key a.agekey holds no key",
        ),
    ] {
        let error = of(&data).unwrap_err();
        assert!(
            error.contains(expected) && !error.contains("hunter2"),
            "{error}"
        );
    }
    let many: Vec<(&str, String)> = (1..=255)
        .flat_map(|n| [("a.agekey", secret(n))])
        .chain((0..3).map(|_| ("b.agekey", format!("{}\n{}", secret(0), secret(1)))))
        .collect();
    assert_eq!(of(&many).unwrap().len(), 256);
}
