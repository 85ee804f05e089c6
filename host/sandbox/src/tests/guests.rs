//! Builds components from text and calls them with generous limits.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tempfile::TempDir;
use weir_core::digest::{Digest, ObjectId};
use weir_core::grant::{Bytes, Fuel, Limits, Millis};
use weir_core::name::{AppName, PluginName, RepoPath};
use weir_core::random::Seed;
use weir_core::tree::{Entry, MemoryBlobs, ReadSet, Snapshot, Tree, TreeLimits, View};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{
    Call, CallError, CompileLimits, CompileMode, Document, Domain, Isolation, Params, Plugin, Role,
    Sandbox, SandboxConfig, TargetFacts, Usage,
};

/// Fifteen parameters: the flat form of `params`.
pub(crate) const PARAMS: &str =
    "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";

/// What all guests share: memory, an allocator that only grows, and `$answer`, which returns one document
/// with the bytes at a place.
const PRELUDE: &str = r#"
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 65536))
  (func $alloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
    (global.set $top (i32.add (local.get $at) (local.get 3)))
    (block $enough
      (br_if $enough (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get 3) (i32.const 16))))))
    (local.get $at))
  (func $answer (param $at i32) (param $len i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1028) (i32.const 1040))
    (i32.store (i32.const 1032) (i32.const 1))
    (i32.store (i32.const 1040) (i32.const 3000))
    (i32.store (i32.const 1044) (i32.const 1))
    (i32.store (i32.const 1048) (local.get $at))
    (i32.store (i32.const 1052) (local.get $len))
    (i32.const 1024))
  (data (i32.const 3000) "a")
"#;

/// A component of a role: `imports` are lines of the world, `packages` the WIT packages that they need,
/// `core` the text of the module after its imports and what all guests share.
pub(crate) fn component(
    role: Role,
    packages: &[&str],
    imports: &str,
    core_imports: &str,
    core: &str,
) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve
        .push_dir(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")))
        .unwrap();
    for (i, package) in packages.iter().enumerate() {
        resolve.push_source(&format!("{i}.wit"), package).unwrap();
    }
    let world = format!(
        "package test:guest; world guest {{ include weir:plugin/{role}@0.1.0; {imports} }}"
    );
    let package = resolve.push_source("guest.wit", &world).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    let mut module = wat::parse_str(format!("(module {core_imports} {PRELUDE} {core})")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .validate(true)
        .encode()
        .unwrap()
}

/// A renderer whose `render` has this body.
pub(crate) fn renderer(body: &str) -> Vec<u8> {
    renderer_with("", body, "")
}

/// A renderer that imports core functions of its own world; `rest` are more parts of the module.
pub(crate) fn renderer_with(core_imports: &str, body: &str, rest: &str) -> Vec<u8> {
    let render = format!(r#"(func (export "render") {PARAMS} (result i32) {body}) {rest}"#);
    component(Role::Renderer, &[], "", core_imports, &render)
}

/// A sandbox that compiles in this process and keeps code in `dir`.
pub(crate) fn sandbox_in(dir: &Path) -> Arc<Sandbox> {
    Sandbox::new(config(dir, CompileMode::InProcess)).unwrap()
}

pub(crate) fn config(dir: &Path, compile: CompileMode) -> SandboxConfig {
    SandboxConfig {
        cache_dir: dir.join("code"),
        cache_bytes: SandboxConfig::CACHE_BYTES,
        plugins_in_memory: SandboxConfig::PLUGINS_IN_MEMORY,
        compile,
        compile_limits: CompileLimits {
            wall: Duration::from_secs(120),
            ..CompileLimits::HOST
        },
        isolation: Isolation::InProcess,
    }
}

/// A sandbox with one plugin loaded.
pub(crate) struct Bench {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) plugin: Plugin,
    pub(crate) limits: Limits,
    _dir: TempDir,
}

impl Bench {
    pub(crate) fn new(role: Role, component: &[u8]) -> Bench {
        let dir = TempDir::new().unwrap();
        let sandbox = sandbox_in(dir.path());
        let plugin = sandbox
            .load(Digest::of(component), role, component, &|_| {})
            .unwrap();
        Bench {
            sandbox,
            plugin,
            limits: LIMITS,
            _dir: dir,
        }
    }

    pub(crate) fn renderer(body: &str) -> Bench {
        Bench::new(Role::Renderer, &renderer(body))
    }

    pub(crate) async fn render(&self) -> Result<(Vec<Document>, Usage), CallError> {
        self.render_files(&[])
            .await
            .map(|(documents, _, usage)| (documents, usage))
    }

    /// The same with stable random bytes.
    pub(crate) async fn render_granted(
        &self,
        seed: u8,
    ) -> Result<(Vec<Document>, ReadSet, Usage), CallError> {
        let (app, plugin) = names();
        let call = Call {
            random: Some(Seed::new([seed; 32])),
            ..call(&app, &plugin, self.limits)
        };
        let files = view(&[(".weir/grants/random", "a file of the repository")]);
        self.sandbox.render(&self.plugin, call, files).await
    }

    pub(crate) async fn render_files(
        &self,
        files: &[(&str, &str)],
    ) -> Result<(Vec<Document>, ReadSet, Usage), CallError> {
        let (app, plugin) = names();
        self.sandbox
            .render(&self.plugin, call(&app, &plugin, self.limits), view(files))
            .await
    }
}

pub(crate) const LIMITS: Limits = Limits {
    fuel: Fuel(100_000_000),
    memory: Bytes(64 << 20),
    output: Bytes(1 << 20),
    time: Millis(60_000),
    host_calls: 1000,
};

/// What the clock of a guest says in these tests.
pub(crate) const INSTANT: u64 = 1_700_000_000;

pub(crate) fn names() -> (AppName, PluginName) {
    ("shop".parse().unwrap(), "paint".parse().unwrap())
}

pub(crate) fn call<'a>(app: &'a AppName, plugin: &'a PluginName, limits: Limits) -> Call<'a> {
    let target = TargetFacts {
        name: "default".into(),
        kubernetes: "1.37.2".into(),
        apis: vec!["v1/Pod".into()],
    };
    let params = Params {
        app: app.to_string(),
        path: "apps/shop".into(),
        namespace: Some("shop".into()),
        target,
        config: b"{}".to_vec(),
    };
    static DOMAIN: LazyLock<Domain> = LazyLock::new(|| Domain::new("shop"));
    Call {
        domain: &DOMAIN,
        app,
        plugin,
        limits,
        instant: INSTANT,
        params,
        random: None,
    }
}

/// A view of these files, everything inside the roots.
pub(crate) fn view(files: &[(&str, &str)]) -> View {
    let mut entries = BTreeMap::new();
    let mut blobs = MemoryBlobs::default();
    for (i, (path, text)) in files.iter().enumerate() {
        let id = ObjectId::from_bytes([u8::try_from(i).unwrap() + 1; 20]);
        entries.insert(
            path.parse().unwrap(),
            Entry::File {
                id,
                size: text.len() as u64,
                executable: false,
            },
        );
        blobs.insert(id, text.as_bytes());
    }
    let tree = Arc::new(Tree::new(None, entries).unwrap());
    View::new(
        Snapshot {
            tree,
            blobs: Arc::new(blobs),
            limits: TreeLimits::HOST,
            externals: Default::default(),
        },
        vec![RepoPath::root()],
    )
}
