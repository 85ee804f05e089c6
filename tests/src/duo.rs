//! Two apps of one repository on a real cluster: `bad`, which a test makes trouble for, and `good`, which must go on.

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::control_plane::{ControlPlane, Kubectl};
use crate::weir::Ran;
use crate::{GitServer, Repo, Weir};

/// What stands in the objects of `bad` where nobody may read it: no output may have it.
pub const MARKER: &str = "hunter2";

/// A repository over http, a namespace for each app, one machine.
#[derive(Debug)]
pub struct Duo<'p> {
    /// Where both land.
    pub plane: &'p ControlPlane,
    /// The namespace of `bad`.
    pub namespace: String,
    /// The namespace of `good`.
    pub beside: String,
    /// What syncs.
    pub weir: Weir,
    repo: Repo,
    server: GitServer,
    rounds: u64,
}

/// What `bad` failed with, as the ledger has it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The stage.
    pub stage: String,
    /// Who has to act.
    pub fault: String,
    /// For a person.
    pub message: String,
    /// The single objects that failed at apply.
    pub failures: Vec<Failure>,
}

/// One object that failed at apply.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Its kind.
    pub kind: String,
    /// Why.
    pub why: String,
    /// Who has to act.
    pub fault: String,
    /// When it is tried again: `backoff` or `on_change`.
    pub retry: String,
}

impl<'p> Duo<'p> {
    /// Both apps with namespaces of their own; `files` are those of `bad`, each below `//- NAME`.
    ///
    /// # Errors
    /// The cluster does not answer, or nothing is built.
    pub fn new(plane: &'p ControlPlane, prefix: &str, files: &str) -> Result<Duo<'p>> {
        let namespace = plane.namespace(prefix)?;
        Duo::into(plane, namespace, files)
    }

    /// The same, with `bad` in a namespace that is there or not.
    ///
    /// # Errors
    /// As [`Duo::new`].
    pub fn into(plane: &'p ControlPlane, namespace: String, files: &str) -> Result<Duo<'p>> {
        let beside = plane.namespace("beside")?;
        let mut repo = Repo::empty()?;
        repo.write_text(&format!(
            "//- weir.yaml\n\
             version: 1\n\
             apps:\n\
             - {{ name: bad, path: bad, target: {{ namespace: {namespace} }} }}\n\
             - {{ name: good, path: good, target: {{ namespace: {beside} }} }}\n"
        ))?;
        write(&repo, files)?;
        repo.write("good/map.yaml", good(0))?;
        repo.commit("first")?;
        let server = GitServer::of(&repo)?;
        let mut weir = Weir::new()?;
        weir.variable("KUBECONFIG", plane.admin().kubeconfig());
        Ok(Duo {
            plane,
            namespace,
            beside,
            weir,
            repo,
            server,
            rounds: 0,
        })
    }

    /// Whom Weir syncs as.
    pub fn sync_as(&mut self, user: &Kubectl) {
        self.weir.variable("KUBECONFIG", user.kubeconfig());
    }

    /// A commit that changes both apps: `bad` to these files, `good` to a new value.
    ///
    /// # Errors
    /// Git fails.
    pub fn push(&mut self, files: &str) -> Result<()> {
        self.rounds += 1;
        self.repo.remove("bad")?;
        write(&self.repo, files)?;
        self.repo.write("good/map.yaml", good(self.rounds))?;
        self.repo.commit("next").map(drop)
    }

    /// The words of `weir COMMAND` for this repository and cluster.
    #[must_use]
    pub fn words(&self, command: &str) -> Vec<String> {
        let url = self.server.url("work");
        let words = [command, "--repo", &url, "--target", "kube:"];
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// One sync, and how it ended.
    ///
    /// # Errors
    /// It does not end.
    pub fn sync(&self) -> Result<Ran> {
        self.weir.run(self.words("sync"))
    }

    /// A sync in which `bad` fails: `good` must be at its newest value, and no text may have [`MARKER`]. What
    /// `bad` failed with.
    ///
    /// # Errors
    /// Any of this is not so.
    pub fn fails(&self) -> Result<Problem> {
        let ran = self.sync()?.code(1)?;
        let problem = self.problem()?;
        ensure!(
            ran.stderr.contains(&json_text(&problem.message)),
            "a person does not read `{}`:\n{}",
            problem.message,
            ran.stderr
        );
        self.hides_the_marker(&ran)?;
        let value = self.value_of_good()?;
        ensure!(
            value == self.rounds.to_string(),
            "good has {value}, not {}",
            self.rounds
        );
        Ok(problem)
    }

    /// A sync in which nothing fails.
    ///
    /// # Errors
    /// Something does.
    pub fn succeeds(&self) -> Result<Ran> {
        let ran = self.sync()?.code(0)?;
        self.hides_the_marker(&ran)?;
        Ok(ran)
    }

    /// What `bad` failed with last.
    ///
    /// # Errors
    /// It did not.
    pub fn problem(&self) -> Result<Problem> {
        let text = self.weir.run(["history", "bad", "-o", "json"])?.success()?;
        let history: Value = serde_json::from_str(&text)?;
        let event = &history[0]["records"][0]["event"];
        let Some(problem) = event.get("problem").filter(|p| !p.is_null()) else {
            bail!("bad did not fail: {text}")
        };
        let outcomes = event.get("outcomes").and_then(Value::as_array);
        let failures = outcomes.into_iter().flatten().filter_map(|outcome| {
            let failed = outcome.pointer("/ended/failed")?;
            Some(Failure {
                kind: word(&outcome["id"]["kind"]),
                why: word(&failed["why"]),
                fault: word(&failed["fault"]),
                retry: word(&failed["retry"]),
            })
        });
        Ok(Problem {
            stage: word(&problem["stage"]),
            fault: word(&problem["fault"]),
            message: word(&problem["message"]),
            failures: failures.collect(),
        })
    }

    /// Whether neither what a command printed nor what Weir shows afterwards has [`MARKER`], as it is or in base64.
    ///
    /// # Errors
    /// It does: the text says where.
    pub fn hides_the_marker(&self, ran: &Ran) -> Result<()> {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(MARKER);
        // Padding and the last bits depend on what follows.
        let encoded = encoded.trim_end_matches('=');
        let encoded = &encoded[..encoded.len() - 1];
        let mut texts = vec![ran.stdout.clone(), ran.stderr.clone()];
        for command in [["history", "-o", "json"], ["apps", "-o", "json"]] {
            texts.push(self.weir.run(command)?.success()?);
        }
        for text in texts {
            if let Some(line) = text
                .lines()
                .find(|l| l.contains(MARKER) || l.contains(encoded))
            {
                bail!("a value is shown: {line}");
            }
        }
        Ok(())
    }

    /// What the map of `good` holds in the cluster.
    ///
    /// # Errors
    /// It is not there.
    pub fn value_of_good(&self) -> Result<String> {
        let found = self
            .plane
            .admin()
            .json(&["get", "configmap", "map", "-n", &self.beside])?;
        Ok(word(&found["data"]["value"]))
    }

    /// `kubectl` as an administrator in the namespace of `bad`.
    ///
    /// # Errors
    /// Its exit code is not 0.
    pub fn kubectl(&self, words: &[&str]) -> Result<String> {
        let all = [&["--namespace", &self.namespace], words].concat();
        self.plane.admin().text(&all)
    }
}

fn good(round: u64) -> String {
    format!(
        "{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: map }}, data: {{ value: \"{round}\" }} }}\n"
    )
}

fn write(repo: &Repo, files: &str) -> Result<()> {
    for (path, content) in crate::repo::sections(files)? {
        repo.write(&format!("bad/{path}"), content)?;
    }
    Ok(())
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A text as it stands within a line of JSON.
fn json_text(text: &str) -> String {
    Value::from(text).to_string().trim_matches('"').to_owned()
}
