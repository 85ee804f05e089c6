//! What a renderer sees of the tree, and what is remembered of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_core::digest::{BlobId, ObjectId};
use weir_core::fault::{Blame, Fault, Retry};
use weir_core::grant::Bytes;
use weir_core::name::RepoPath;
use weir_core::tree::{Answer, BlobError, Blobs, Entry, ReadSet, Snapshot, Tree, TreeLimits, View};

use super::guests::{Bench, call, names, renderer_with};
use crate::{Failure, Role};

const READ: &str = r#"(import "weir:plugin/tree@0.1.0" "read" (func $read (param i32 i32 i32)))"#;
const LFS: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";

/// Reads this path `times` times, then gives back what it got: the bytes, or the number of the error.
fn reader(path: &str, times: u32) -> Bench {
    let len = path.len();
    let body = format!(
        r#"(local $i i32)
        (loop $more
          (call $read (i32.const 3100) (i32.const {len}) (i32.const 4000))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $i) (i32.const {times}))))
        (if (result i32) (i32.load8_u (i32.const 4000))
          (then (call $answer (i32.const 4004) (i32.const 1)))
          (else (call $answer (i32.load (i32.const 4004)) (i32.load (i32.const 4008)))))"#
    );
    let data = format!(r#"(data (i32.const 3100) "{path}")"#);
    Bench::new(Role::Renderer, &renderer_with(READ, &body, &data))
}

/// The paths of which a question was answered like that.
fn asked(read: &ReadSet, with: impl Fn(Answer) -> bool) -> Vec<&str> {
    let all = read.iter().filter(|(_, _, answer)| with(*answer));
    all.map(|(_, path, _)| path.as_str()).collect()
}

#[tokio::test]
async fn a_renderer_reads_files_and_the_host_remembers_which() {
    let files = [("app/a.yaml", "kind: Pod"), ("other", "x")];
    let (documents, read, usage) = reader("app/a.yaml", 2).render_files(&files).await.unwrap();
    assert_eq!(documents[0].body, b"kind: Pod");
    assert_eq!(
        asked(&read, |answer| matches!(answer, Answer::File(_))),
        ["app/a.yaml"]
    );
    assert_eq!(usage.host_calls, 2);
}

#[tokio::test]
async fn a_renderer_may_handle_what_is_not_there_and_the_host_remembers_that_it_asked() {
    let (documents, read, _) = reader("b", 1).render_files(&[("a/x", "")]).await.unwrap();
    assert_eq!(documents[0].body, [0], "not-found");
    assert_eq!(asked(&read, |answer| answer == Answer::Absent), ["b"]);
    let (documents, _, _) = reader("a", 1).render_files(&[("a/x", "")]).await.unwrap();
    assert_eq!(documents[0].body, [2], "is-a-directory");
    let (documents, _, _) = reader("../etc/passwd", 1)
        .render_files(&[("a/x", "")])
        .await
        .unwrap();
    assert_eq!(documents[0].body, [3], "invalid-path");
}

#[tokio::test]
async fn a_file_that_is_elsewhere_ends_the_call_and_is_named() {
    let error = reader("big.bin", 1)
        .render_files(&[("big.bin", LFS)])
        .await
        .unwrap_err();
    assert!(matches!(error.failure, Failure::Read(_)), "{error}");
    assert!(
        error.to_string().contains("big.bin: is a Git LFS pointer"),
        "{error}"
    );
    assert_eq!(error.fault(), Fault::Repository);
}

#[tokio::test]
async fn all_that_is_read_counts_against_the_output_limit() {
    let mut bench = reader("a", 11);
    bench.limits.output = Bytes(100);
    let error = bench
        .render_files(&[("a", "0123456789")])
        .await
        .unwrap_err();
    assert!(matches!(error.failure, Failure::Output { .. }), "{error}");
    assert!(
        error.to_string().contains("read 110 bytes of files"),
        "{error}"
    );
}

/// An object database that fails in the worst way.
struct Broken;

impl Blobs for Broken {
    fn read(&self, _: BlobId) -> Result<Arc<[u8]>, BlobError> {
        panic!("the object database is broken")
    }
}

#[tokio::test]
async fn a_panic_of_the_host_inside_a_call_is_that_calls_failure() {
    let bench = reader("a", 1);
    let entry = Entry::File {
        id: ObjectId::from_bytes([1; 20]),
        size: 1,
        executable: false,
    };
    let tree = Arc::new(Tree::new(None, BTreeMap::from([("a".parse().unwrap(), entry)])).unwrap());
    let snapshot = Snapshot {
        tree,
        blobs: Arc::new(Broken),
        limits: TreeLimits::HOST,
        externals: Default::default(),
    };
    let (app, plugin) = names();
    let view = View::new(snapshot, vec![RepoPath::root()]);
    let error = bench
        .sandbox
        .render(&bench.plugin, call(&app, &plugin, bench.limits), view)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("bug in Weir"), "{error}");
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Host, Retry::Backoff)
    );
    bench.render_files(&[("a", "x")]).await.unwrap();
}
