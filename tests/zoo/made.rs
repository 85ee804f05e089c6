//! Guests that no SDK would make, from text: what they import, what they do, and what they say of themselves.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::table::End::{Makes, Stops};
use super::table::{Guest, guest};

/// A guest from text.
pub(crate) struct Text {
    pub(crate) guest: Guest,
    pub(crate) role: &'static str,
    /// WIT packages besides Weir's own.
    packages: &'static [&'static str],
    /// Lines of its world.
    world: &'static str,
    /// What its module imports.
    imports: &'static str,
    /// The body of what it exports, and after `;;rest` more parts of the module.
    body: &'static str,
    /// What it says of itself besides, in custom sections of the component.
    claims: &'static [(&'static str, &'static [u8])],
}

const TOO_MANY_LOCALS: &str = "too-many-locals";
const STREAMS: &str = "package wasi:io@0.2.3; interface error { resource error; }
    interface streams { use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream {
            blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
        } }";
const STDERR: &str =
    "package wasi:cli@0.2.3; interface stderr { use wasi:io/streams@0.2.3.{output-stream};
    get-stderr: func() -> output-stream; }";
const WRITE: &str = r#"(import "wasi:cli/stderr@0.2.3" "get-stderr" (func $stderr (result i32)))
    (import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush"
      (func $write (param i32 i32 i32 i32)))"#;
const LOG: &str = r#"(import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
/// An object that may pass, at 3000.
const OBJECT: &str = r#"(call $answer (i32.const 3000) (i32.const 67)) ;;rest
    (data (i32.const 3000) "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: forged-metadata }\n")"#;

/// Section 0, then its length: of a kind that lies about it.
const BAD_NAMES: &[u8] = &[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 7];

pub(crate) const TEXTS: &[Text] = &[
    // Metadata that lies.
    Text {
        guest: guest(
            "forged-metadata",
            "is_known_by_its_digest_whatever_it_says_of_itself",
            "",
            Makes(&["name: forged-metadata"]),
        ),
        role: "renderer",
        packages: &[],
        world: "",
        imports: "",
        body: OBJECT,
        claims: &[
            ("weir:plugin", b"bundled:yaml, trusted, limits: none"),
            ("component-name", BAD_NAMES),
            ("producers", BAD_NAMES),
            ("component-type", b"\x00asm\x0d\x00\x01\x00 a world of its own"),
            ("name", b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        ],
    },
    Text {
        guest: guest(
            "forged-names",
            "cannot_write_a_line_of_the_host",
            "",
            Stops(&[
                "trapped, which is a bug in the plugin",
                r"\nERROR app `good`: is gone",
            ]),
        ),
        role: "renderer",
        packages: &[],
        world: "",
        imports: "",
        body: r#"(call $lies) (unreachable) ;;rest
            (func $lies (@name "x\0aERROR app `good`: is gone\1b[2J") (unreachable))"#,
        claims: &[],
    },
    // Imports that its world lacks.
    Text {
        guest: guest(
            "imports-cluster",
            "is_not_even_loaded",
            "",
            Stops(&[
                "imports `weir:cluster/objects@0.1.0`",
                "a renderer may not have",
                "build it without",
            ]),
        ),
        role: "renderer",
        packages: &["package weir:cluster@0.1.0; interface objects { read: func() -> u32; }"],
        world: "import weir:cluster/objects@0.1.0;",
        imports: r#"(import "weir:cluster/objects@0.1.0" "read" (func $read (result i32)))"#,
        body: "(drop (call $read)) (unreachable)",
        claims: &[],
    },
    Text {
        guest: guest(
            "imports-more",
            "is_told_what_its_world_lacks",
            "",
            Stops(&["is not a renderer of weir:plugin@0.1.0", "get-stdout-of"]),
        ),
        role: "renderer",
        packages: &[
            "package wasi:cli@0.2.3; interface stdout { get-stdout-of: func(pid: u32) -> u32; }",
        ],
        world: "import wasi:cli/stdout@0.2.3;",
        imports: r#"(import "wasi:cli/stdout@0.2.3" "get-stdout-of" (func $of (param i32) (result i32)))"#,
        body: "(drop (call $of (i32.const 1))) (unreachable)",
        claims: &[],
    },
    // Floods.
    Text {
        guest: guest(
            "floods-stderr",
            "ends_with_its_host_calls",
            "hostCalls: 2000",
            Stops(&[
                "called the host too often",
                "2000 times",
                "raise limits.hostCalls of plugin `floods-stderr`",
            ]),
        ),
        role: "renderer",
        packages: &[STREAMS, STDERR],
        world: "import wasi:cli/stderr@0.2.3; import wasi:io/streams@0.2.3;",
        imports: WRITE,
        body: "(local $out i32) (local.set $out (call $stderr))
            (loop $more
              (call $write (local.get $out) (i32.const 65536) (i32.const 4000) (i32.const 4000))
              (br $more)) (unreachable)",
        claims: &[],
    },
    Text {
        guest: guest(
            "hoards-handles",
            "is_told_how_many_it_may_hold",
            "",
            Stops(&["holds too many handles at once", "at most 1000"]),
        ),
        role: "renderer",
        packages: &[STREAMS, STDERR],
        world: "import wasi:cli/stderr@0.2.3; import wasi:io/streams@0.2.3;",
        imports: WRITE,
        body: "(loop $more (drop (call $stderr)) (br $more)) (unreachable)",
        claims: &[],
    },
    Text {
        guest: guest(
            "huge-log-line",
            "ends_with_its_output",
            "memory: 256Mi",
            Stops(&["output limit of 64Mi", "at once"]),
        ),
        role: "renderer",
        packages: &[],
        world: "",
        imports: LOG,
        body: "(drop (memory.grow (i32.const 2000)))
            (call $log (i32.const 2) (i32.const 0) (i32.const 130000000)) (unreachable)",
        claims: &[],
    },
    // What is large without much work.
    Text {
        guest: guest(
            "copies-forever",
            "ends_with_its_fuel",
            "fuel: 300M, memory: 256Mi",
            Stops(&["ran out of fuel", "300M"]),
        ),
        role: "renderer",
        packages: &[],
        world: "",
        imports: "",
        body: "(drop (memory.grow (i32.const 2000)))
            (loop $more
              (memory.copy (i32.const 0) (i32.const 65536) (i32.const 130000000))
              (br $more)) (unreachable)",
        claims: &[],
    },
    Text {
        guest: guest(
            "fills-4gib",
            "is_told_that_there_is_no_such_memory",
            "",
            Stops(&["trapped, which is a bug in the plugin", "out of bounds"]),
        ),
        role: "renderer",
        packages: &[],
        world: "",
        imports: "",
        body: "(memory.fill (i32.const 0) (i32.const 1) (i32.const -1)) (unreachable)",
        claims: &[],
    },
    Text {
        guest: guest(
            "one-gib-of-the-same",
            "ends_with_its_output",
            "",
            Stops(&["output limit of 64Mi", "at once"]),
        ),
        role: "transformer",
        packages: &[],
        world: "",
        imports: "",
        // A thousand objects, each the same mebibyte.
        body: "(local $i i32)
            (drop (memory.grow (i32.const 20)))
            (loop $more
              (i32.store (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 8))) (i32.const 0))
              (i32.store offset=4 (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 8))) (i32.const 1048576))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $more (i32.lt_u (local.get $i) (i32.const 1000))))
            (call $items (i32.const 131072) (i32.const 1000))",
        claims: &[],
    },
    // Stack bombs for whoever reads what it returns.
    Text {
        guest: guest(
            "deep-json",
            "is_told_that_its_object_is_too_deep",
            "",
            Stops(&[
                "gave back something that is not a Kubernetes object",
                "recursion limit exceeded",
                "report it to its author",
            ]),
        ),
        role: "transformer",
        packages: &[],
        world: "",
        imports: "",
        body: r#"(drop (memory.grow (i32.const 20)))
            (memory.fill (i32.const 131072) (i32.const 0x5b) (i32.const 1000000))
            (i32.store (i32.const 2000) (i32.const 131072))
            (i32.store (i32.const 2004) (i32.const 1000000))
            (call $items (i32.const 2000) (i32.const 1))"#,
        claims: &[],
    },
    Text {
        guest: guest(
            "deep-yaml",
            "is_told_that_its_document_is_too_deep",
            "",
            Stops(&["guest.yaml:1", "deep", "report it to its author"]),
        ),
        role: "renderer",
        packages: &[],
        world: "",
        imports: "",
        body: "(drop (memory.grow (i32.const 20)))
            (memory.fill (i32.const 131072) (i32.const 0x5b) (i32.const 1000000))
            (call $answer (i32.const 131072) (i32.const 1000000))",
        claims: &[],
    },
    // What the compiler refuses at once. What keeps it busy is in the suite of its own process.
    Text {
        guest: guest(
            TOO_MANY_LOCALS,
            "is_told_what_the_compiler_does_not_take",
            "",
            Stops(&["could not be compiled", "locals"]),
        ),
        role: "renderer",
        packages: &[],
        world: "",
        imports: "",
        body: "(unreachable)",
        claims: &[],
    },
];

/// The flat form of `params`.
const PARAMS: &str = "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)";

/// The guest's component.
pub(crate) fn component(text: &Text) -> anyhow::Result<Vec<u8>> {
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_dir(weir_tests::places::root().join("wit"))?;
    for (n, package) in text.packages.iter().enumerate() {
        resolve.push_source(&format!("{n}.wit"), package)?;
    }
    let (role, more) = (text.role, text.world);
    let world =
        format!("package test:guest; world guest {{ include weir:plugin/{role}@0.1.0; {more} }}");
    let package = resolve.push_source("guest.wit", &world)?;
    let world = resolve.select_world(&[package], Some("guest"))?;
    let (body, rest) = text.body.split_once(";;rest").unwrap_or((text.body, ""));
    let locals = match text.guest.name {
        TOO_MANY_LOCALS => format!("(func (local {}))", "i64 ".repeat(60_000)),
        _ => String::new(),
    };
    let (name, params) = match role {
        "renderer" => ("render", PARAMS),
        "transformer" => ("transform", "(param i32)"),
        _ => ("validate", "(param i32)"),
    };
    let imports = text.imports;
    let mut module = wat::parse_str(format!(
        r#"(module {imports}
        (memory (export "memory") 4)
        (global $top (mut i32) (i32.const 65536))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
          (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
          (global.get $top)
          (global.set $top (i32.add (global.get $top) (local.get 3))))
        (func $items (param $at i32) (param $count i32) (result i32)
          (i32.store8 (i32.const 1024) (i32.const 0))
          (i32.store (i32.const 1028) (local.get $at))
          (i32.store (i32.const 1032) (local.get $count))
          (i32.const 1024))
        (func $answer (param $at i32) (param $len i32) (result i32)
          (i32.store (i32.const 1040) (i32.const 2900))
          (i32.store (i32.const 1044) (i32.const 10))
          (i32.store (i32.const 1048) (local.get $at))
          (i32.store (i32.const 1052) (local.get $len))
          (call $items (i32.const 1040) (i32.const 1)))
        (func (export "{name}") {params} (result i32) {body})
        (data (i32.const 2900) "guest.yaml")
        {rest} {locals})"#
    ))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let encoder = ComponentEncoder::default().module(&module)?;
    // Whoever would make a bad component does not look at it first.
    let is_good = text.guest.name != TOO_MANY_LOCALS;
    let mut bytes = encoder.validate(is_good).encode()?;
    for (name, claim) in text.claims {
        custom_section(&mut bytes, name, claim)?;
    }
    Ok(bytes)
}

/// A section that means nothing to whoever runs it, at the end of a component.
fn custom_section(bytes: &mut Vec<u8>, name: &str, claim: &[u8]) -> anyhow::Result<()> {
    let name_len = u8::try_from(name.len())?;
    let len = u8::try_from(1 + name.len() + claim.len())?;
    anyhow::ensure!(
        name_len < 128 && len < 128,
        "a length of more than one byte"
    );
    bytes.extend([0, len, name_len]);
    bytes.extend(name.as_bytes());
    bytes.extend(claim);
    Ok(())
}
