//! As many bad archives as good ones: what is taken in, and the words with which all else is refused.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};
use weir_core::name::RepoPath;
use weir_core::tree::{Entry, Snapshot, View};

use crate::external::error::{About, ExternalError};
use crate::external::limits::ExternalLimits;
use crate::external::unpack::chart;

const ABOUT: About<'static> = About("oci://h/web");

/// An archive under way. Paths are written as they are given, however bad they are.
struct Made(Builder<Vec<u8>>);

impl Made {
    fn new() -> Made {
        Made(Builder::new(Vec::new()))
    }

    /// With `web/Chart.yaml` in it.
    fn chart() -> Made {
        Made::new().file("web/Chart.yaml", b"name: web\n")
    }

    fn raw(mut self, path: &[u8], kind: EntryType, mode: u32, content: &[u8]) -> Made {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path);
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.as_mut_bytes()[157..163].copy_from_slice(b"target");
        }
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, path: &str, content: &[u8]) -> Made {
        self.raw(path.as_bytes(), EntryType::Regular, 0o644, content)
    }

    fn dir(self, path: &str) -> Made {
        self.raw(path.as_bytes(), EntryType::Directory, 0o755, b"")
    }

    fn tar(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn gz(self) -> Vec<u8> {
        gz(&self.tar())
    }
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn small() -> ExternalLimits {
    ExternalLimits {
        archive_bytes: 64 << 10,
        unpacked_bytes: 2 << 20,
        ratio: 100,
        ratio_free: 64 << 10,
        files: 20,
        depth: 4,
        path_bytes: 90,
        ..ExternalLimits::HOST
    }
}

fn unpacked(archive: &[u8]) -> Result<Snapshot, ExternalError> {
    chart(ABOUT, archive, &small())
}

fn paths(snapshot: &Snapshot) -> Vec<&str> {
    snapshot
        .tree
        .entries()
        .map(|(path, _)| path.as_str())
        .collect()
}

#[test]
fn files_lie_below_the_root_without_the_top_directory() {
    let archive = Made::chart()
        .file("web/templates/a.yaml", b"kind: A\n")
        .file("web/charts/db/Chart.yaml", b"name: db\n")
        .gz();
    let snapshot = unpacked(&archive).unwrap();
    assert_eq!(
        paths(&snapshot),
        ["Chart.yaml", "charts/db/Chart.yaml", "templates/a.yaml"]
    );
    let mut view = View::new(snapshot, vec![RepoPath::root()]);
    assert_eq!(&*view.read("templates/a.yaml").unwrap(), b"kind: A\n");
    assert!(view.read("web/Chart.yaml").is_err());
}

#[test]
fn what_packers_write_beside_files_is_passed_over() {
    let archive = Made::new()
        .raw(
            b"pax_global_header",
            EntryType::XGlobalHeader,
            0o644,
            b"19 comment=abcdefg\n",
        )
        .dir("./web/")
        .dir("./web/templates/")
        .file("./web/Chart.yaml", b"name: web\n")
        .file("./web/templates/a.yaml", b"")
        .gz();
    assert_eq!(
        paths(&unpacked(&archive).unwrap()),
        ["Chart.yaml", "templates/a.yaml"]
    );
}

#[test]
fn the_mode_of_a_file_is_kept_as_far_as_git_keeps_it() {
    let archive = Made::chart()
        .raw(b"web/run.sh", EntryType::Regular, 0o4777, b"x")
        .file("web/plain", b"x")
        .gz();
    let snapshot = unpacked(&archive).unwrap();
    let executable = |path: &str| match snapshot.tree.get(&path.parse().unwrap()) {
        Some(Entry::File { executable, .. }) => *executable,
        other => panic!("{other:?}"),
    };
    assert!(executable("run.sh") && !executable("plain"));
}

#[test]
fn long_names_and_several_gzip_members_are_read() {
    let mut builder = Builder::new(Vec::new());
    let long = format!("web/{}.yaml", "n".repeat(120));
    for (path, content) in [("web/Chart.yaml", "name: web\n"), (&long, "x")] {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    let tar = builder.into_inner().unwrap();
    let (first, second) = tar.split_at(tar.len() / 2);
    let mut archive = gz(first);
    archive.extend(gz(second));
    let limits = ExternalLimits {
        path_bytes: 200,
        ..small()
    };
    let snapshot = chart(ABOUT, &archive, &limits).unwrap();
    assert_eq!(snapshot.tree.len(), 2);
}

#[test]
fn an_archive_as_large_as_every_limit_is_taken() {
    let limits = small();
    let mut made = Made::chart().dir("web/a/b/c").file("web/a/b/c/d", b"x");
    for n in 3..limits.files {
        made = made.file(&format!("web/{n}"), b"");
    }
    assert_eq!(unpacked(&made.gz()).unwrap().tree.len(), limits.files - 1);
    let longest = format!("web/{}", "p".repeat(limits.path_bytes - 4));
    assert!(unpacked(&Made::chart().file(&longest, b"").gz()).is_ok());
}

#[test]
fn the_same_bytes_twice_are_one_blob_and_two_files() {
    let archive = Made::chart()
        .file("web/a", b"same")
        .file("web/b", b"same")
        .gz();
    let snapshot = unpacked(&archive).unwrap();
    let mut view = View::new(snapshot, vec![RepoPath::root()]);
    assert_eq!(view.read("a").unwrap(), view.read("b").unwrap());
}

/// What an archive is refused with.
fn refusal(archive: &[u8]) -> String {
    match unpacked(archive) {
        Ok(snapshot) => panic!("taken: {:?}", paths(&snapshot)),
        Err(e) => {
            assert!(e.to_string().contains("`oci://h/web`"), "{e}");
            format!("{}: {e}", e.kind())
        }
    }
}

#[test]
fn what_is_no_plain_file_below_one_directory_is_refused() {
    let kind = |kind| Made::chart().raw(b"web/x", kind, 0o644, b"").gz();
    let file = |path: &str| Made::chart().file(path, b"x").gz();
    for (archive, words) in [
        (kind(EntryType::Symlink), "\"web/x\": it is a link"),
        (kind(EntryType::Link), "it is a link"),
        (kind(EntryType::Char), "it is a device"),
        (kind(EntryType::Block), "it is a device"),
        (kind(EntryType::Fifo), "it is a device"),
        (kind(EntryType::new(b'Z')), "something else"),
        (file("/web/x"), "the path is absolute"),
        (file("web/../x"), "an empty part, . or .."),
        (file("../x"), "an empty part, . or .."),
        (file("web/./x"), "an empty part, . or .."),
        (file("web//x"), "an empty part, . or .."),
        (file("web\\x"), "a backslash"),
        (file("web/a\nb"), "a control character"),
        (file("other/x"), "it lies beside \"web\""),
        (file("x"), "it lies beside \"web\""),
        (file("web"), "a chart's files lie in one directory"),
        (file("web/Chart.yaml"), "it is there twice"),
        (file("web/Chart.yaml/x"), "below something that is a file"),
        (
            Made::chart()
                .raw(b"web/\xff", EntryType::Regular, 0o644, b"")
                .gz(),
            "the path is not UTF-8",
        ),
        (
            Made::new().file("web/values.yaml", b"").gz(),
            "no Chart.yaml",
        ),
        (Made::new().gz(), "no Chart.yaml"),
    ] {
        let said = refusal(&archive);
        assert!(
            said.starts_with("refused: ") && said.contains(words),
            "{words}: {said}"
        );
    }
}

#[test]
fn what_is_no_whole_gzipped_tar_is_refused() {
    let whole = Made::chart().file("web/a", &[7; 5000]).gz();
    let tar = Made::chart().tar();
    let mut flipped = Made::chart().tar();
    flipped[3] ^= 1;
    for (what, archive) in [
        ("nothing", Vec::new()),
        ("a page", b"<html>log in</html>".to_vec()),
        ("a tar", tar.clone()),
        ("half a gzip", whole[..whole.len() / 2].to_vec()),
        ("half a tar", gz(&tar[..700])),
        ("a header that does not add up", gz(&flipped)),
    ] {
        let said = refusal(&archive);
        assert!(said.starts_with("refused: "), "{what}: {said}");
    }
}

#[test]
fn a_bomb_ends_at_the_first_limit_that_it_passes() {
    let zeros = vec![0; 3 << 20];
    let noise: Vec<u8> = (0..100_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let many = |n: usize| {
        let mut made = Made::chart();
        for n in 0..n {
            made = made.file(&format!("web/{n}"), b"");
        }
        made.gz()
    };
    for (archive, limit) in [
        (Made::chart().file("web/a", &zeros).gz(), "ratio"),
        (gz(&gz(&zeros)), ""),
        (Made::chart().file("web/a", &noise).gz(), "archive_bytes"),
        (many(20), "files"),
        (Made::chart().file("web/a/b/c/d/e", b"").gz(), "depth"),
        (
            Made::chart()
                .file(&format!("web/{}", "p".repeat(87)), b"")
                .gz(),
            "path_bytes",
        ),
    ] {
        let said = refusal(&archive);
        if limit.is_empty() {
            assert!(said.starts_with("refused"), "{said}");
        } else {
            assert!(
                said.contains(&format!("exceeds the limit {limit}:")),
                "{limit}: {said}"
            );
        }
    }
    let limits = ExternalLimits {
        ratio: 1 << 20,
        ..small()
    };
    let error = chart(ABOUT, &Made::chart().file("web/a", &zeros).gz(), &limits);
    let error = error.err().unwrap().to_string();
    assert!(error.contains("the limit unpacked_bytes"), "{error}");
}
