//! Deltas: what is wrong with one is found before it is applied, and those that Git makes are taken.

use weir_core::digest::ObjectId;

use super::git::{fetch, open, text};
use super::maker::{BLOB, OFS, Pack, answer, delta, sizes};
use super::packs::{Hostile, LIMITS};
use super::remote::Rig;
use crate::{FetchLimits, PackLimits, SourceConfig};

#[test]
fn a_delta_that_is_malformed_is_refused_before_anything_is_made_of_it() {
    let it = Hostile::new();
    let base = b"a base of some bytes";
    let good = delta(base.len() as u64, 30);
    let made = |make: &dyn Fn(&mut Pack, u64)| {
        let mut pack = Pack::new();
        let at = pack.object(BLOB, base);
        make(&mut pack, at);
        answer(&pack.done())
    };
    let unknown: ObjectId = "1".repeat(40).parse().unwrap();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "on itself",
            made(&|p, _| {
                p.ofs(0, &good);
            }),
            "no object of the pack",
        ),
        (
            "on no object",
            made(&|p, at| {
                let here = p.bytes.len() as u64;
                p.ofs(here - at - 1, &good);
            }),
            "no object of the pack",
        ),
        (
            "on what lies before the pack",
            made(&|p, _| {
                p.ofs(1 << 40, &good);
            }),
            "before the pack's start",
        ),
        (
            "a distance without end",
            made(&|p, _| {
                p.head(OFS, good.len() as u64);
                p.bytes.extend([0xff; 30]);
            }),
            "before the pack's start",
        ),
        (
            "of a base of another size",
            made(&|p, at| {
                p.on(at, &delta(7, 30));
            }),
            "base of another size",
        ),
        (
            "without sizes",
            made(&|p, at| {
                p.on(at, &[0x80]);
            }),
            "two sizes",
        ),
        (
            "empty",
            made(&|p, at| {
                p.on(at, &[]);
            }),
            "two sizes",
        ),
        (
            "that copies from beyond its base",
            made(&|p, at| {
                let bytes = [sizes(base.len() as u64), sizes(5), vec![0x91, 200, 5]].concat();
                p.on(at, &bytes);
            }),
            "cannot be used",
        ),
        (
            "that gives less than it says",
            made(&|p, at| {
                let bytes = [sizes(base.len() as u64), sizes(50), vec![0x90, 5]].concat();
                p.on(at, &bytes);
            }),
            "cannot be used",
        ),
        (
            "of an object that nobody has",
            made(&|p, _| {
                p.by_id(unknown, &good);
            }),
            "cannot be used",
        ),
        (
            "two of objects that are each other",
            made(&|p, _| {
                p.by_id(unknown, &delta(30, 30));
                let other: ObjectId = "2".repeat(40).parse().unwrap();
                p.by_id(other, &delta(30, 30));
            }),
            "cannot be used",
        ),
    ];
    let all = cases.iter();
    all.for_each(|(what, body, said)| it.malformed(what, body, said));
    it.recovers();
}

#[test]
fn deltas_as_git_makes_them_are_taken() {
    let rig = Rig::with(&[("a", "1")]);
    let long: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    for n in 0..40 {
        let text = long.replace(&format!("line {n}\n"), "changed\n");
        rig.repo
            .commit(&[("long", &text), ("short", &n.to_string())]);
    }
    rig.repo
        .git(&["repack", "-q", "-a", "-d", "-f", "--depth=50"]);
    let limits = FetchLimits {
        pack: PackLimits {
            delta_bytes: 64 << 20,
            ..LIMITS.pack
        },
        ..LIMITS
    };
    let source = open(SourceConfig {
        fetch_limits: limits,
        ..rig.config()
    })
    .unwrap();
    let commit = fetch(&source).unwrap().commit;
    assert!(text(&source, commit, "long").contains("changed"));
    // Thin packs, too: deltas of what is here already.
    for n in 100..110 {
        let text = long.replace(&format!("line {n}\n"), "changed again\n");
        let next = rig.repo.commit(&[("long", &text)]);
        assert_eq!(fetch(&source).unwrap().commit, next);
    }
}
