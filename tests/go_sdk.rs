//! The Go SDK through the sandbox: a renderer, a transformer and a validator in Go, called by the real binary.
//!
//! One repository has an app for each thing that is looked at; one machine renders them all. Not libtest: they share the
//! machine, which is gone at the end.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use weir_tests::weir::text;
use weir_tests::{Repo, Weir, places};

/// What is seen of one app: its name, its pipeline, and words that must be in what is printed, good or bad.
struct Look {
    name: &'static str,
    holds: &'static str,
    pipeline: &'static str,
    /// Whether it renders at all.
    good: bool,
    words: &'static [&'static str],
}

const LOOKS: &[Look] = &[
    Look {
        name: "params",
        holds: "all_params_arrive",
        pipeline: "render: { plugin: renders, config: { do: params } }, target: { namespace: spaced }",
        good: true,
        words: &[
            "app: params\n",
            "path: apps/params\n",
            "namespace: spaced\n",
            "kubernetes: \"1.36.5\"\n",
            "apis: a.example/v1 b.example/v1/Thing\n",
            "target: default\n",
            r#"config: "{\"do\":\"params\"}""#,
        ],
    },
    Look {
        name: "files",
        holds: "files_are_read_with_mode_and_size",
        pipeline: "render: { plugin: renders, config: { do: files } }",
        good: true,
        words: &[
            r#"a.yaml: "-r--r--r-- 3 \"a\\nb\"""#,
            r#"deep.er.empty: "-r--r--r-- 0 \"\"""#,
            r#"run.sh: "-r-xr-xr-x 7 \"echo hi\"""#,
        ],
    },
    Look {
        name: "fstest",
        holds: "the_tree_is_a_file_system_as_go_means_it",
        pipeline: "roots: [apps/fstest], render: { plugin: renders, config: { do: fstest, expect: [apps/fstest/a.yaml, apps/fstest/deep/er/empty] } }",
        good: true,
        words: &["ok: \"true\"\n"],
    },
    Look {
        name: "errors",
        holds: "paths_that_cannot_be_read_are_errors_of_io_fs",
        pipeline: "roots: [apps/errors], render: { plugin: renders, config: { do: errors } }",
        good: true,
        words: &[
            r#"directory: "read apps/errors: is a directory""#,
            r#"file: "readdir apps/errors/a.yaml: not a directory""#,
            r#"missing: "not there: read apps/errors/nothing.yaml: file does not exist""#,
            "open: no error",
            r#"outside: "read ../outside: invalid argument""#,
            r#"read-directory: "read errors: is a directory""#,
            r#"stat: "not there: stat apps/errors/nothing/deeper: file does not exist""#,
        ],
    },
    Look {
        name: "clock",
        holds: "the_clock_stands_at_the_locks_instant_and_inits_ran_at_the_build",
        pipeline: "render: { plugin: renders, config: { do: clock } }",
        good: true,
        words: &[
            "now: \"2026-03-04T05:06:07Z\"\n",
            "warmed: \"2020-01-01T00:00:00Z\"\n",
        ],
    },
    Look {
        name: "external",
        holds: "an_external_that_is_not_locked_says_what_to_run",
        pipeline: "render: { plugin: renders, config: { do: external, reference: \"oci://r.example/web?version=1\" } }",
        good: false,
        words: &[
            "not-locked",
            "oci://r.example/web?version=1",
            "run `weir lock`",
        ],
    },
    Look {
        name: "diagnostics",
        holds: "diagnostics_arrive_with_code_file_and_line",
        pipeline: "render: { plugin: renders, config: { do: diagnostics } }",
        good: false,
        words: &[
            "a/b.yaml:7",
            "first",
            "the first thing",
            "second",
            "the second thing",
        ],
    },
    Look {
        name: "plain",
        holds: "an_ordinary_error_is_a_diagnostic_of_code_failed",
        pipeline: "render: { plugin: renders, config: { do: plain } }",
        good: false,
        words: &["failed", "an ordinary error"],
    },
    Look {
        name: "wrapped",
        holds: "a_diagnostic_inside_another_error_is_found",
        pipeline: "render: { plugin: renders, config: { do: wrapped } }",
        good: false,
        words: &["x.yaml", "inner", "the inner one"],
    },
    Look {
        name: "typo",
        holds: "an_unknown_key_of_the_config_is_named",
        pipeline: "render: { plugin: renders, config: { doo: params } }",
        good: false,
        words: &["bad-config", "unknown key `doo`; did you mean `do`?"],
    },
    Look {
        name: "panic",
        holds: "a_panic_ends_the_app_with_gos_own_words",
        pipeline: "render: { plugin: renders, config: { do: panic } }",
        good: false,
        words: &["assignment to entry in nil map"],
    },
    Look {
        name: "stack",
        holds: "endless_recursion_ends_within_the_limits",
        pipeline: "render: { plugin: renders, config: { do: stack } }",
        good: false,
        words: &["stack"],
    },
    Look {
        name: "memory",
        holds: "endless_memory_ends_within_the_limit",
        pipeline: "render: { plugin: small, config: { do: memory } }",
        good: false,
        words: &["memory", "64Mi"],
    },
    Look {
        name: "sleep",
        holds: "a_sleep_is_refused",
        pipeline: "render: { plugin: renders, config: { do: sleep } }",
        good: false,
        words: &["sleep"],
    },
    Look {
        name: "transform",
        holds: "objects_are_changed_dropped_and_added",
        pipeline: "transform: [{ plugin: transforms, config: { team: red } }]",
        good: true,
        words: &["team: red\n", "name: added\n", "of: transform\n"],
    },
    Look {
        name: "refuses",
        holds: "a_transformers_diagnostic_arrives",
        pipeline: "transform: [{ plugin: transforms }]",
        good: false,
        words: &["bad-config", "config.team is missing", "of refuses are of"],
    },
    Look {
        name: "validate",
        holds: "findings_of_level_error_stop_the_app_with_object_and_place",
        pipeline: "validate: [{ plugin: validates }]",
        good: false,
        words: &[
            "bad-name",
            "it is called bad",
            "/metadata/name",
            "ConfigMap",
        ],
    },
    Look {
        name: "lenient",
        holds: "other_findings_let_objects_pass",
        pipeline: "validate: [{ plugin: validates }]",
        good: true,
        words: &["name: doubtful\n", "name: noted\n"],
    },
    Look {
        name: "unseen",
        holds: "a_validator_that_could_not_look_stops_the_app",
        pipeline: "validate: [{ plugin: validates }]",
        good: false,
        words: &["it is too dark"],
    },
];

struct Machine {
    weir: Weir,
    repo: Repo,
}

fn main() -> ExitCode {
    let machine = Arc::new(OnceLock::new());
    let trials = LOOKS.iter().map(|look| {
        let machine = Arc::clone(&machine);
        Trial::test(format!("{}_{}", look.name, look.holds), move || {
            let made = machine.get_or_init(|| Machine::new().map_err(|e| format!("{e:#}")));
            made.as_ref().map_err(Failed::from)?.look(look)
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

impl Machine {
    fn new() -> anyhow::Result<Machine> {
        let mut repo = Repo::empty()?;
        let mut manifest = "version: 1\nplugins:\n".to_owned();
        manifest.push_str(
            "  small: { source: \"file:plugins/renders.wasm\", limits: { memory: 64Mi } }\n",
        );
        for name in ["renders", "transforms", "validates"] {
            let component = std::fs::read(places::guest_dir()?.join(format!("go/{name}.wasm")))?;
            repo.write(&format!("plugins/{name}.wasm"), component)?;
            manifest.push_str(&format!(
                "  {name}: {{ source: \"file:plugins/{name}.wasm\" }}\n"
            ));
        }
        manifest.push_str("apps:\n");
        for Look { name, pipeline, .. } in LOOKS {
            manifest.push_str(&format!(
                "  - {{ name: {name}, path: apps/{name}, {pipeline} }}\n"
            ));
            files(
                &repo,
                name,
                pipeline.starts_with("transform"),
                pipeline.starts_with("validate"),
            )?;
        }
        // The app that asks for an external comes after the lock, which would want to fetch it.
        let asks = |line: &&str| line.contains("do: external");
        let first: String = manifest
            .lines()
            .filter(|line| !asks(line))
            .map(|line| format!("{line}\n"))
            .collect();
        repo.write("weir.yaml", first)?;
        repo.commit("All but one")?;
        let weir = Weir::new()?;
        weir.run(["lock", "--repo", text(&repo.path())?])?
            .success()?;
        let lock = std::fs::read_to_string(repo.path().join("weir.lock"))?;
        repo.write("weir.lock", with_facts(&lock))?;
        repo.write("weir.yaml", manifest)?;
        repo.commit("All and their lock")?;
        Ok(Machine { weir, repo })
    }

    fn look(&self, look: &Look) -> Result<(), Failed> {
        let ran = self
            .weir
            .run(["render", look.name, "--repo", text(&self.repo.path())?])?;
        if look.good != (ran.code == Some(0)) {
            return Err(format!(
                "it ended with {:?}:\n{}{}",
                ran.code, ran.stdout, ran.stderr
            )
            .into());
        }
        let said = if look.good { &ran.stdout } else { &ran.stderr };
        match look.words.iter().find(|word| !said.contains(**word)) {
            Some(word) => Err(format!("{word:?} is not in:\n{said}").into()),
            None => Ok(()),
        }
    }
}

/// An app's files: objects for those that are transformed or validated, others for those that are rendered.
fn files(repo: &Repo, app: &str, transformed: bool, validated: bool) -> anyhow::Result<()> {
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n");
    let at = |file: &str| format!("apps/{app}/{file}");
    if transformed {
        repo.write(&at("keep.yaml"), map("keep"))?;
        repo.write(&at("drop.yaml"), map("drop"))?;
    } else if validated {
        let names: &[&str] = match app {
            "validate" => &["good", "bad"],
            "lenient" => &["doubtful", "noted"],
            _ => &["good", "unseen"],
        };
        for name in names {
            repo.write(&at(&format!("{name}.yaml")), map(name))?;
        }
    } else {
        repo.write(&at("a.yaml"), "a\nb")?;
        repo.write(&at("run.sh"), "echo hi")?;
        repo.write(&at("deep/er/empty"), "")?;
        repo.git(["add", "--chmod=+x", &at("run.sh")])?;
        let file = repo.path().join(at("run.sh"));
        let mut permissions = std::fs::metadata(&file)?.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        std::fs::set_permissions(file, permissions)?;
    }
    Ok(())
}

/// The lock with facts of our own, which the guests show.
fn with_facts(lock: &str) -> String {
    let lines = lock.lines().map(|line| {
        let indent = &line[..line.len() - line.trim_start().len()];
        match line.trim_start().split(':').next().unwrap() {
            "kubernetes" => format!("{indent}kubernetes: 1.36.5"),
            "apis" => format!("{indent}apis: [a.example/v1, b.example/v1/Thing]"),
            "instant" => format!("{indent}instant: \"2026-03-04T05:06:07Z\""),
            _ => line.to_owned(),
        }
    });
    lines.map(|line| line + "\n").collect()
}
