//! `weir plugin run`: one call, to look at.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use weir_core::name::{AppName, Namespace, RepoPath};
use weir_core::tree::Snapshot;
use weir_sandbox::Role;
use weir_source::RepoUrl;

use super::call::{Ready, cost, words};
use super::case::{self, Given, Told};
use super::limits::{self, LimitArgs};
use super::outcome::{Called, Outcome};
use super::{Done, RoleName, build, failed, output};
use crate::cli::output::Format;
use crate::config::{GlobalArgs, Places, default_name, ref_name};
use crate::error::Error;
use crate::open::blocking;
use crate::plugins::read_capped;
use crate::repository::{Auth, Reach};

/// The largest config that is read from a file, in bytes.
const MAX_CONFIG: u64 = 4 << 20;

/// What `weir plugin run` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// A component, or the folder of a plugin, which is built first
    plugin: PathBuf,
    /// The role to call it in, where it has several
    #[arg(long, value_enum)]
    role: Option<RoleName>,
    /// A case to call it with: a folder as in testdata/
    #[arg(long, value_name = "DIR", conflicts_with_all = ["repo", "tree", "objects", "path", "config", "app", "namespace"])]
    case: Option<PathBuf>,
    /// The files that it may read: a commit of a repository on this machine
    #[arg(long, value_name = "PATH", conflicts_with = "tree")]
    repo: Option<PathBuf>,
    /// The commit: a branch, a tag, HEAD or a commit id, and after it ~N or ^N
    #[arg(long, default_value = "HEAD", requires = "repo")]
    rev: String,
    /// The files that it may read: those of a folder
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// The app's path in those files [default: the root]
    #[arg(long, value_name = "P")]
    path: Option<RepoPath>,
    /// The objects for a transformer or validator: a YAML or JSON stream
    #[arg(long, value_name = "FILE")]
    objects: Option<PathBuf>,
    /// The plugin's config: a JSON object, or the file of one
    #[arg(long, value_name = "JSON|@FILE")]
    config: Option<String>,
    /// The app's name [default: app]
    #[arg(long)]
    app: Option<AppName>,
    /// The namespace of objects that name none
    #[arg(long)]
    namespace: Option<Namespace>,
    #[command(flatten)]
    limits: LimitArgs,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// Calls it and shows what came of it.
pub(super) async fn run(global: &GlobalArgs, args: &RunArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let (component, inspected) = build::component(&args.plugin)?;
    let role = build::role(&inspected, args.role.map(RoleName::role))?;
    let given = given(args, &places, role).await?;
    let ready = Ready::of(&places, component, &inspected, role).await?;
    let Called { outcome, usage } = ready.call(&given).await?;
    match args.output {
        Format::Text => {
            output::note(&words(&usage));
            output::note(&format!("{}\n", cost(&usage)));
            if outcome.is_good() {
                output::print(&outcome.text())?;
            }
        }
        format => {
            let log: Vec<&str> = usage.log.iter().map(|line| line.message.as_str()).collect();
            let cost = json!({
                "fuel": usage.fuel, "memory": usage.memory, "micros": usage.micros, "hostCalls": usage.host_calls,
                "log": log, "printed": usage.stdio,
            });
            let shown = json!({ "plugin": inspected.digest, "role": role.as_str(), "outcome": outcome.json(), "usage": cost });
            output::print_value(format, &shown)?;
        }
    }
    match outcome {
        Outcome::Failed { message, .. } => Err(failed(message)),
        _ => Ok(Done::Well),
    }
}

/// What the flags say that it is called with.
async fn given(args: &RunArgs, places: &Places, role: Role) -> Result<Given, Error> {
    if let Some(dir) = &args.case {
        let mut given = case::read(dir, role)?;
        let patch = args.limits.patch();
        limits::narrowed(&patch)?;
        given.limits = given.limits.narrowed(&patch);
        return Ok(given);
    }
    let files = match (&args.repo, &args.tree) {
        (Some(repo), _) => commit(repo, &args.rev, places).await?,
        (None, Some(dir)) => case::folder(dir)?,
        (None, None) if role == Role::Renderer => {
            return Err(Error::Usage(
                "a renderer reads files: give them with --tree DIR, --repo PATH or --case DIR"
                    .to_owned(),
            ));
        }
        (None, None) => case::no_files()?,
    };
    let objects = match (&args.objects, role) {
        (Some(_), Role::Renderer) => {
            return Err(Error::Usage(
                "--objects: a renderer is given none".to_owned(),
            ));
        }
        (None, Role::Renderer) => Vec::new(),
        (Some(file), _) => case::objects(file)?,
        (None, role) => {
            return Err(Error::Usage(format!(
                "a {role} is given objects: give them with --objects FILE or --case DIR"
            )));
        }
    };
    let told = Told {
        app: args.app.clone(),
        path: args.path.clone().unwrap_or_default(),
        namespace: args.namespace.clone(),
        config: args
            .config
            .as_deref()
            .map(config)
            .transpose()?
            .unwrap_or_default(),
        limits: args.limits.patch(),
        ..Told::default()
    };
    told.given(files, objects)
}

/// The plugin's config, from the command line or a file.
fn config(text: &str) -> Result<Map<String, Value>, Error> {
    let from_file;
    let bytes = match text.strip_prefix('@') {
        None => text.as_bytes(),
        Some(file) => {
            let read = read_capped(Path::new(file), MAX_CONFIG)?;
            from_file = read
                .ok_or_else(|| Error::Usage(format!("--config: {file}: there is no such file")))?;
            &from_file
        }
    };
    serde_json::from_slice(bytes)
        .map_err(|e| Error::Usage(format!("--config: expected a JSON object: {e}")))
}

/// The files of a commit.
async fn commit(repo: &Path, rev: &str, places: &Places) -> Result<Snapshot, Error> {
    let url: RepoUrl = repo
        .display()
        .to_string()
        .parse()
        .map_err(|e| Error::Usage(format!("--repo: {e}")))?;
    if !matches!(url, RepoUrl::Local(_)) {
        return Err(Error::Usage(
            "--repo: expected a repository on this machine: clone it first".to_owned(),
        ));
    }
    let reach = Reach {
        name: default_name(&url.to_string()).map_err(|e| Error::Usage(format!("--repo: {e}")))?,
        url,
        auth: Auth::None,
        ca_file: None,
        client_cert: None,
        proxy: None,
    };
    let source = reach.open(places, &ref_name("HEAD")?)?;
    let rev = rev.to_owned();
    blocking("snapshot", move || {
        let commit = source
            .resolve(&rev)
            .map_err(|e| Error::stage("snapshot", &e))?;
        source
            .snapshot(commit)
            .map_err(|e| Error::stage("snapshot", &e))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_one_json_object_from_the_line_or_a_file() {
        assert_eq!(config(r#"{"a":1}"#).unwrap()["a"], 1);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.json");
        std::fs::write(&file, r#"{"b":2}"#).unwrap();
        assert_eq!(config(&format!("@{}", file.display())).unwrap()["b"], 2);
        for bad in ["[]", "", "{", "@/nowhere/at/all"] {
            assert!(
                config(bad)
                    .unwrap_err()
                    .to_string()
                    .starts_with("--config: "),
                "{bad}"
            );
        }
    }
}
