//! Packs and answers that no honest server sends, byte by byte: each ends with a typed error, and what was there stays.

use std::path::PathBuf;

use weir_core::digest::CommitId;

use super::git::{fetch, open, text};
use super::maker::{BLOB, COMMIT, Pack, TREE, answer, delta, sizes, zlib};
use super::remote::Rig;
use super::server::{Reply, Request, backend};
use crate::{FetchLimits, PackLimits, SourceConfig, SourceError};

fn asks_for_a_pack(request: &Request) -> bool {
    String::from_utf8_lossy(&request.body).contains("command=fetch")
}

/// A repository that was fetched once; what is fetched next is answered with what a test says.
pub(super) struct Hostile {
    pub(super) rig: Rig,
    /// What the branch points at now, which nobody has.
    pub(super) next: CommitId,
}

pub(super) const LIMITS: FetchLimits = FetchLimits {
    talk_bytes: 1 << 20,
    object_bytes: 1 << 20,
    pack: PackLimits {
        objects: 1000,
        resolved_bytes: 64 << 20,
        delta_depth: 60,
        delta_bytes: 4 << 20,
        delta_refs: 10,
    },
    ..FetchLimits::HOST
};

impl Hostile {
    pub(super) fn new() -> Hostile {
        let rig = Rig::with(&[("a", "1")]);
        let next = rig.repo.commit(&[("a", "2"), ("b", "3")]);
        let first = rig.repo.git(&["rev-parse", "HEAD~1"]);
        rig.repo.git(&["update-ref", "refs/heads/main", &first]);
        let it = Hostile { rig, next };
        fetch(&it.source()).unwrap();
        it.rig
            .repo
            .git(&["update-ref", "refs/heads/main", &next.to_string()]);
        it
    }

    fn config(&self) -> SourceConfig {
        SourceConfig {
            fetch_limits: LIMITS,
            ..self.rig.config()
        }
    }

    pub(super) fn source(&self) -> crate::Source {
        open(self.config()).unwrap()
    }

    /// The packs that are on the disk.
    fn packs(&self) -> Vec<PathBuf> {
        let files = self.rig.cached().into_iter();
        files
            .filter(|f| f.extension().is_some_and(|e| e == "pack"))
            .collect()
    }

    /// Each request for a pack is answered so from now on.
    fn answers(&self, body: &[u8]) {
        let (root, said) = (self.rig.root(), body.to_vec());
        self.rig.server.answer(move |request| {
            if !asks_for_a_pack(request) {
                return backend(&root, request);
            }
            let kind = "application/x-git-upload-pack-result";
            Reply {
                body: said.clone(),
                ..Reply::status(200)
            }
            .with("Content-Type", kind)
        });
    }

    /// The error of a fetch that is answered so: from nothing, and on top of what is there. Nothing is left of it, and
    /// the next fetch is well.
    pub(super) fn error(&self, body: &[u8]) -> SourceError {
        self.answers(body);
        let source = self.source();
        let (good, before) = (source.last_good().unwrap(), self.packs());
        let error = fetch(&source).unwrap_err();
        assert_eq!(source.last_good(), Some(good), "{error}");
        assert_eq!(text(&source, good, "a"), "1", "{error}");
        assert_eq!(self.packs(), before, "{error}");
        let elsewhere = tempfile::TempDir::new().unwrap();
        let first = open(SourceConfig {
            cache_dir: elsewhere.path().to_owned(),
            ..self.config()
        });
        let again = fetch(&first.unwrap()).unwrap_err();
        assert_eq!(again.kind(), error.kind(), "{again} and {error}");
        error
    }

    pub(super) fn malformed(&self, what: &str, body: &[u8], said: &str) {
        let error = self.error(body);
        assert!(
            matches!(&error, SourceError::Damaged { why, .. } if why.contains(said)),
            "{what}: {said:?} was expected in {error}"
        );
    }

    pub(super) fn limit(&self, what: &str, body: &[u8], limit: &str) {
        let error = self.error(body);
        assert!(
            matches!(&error, SourceError::Limit { which, .. } if which.starts_with(limit)),
            "{what}: {limit} was expected in {error}"
        );
    }

    /// The server is honest again.
    pub(super) fn recovers(self) {
        let root = self.rig.root();
        self.rig
            .server
            .answer(move |request| backend(&root, request));
        let source = self.source();
        assert_eq!(fetch(&source).unwrap().commit, self.next);
        assert_eq!(text(&source, self.next, "a"), "2");
    }
}

#[test]
fn a_pack_that_is_malformed_is_refused_before_anything_is_made_of_it() {
    let it = Hostile::new();
    let whole = || {
        let mut pack = Pack::new();
        pack.object(BLOB, b"some text");
        pack
    };
    let good = whole().done();
    let cut = |at: usize| answer(&good[..at]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "no pack",
            answer(b"PICK no pack at all"),
            "no pack of version",
        ),
        (
            "version 9",
            answer(&[b"PACK\0\0\0\x09", &good[8..]].concat()),
            "no pack of version",
        ),
        ("nothing", answer(b""), "cannot be used"),
        ("cut in its head", cut(7), "cannot be used"),
        ("cut in an object", cut(18), "cannot be used"),
        ("cut in its hash", cut(good.len() - 3), "cannot be used"),
        (
            "a hash of something else",
            answer(&[&good[..good.len() - 1], b"\0"].concat()),
            "cannot be used",
        ),
        (
            "more than its end",
            answer(&[&good[..], b"and more"].concat()),
            "after the pack's end",
        ),
        (
            "more objects than it says",
            answer(&{
                let mut pack = whole();
                pack.object(BLOB, b"another");
                pack.counted(1)
            }),
            "after the pack's end",
        ),
        (
            "fewer objects than it says",
            answer(&whole().counted(3)),
            "malformed",
        ),
    ];
    for (what, body, said) in cases {
        it.malformed(what, &body, said);
    }
    it.recovers();
}

#[test]
fn an_object_that_is_malformed_is_refused_before_anything_is_made_of_it() {
    let it = Hostile::new();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "a kind that is none",
            answer(&{
                let mut pack = Pack::new();
                pack.object(5, b"x");
                pack.done()
            }),
            "of kind 5",
        ),
        (
            "a kind of zero",
            answer(&{
                let mut pack = Pack::new();
                pack.object(0, b"x");
                pack.done()
            }),
            "of kind 0",
        ),
        (
            "no zlib",
            answer(&{
                let mut pack = Pack::new();
                pack.head(BLOB, 4);
                pack.bytes.extend([0xff; 40]);
                pack.done()
            }),
            "compressed bytes cannot be read",
        ),
        (
            "more bytes than it says",
            answer(&{
                let mut pack = Pack::new();
                pack.head(BLOB, 4);
                pack.bytes.extend(zlib(b"five bytes and more"));
                pack.done()
            }),
            "another size",
        ),
        (
            "fewer bytes than it says",
            answer(&{
                let mut pack = Pack::new();
                pack.head(BLOB, 400);
                pack.bytes.extend(zlib(b"few"));
                pack.done()
            }),
            "another size",
        ),
        (
            "a size without end",
            answer(&{
                let mut pack = Pack::new();
                pack.bytes.extend([0xff; 30]);
                pack.counted(1)
            }),
            "more than 64 bits",
        ),
    ];
    for (what, body, said) in cases {
        it.malformed(what, &body, said);
    }
    it.recovers();
}

#[test]
fn a_bomb_ends_at_the_limit_that_it_passes_before_it_is_unfolded() {
    let it = Hostile::new();
    let mb = 1u64 << 20;
    let zeros = vec![0u8; 1 << 20];
    let declared = |size: u64| {
        let mut pack = Pack::new();
        pack.head(BLOB, size);
        pack.bytes.extend(zlib(&zeros));
        answer(&pack.done())
    };
    it.limit("2^40 bytes", &declared(1 << 40), "object_bytes");
    it.limit("2^59 bytes", &declared(1 << 59), "object_bytes");
    it.limit("one byte too many", &declared(mb + 1), "object_bytes");
    it.limit(
        "four billion objects",
        &answer(&Pack::new().counted(u32::MAX)),
        "objects",
    );
    let on_a_base = |make: &dyn Fn(&mut Pack, u64)| {
        let mut pack = Pack::new();
        let base = pack.object(BLOB, &zeros);
        make(&mut pack, base);
        answer(&pack.done())
    };
    it.limit(
        "a delta of 2^40 bytes",
        &on_a_base(&|p, base| {
            let bytes = [sizes(mb), sizes(1 << 40), vec![0x90, 5]].concat();
            p.on(base, &bytes);
        }),
        "object_bytes",
    );
    it.limit(
        "deltas on each other",
        &on_a_base(&|p, base| {
            let small = p.object(BLOB, b"0123456789");
            let mut last = small;
            for _ in 0..61 {
                last = p.on(last, &delta(10, 10));
            }
            p.on(base, &delta(mb, 10));
        }),
        "delta_depth",
    );
    it.limit(
        "a bush: each delta has two deltas on it",
        &on_a_base(&|p, base| {
            let mut last = base;
            for _ in 0..10 {
                p.on(last, &delta(mb, 10));
                last = p.on(last, &delta(mb, mb));
            }
        }),
        "delta_bytes",
    );
    it.limit(
        "many large objects of one",
        &on_a_base(&|p, base| {
            for _ in 0..70 {
                p.on(base, &delta(mb, mb));
            }
        }),
        "resolved_bytes",
    );
    it.limit(
        "deltas that name each other",
        &on_a_base(&|p, _| {
            for n in 0..11u32 {
                let id = format!("{n:040x}").parse().unwrap();
                p.by_id(id, &delta(10, 10));
            }
        }),
        "delta_refs",
    );
    it.recovers();
}

#[test]
fn a_pack_that_lacks_objects_of_its_commit_moves_nothing_and_leaves_nothing() {
    let it = Hostile::new();
    let raw = |spec: &str, kind: &str| {
        let repo = gix::open_opts(it.rig.repo.path(), gix::open::Options::isolated()).unwrap();
        let id = it.rig.repo.git(&["rev-parse", spec]);
        let id = gix::ObjectId::from_hex(id.as_bytes()).unwrap();
        let data = repo.find_object(id).unwrap().data.clone();
        assert!(!data.is_empty(), "{kind}");
        data
    };
    let commit = raw("main", "commit");
    let tree = raw("main^{tree}", "tree");
    let mut only_a_commit = Pack::new();
    only_a_commit.object(COMMIT, &commit);
    let mut no_blobs = Pack::new();
    no_blobs.object(COMMIT, &commit);
    no_blobs.object(TREE, &tree);
    let mut something_else = Pack::new();
    something_else.object(BLOB, b"not what was asked for");
    for pack in [only_a_commit, no_blobs, something_else] {
        // What is fetched on top stays in the clone until it is made anew, and is of no use.
        it.answers(&answer(&pack.done()));
        let source = it.source();
        let good = source.last_good().unwrap();
        let before = it.packs().len();
        for _ in 0..3 {
            let error = fetch(&source).unwrap_err();
            assert!(matches!(error, SourceError::Damaged { .. }), "{error}");
            assert_eq!(source.last_good(), Some(good));
            assert_eq!(text(&source, good, "a"), "1");
            assert!(it.packs().len() <= before + 1, "{:?}", it.packs());
        }
    }
    it.recovers();
}
