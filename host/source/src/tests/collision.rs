//! Bytes that were made to collide under SHA-1.

use gix::objs::Kind;

use super::git::fetch;
use super::remote::Rig;
use crate::{SourceError, object};

/// The start of the two files of SHAttered (https://shattered.io): what both have, and the blocks in which they differ.
const SHATTERED: [&str; 3] = [
    "255044462d312e330a25e2e3cfd30a0a0a312030206f626a0a3c3c2f57696474682032203020522f4865696768742033203020522f54797065\
     2034203020522f537562747970652035203020522f46696c7465722036203020522f436f6c6f7253706163652037203020522f4c656e677468\
     2038203020522f42697473506572436f6d706f6e656e7420383e3e0a73747265616d0affd8fffe00245348412d312069732064656164212121\
     2121852fec092339759c39b1a1c63c4c97e1fffe01",
    "7f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df614f86db1690901c56b45c1530afedfb76038e972722fe7ad72\
     8f0e4904e046c230570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514e74ddc0f2cc1a874cd0c78305a2156646130\
     9789606bd0bf3f98cda8044629a1",
    "7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de218f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd72\
     8f0e45bce046d23c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500eb4ddc0decc1a864790c782c76215660dd30\
     9791d06bd0af3f98cda4bc4629b1",
];

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn bytes_that_were_made_to_collide_under_sha_1_are_an_attack_and_never_an_id() {
    let [both, one, other] = SHATTERED.map(hex);
    let files = [[both.clone(), one].concat(), [both, other].concat()];
    assert_eq!(files[0].len(), 320);
    assert_ne!(files[0], files[1]);
    for file in &files {
        // All that is read, carried or received is hashed by this.
        let hash = object::hash(&[file]);
        assert!(
            matches!(hash, Err(object::ObjectError::Collision)),
            "{hash:?}"
        );
        // In parts, too.
        let (head, rest) = file.split_at(100);
        assert!(object::hash(&[head, rest]).is_err());
    }
    // As blobs they do not collide: Git puts the length before them. They are two files like any others.
    let ids: Vec<_> = files
        .iter()
        .map(|file| object::id_of(Kind::Blob, file).unwrap())
        .collect();
    assert_ne!(ids[0], ids[1]);
    let rig = Rig::with(&[("a", "1")]);
    for (n, file) in files.iter().enumerate() {
        std::fs::write(rig.repo.path().join(format!("{n}.pdf")), file).unwrap();
    }
    let commit = rig.repo.commit(&[]);
    let source = rig.source();
    fetch(&source).unwrap();
    assert_eq!(source.snapshot(commit).unwrap().tree.len(), 3);
    // How it is said, where it is found.
    let error = SourceError::Collision {
        url: "https://git.example/x".into(),
        what: "object 1234, app/a".into(),
    };
    let said = error.to_string();
    assert!(
        said.contains("this is an attack") && said.contains("app/a"),
        "{said}"
    );
}
