//! What is refused at loading, and what the cache of compiled code may be trusted with.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};

use super::guests::{component, config, renderer, sandbox_in};
use crate::{
    CompileError, CompileLimits, CompileMode, LoadCounts, LoadError, Role, Sandbox, SandboxError,
};

const BODY: &str = "(call $answer (i32.const 3000) (i32.const 1))";

fn load_as(role: Role, bytes: &[u8]) -> Result<(), LoadError> {
    let dir = TempDir::new().unwrap();
    sandbox_in(dir.path())
        .load(Digest::of(bytes), role, bytes, &|_| {})
        .map(|_| ())
}

/// Loads a renderer in a new sandbox on this directory: what a restart of the host does.
fn restart(dir: &Path, bytes: &[u8]) -> LoadCounts {
    let sandbox = sandbox_in(dir);
    sandbox
        .load(Digest::of(bytes), Role::Renderer, bytes, &|_| {})
        .unwrap();
    sandbox.counts()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("code"))
        .unwrap()
        .map(|e| e.unwrap().path());
    files
        .filter(|p| p.extension().is_some_and(|e| e == "cwasm"))
        .collect()
}

#[test]
fn bytes_that_the_lock_does_not_name_are_refused() {
    let dir = TempDir::new().unwrap();
    let asked = Digest::of(b"something else");
    let error = sandbox_in(dir.path())
        .load(asked, Role::Renderer, &renderer(BODY), &|_| {})
        .unwrap_err();
    assert!(
        matches!(error, LoadError::WrongDigest { expected, .. } if expected == asked),
        "{error}"
    );
    assert!(entries(dir.path()).is_empty(), "nothing was compiled");
}

#[test]
fn a_core_module_and_noise_are_not_components() {
    let module = wat::parse_str("(module)").unwrap();
    let error = load_as(Role::Renderer, &module).unwrap_err();
    assert!(error.to_string().contains("core module"), "{error}");
    let whole = renderer(BODY);
    for bytes in [&b""[..], b"hello", b"\0asm", &whole[..whole.len() / 2]] {
        let error = load_as(Role::Renderer, bytes).unwrap_err();
        assert!(
            matches!(
                error,
                LoadError::NotAComponent { .. } | LoadError::Compile { .. }
            ),
            "{error}"
        );
        assert_eq!(
            (error.fault(), error.retry()),
            (Fault::Plugin, Retry::OnChange)
        );
    }
}

#[test]
fn an_import_outside_the_allow_list_is_refused_by_name() {
    let sockets = "package wasi:sockets@0.2.3; interface network { open: func() -> u32; }";
    let import = r#"(import "wasi:sockets/network@0.2.3" "open" (func (result i32)))"#;
    let core = r#"(func (export "transform") (param i32) (result i32) (unreachable))"#;
    let world = "import wasi:sockets/network@0.2.3;";
    let bytes = component(Role::Transformer, &[sockets], world, import, core);
    let error = load_as(Role::Transformer, &bytes).unwrap_err();
    assert!(
        matches!(&error, LoadError::Import { import, .. } if import == "wasi:sockets/network@0.2.3"),
        "{error}"
    );
    assert!(error.to_string().contains("no network"), "{error}");
}

#[test]
fn an_interface_of_another_version_is_named_with_the_one_that_this_host_has() {
    let newer = "package weir:plugin@0.2.0; interface cluster { get: func() -> u32; }";
    let import = r#"(import "weir:plugin/cluster@0.2.0" "get" (func (result i32)))"#;
    let core = r#"(func (export "validate") (param i32) (result i32) (unreachable))"#;
    let world = "import weir:plugin/cluster@0.2.0;";
    let bytes = component(Role::Validator, &[newer], world, import, core);
    let error = load_as(Role::Validator, &bytes).unwrap_err();
    assert!(matches!(error, LoadError::Interface { .. }), "{error}");
    let said = error.to_string();
    for part in [
        "weir:plugin/cluster@0.2.0",
        "weir:plugin@0.1.0",
        "upgrade this host",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Plugin, Retry::OnChange)
    );
}

#[test]
fn a_plugin_of_another_role_does_not_load() {
    let error = load_as(Role::Transformer, &renderer(BODY)).unwrap_err();
    assert!(
        error.to_string().contains("does not export `transform`"),
        "{error}"
    );
}

#[test]
fn an_export_of_the_right_name_and_the_wrong_type_does_not_load() {
    let bytes = wat::parse_str(
        r#"(component
            (core module $m (func (export "render") (result i32) i32.const 1))
            (core instance $i (instantiate $m))
            (func (export "render") (result u32) (canon lift (core func $i "render"))))"#,
    )
    .unwrap();
    let error = load_as(Role::Renderer, &bytes).unwrap_err();
    assert!(matches!(error, LoadError::World { .. }), "{error}");
}

#[test]
fn a_plugin_is_compiled_once_and_found_again_in_memory_and_on_disk() {
    let dir = TempDir::new().unwrap();
    let bytes = renderer(BODY);
    let sandbox = sandbox_in(dir.path());
    for _ in 0..3 {
        sandbox
            .load(Digest::of(&bytes), Role::Renderer, &bytes, &|_| {})
            .unwrap();
    }
    assert_eq!(
        sandbox.counts(),
        LoadCounts {
            memory: 2,
            compiled: 1,
            ..LoadCounts::default()
        }
    );
    assert!(sandbox.loaded(Digest::of(&bytes), Role::Renderer).is_some());
    assert!(
        sandbox
            .loaded(Digest::of(&bytes), Role::Validator)
            .is_none()
    );
    assert_eq!(
        restart(dir.path(), &bytes),
        LoadCounts {
            cache: 1,
            ..LoadCounts::default()
        }
    );
}

#[test]
fn the_least_recently_used_plugin_leaves_memory_first() {
    let dir = TempDir::new().unwrap();
    let sandbox = Sandbox::new(crate::SandboxConfig {
        plugins_in_memory: 1,
        ..config(dir.path(), CompileMode::InProcess)
    })
    .unwrap();
    let (first, second) = (
        renderer(BODY),
        renderer("(call $answer (i32.const 3000) (i32.const 0))"),
    );
    for bytes in [&first, &second, &first] {
        sandbox
            .load(Digest::of(bytes), Role::Renderer, bytes, &|_| {})
            .unwrap();
    }
    assert_eq!(
        sandbox.counts(),
        LoadCounts {
            cache: 1,
            compiled: 2,
            ..LoadCounts::default()
        }
    );
}

#[test]
fn an_entry_with_one_flipped_bit_anywhere_is_compiled_again_and_replaced() {
    let dir = TempDir::new().unwrap();
    let bytes = renderer(BODY);
    restart(dir.path(), &bytes);
    let entry = entries(dir.path()).remove(0);
    let whole = fs::read(&entry).unwrap();
    for at in [0, 31, 32, 100, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&entry, damaged).unwrap();
        let again = LoadCounts {
            compiled: 1,
            doubtful: 1,
            ..LoadCounts::default()
        };
        assert_eq!(restart(dir.path(), &bytes), again, "byte {at}");
        assert_eq!(restart(dir.path(), &bytes).cache, 1, "it was replaced");
    }
}

#[test]
fn an_entry_that_is_cut_off_is_compiled_again() {
    let dir = TempDir::new().unwrap();
    let bytes = renderer(BODY);
    restart(dir.path(), &bytes);
    let entry = entries(dir.path()).remove(0);
    for len in [0, 10, 32, 4000] {
        let file = fs::File::options().write(true).open(&entry).unwrap();
        file.set_len(len).unwrap();
        assert_eq!(restart(dir.path(), &bytes).doubtful, 1, "{len} bytes");
    }
}

#[test]
fn an_entry_of_another_installation_or_another_plugin_is_compiled_again() {
    let (ours, theirs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let bytes = renderer(BODY);
    restart(ours.path(), &bytes);
    restart(theirs.path(), &bytes);
    let (mine, foreign) = (
        entries(ours.path()).remove(0),
        entries(theirs.path()).remove(0),
    );
    assert_eq!(mine.file_name(), foreign.file_name());
    fs::copy(&foreign, &mine).unwrap();
    assert_eq!(restart(ours.path(), &bytes).doubtful, 1, "another key");

    let other = renderer("(call $answer (i32.const 3000) (i32.const 0))");
    restart(theirs.path(), &other);
    let name = entries(theirs.path())
        .into_iter()
        .find(|p| p.file_name() != mine.file_name())
        .unwrap();
    fs::copy(&foreign, &name).unwrap();
    assert_eq!(
        restart(theirs.path(), &other).doubtful,
        1,
        "another plugin's code under this name"
    );
}

#[test]
fn an_entry_that_others_may_write_or_that_is_a_link_is_compiled_again() {
    let dir = TempDir::new().unwrap();
    let bytes = renderer(BODY);
    restart(dir.path(), &bytes);
    let entry = entries(dir.path()).remove(0);
    fs::set_permissions(&entry, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(restart(dir.path(), &bytes).doubtful, 1, "mode");
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(&entry, &elsewhere).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    assert_eq!(restart(dir.path(), &bytes).doubtful, 1, "link");
    assert!(!entry.is_symlink(), "the link was replaced, not followed");
}

#[test]
fn a_key_that_others_could_read_is_replaced() {
    let dir = TempDir::new().unwrap();
    let bytes = renderer(BODY);
    restart(dir.path(), &bytes);
    let key = dir.path().join("code/key");
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let old = fs::read(&key).unwrap();
    assert_eq!(restart(dir.path(), &bytes).doubtful, 1);
    assert_ne!(fs::read(&key).unwrap(), old);
    fs::write(&key, b"short").unwrap();
    assert_eq!(restart(dir.path(), &bytes).doubtful, 1);
}

#[test]
fn a_cache_that_others_have_access_to_is_refused() {
    let dir = TempDir::new().unwrap();
    let code = dir.path().join("code");
    fs::create_dir(&code).unwrap();
    fs::set_permissions(&code, Permissions::from_mode(0o755)).unwrap();
    let error = Sandbox::new(config(dir.path(), CompileMode::InProcess))
        .err()
        .unwrap();
    assert!(matches!(error, SandboxError::Cache { .. }));
    assert!(error.to_string().contains("0700"), "{error}");
}

#[test]
fn the_cache_drops_old_entries_over_its_cap_and_keeps_the_newest() {
    let dir = TempDir::new().unwrap();
    let sandbox = Sandbox::new(crate::SandboxConfig {
        cache_bytes: 1,
        ..config(dir.path(), CompileMode::InProcess)
    })
    .unwrap();
    for len in 0..3 {
        let bytes = renderer(&format!(
            "(call $answer (i32.const 3000) (i32.const {len}))"
        ));
        sandbox
            .load(Digest::of(&bytes), Role::Renderer, &bytes, &|_| {})
            .unwrap();
        assert_eq!(entries(dir.path()).len(), 1);
    }
}

#[test]
fn a_component_over_the_size_limit_is_not_compiled() {
    let dir = TempDir::new().unwrap();
    let mut config = config(dir.path(), CompileMode::InProcess);
    config.compile_limits.component_bytes = 10;
    let bytes = renderer(BODY);
    let error = Sandbox::new(config)
        .unwrap()
        .load(Digest::of(&bytes), Role::Renderer, &bytes, &|_| {})
        .unwrap_err();
    assert!(
        error.to_string().contains("component size in bytes (10)"),
        "{error}"
    );
}

/// Loads with another program in the compile worker's place.
fn load_with_worker(program: &str, args: &[&str], limits: CompileLimits) -> LoadError {
    let dir = TempDir::new().unwrap();
    let args = args.iter().map(|a| (*a).to_owned()).collect();
    let mut config = config(
        dir.path(),
        CompileMode::Child {
            program: program.into(),
            args,
        },
    );
    config.compile_limits = limits;
    let bytes = renderer(BODY);
    let error = Sandbox::new(config)
        .unwrap()
        .load(Digest::of(&bytes), Role::Renderer, &bytes, &|_| {})
        .unwrap_err();
    assert!(
        entries(dir.path()).is_empty(),
        "nothing of a failed compilation is kept"
    );
    error
}

#[test]
fn a_compile_worker_that_takes_too_long_is_killed() {
    let limits = CompileLimits {
        wall: Duration::from_millis(50),
        ..CompileLimits::HOST
    };
    let error = load_with_worker("/bin/sleep", &["3600"], limits);
    assert!(error.to_string().contains("wall time (50ms)"), "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
}

#[test]
fn a_compile_worker_that_gives_too_much_is_killed() {
    let limits = CompileLimits {
        output_bytes: 1000,
        ..CompileLimits::HOST
    };
    let error = load_with_worker("/bin/cat", &["/dev/zero"], limits);
    assert!(
        error.to_string().contains("compiled size in bytes (1000)"),
        "{error}"
    );
}

#[test]
fn a_compile_worker_that_gives_no_code_or_is_not_there_is_the_hosts_fault() {
    for program in ["/bin/cat", "/bin/true", "/no/such/program"] {
        let error = load_with_worker(program, &[], CompileLimits::HOST);
        assert!(
            matches!(
                error,
                LoadError::Compile {
                    source: CompileError::Host(_),
                    ..
                }
            ),
            "{program}: {error}"
        );
        assert_eq!(error.fault(), Fault::Host);
    }
}
