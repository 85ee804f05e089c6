//! What was asked of the API server, from its own audit log: who, which verb, on what, and the answer's code.
//!
//! An entry is written when its request's handler ends, which may be a moment
//! after the client has read the answer. So both [`Audit::mark`] and
//! [`Audit::since`] first make a request of their own and wait for its entry.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::kubectl::Kubectl;
use super::wait;

/// Longer than an entry takes.
const ENTRY: Duration = Duration::from_secs(30);
/// Begins the path of the requests that this reader makes.
const BARRIER: &str = "/version?weir-rig-audit=";

/// The reader of one control plane's audit log.
#[derive(Debug)]
pub struct Audit {
    pub(super) log: PathBuf,
    pub(super) kubectl: Kubectl,
}

/// A moment in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

/// One request. A watch counts when it begins, everything else when it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// `get`, `list`, `watch`, `create`, `patch` (an apply is one), `update`, `delete`, `deletecollection`.
    pub verb: String,
    /// The plural, with its subresource after a `/`; empty for a path that is no resource.
    pub resource: String,
    /// The object's namespace; empty where there is none.
    pub namespace: String,
    /// The object's name; empty for a list.
    pub name: String,
    /// Who.
    pub user: String,
    /// As whom, where somebody runs it as somebody else; empty otherwise.
    pub acting_as: String,
    /// With which client.
    pub user_agent: String,
    /// The path and the query.
    pub uri: String,
    /// The answer's HTTP status.
    pub code: u16,
}

impl Audit {
    /// Now: what was answered before does not count after it.
    ///
    /// # Errors
    /// The API server does not answer.
    pub fn mark(&self) -> Result<Mark> {
        let so_far = std::fs::metadata(&self.log)
            .context("looking at the audit log")?
            .len();
        self.barrier(Mark(so_far)).map(|(_, end)| end)
    }

    /// Every request since a mark, without what the rig's own parts ask.
    ///
    /// # Errors
    /// The API server does not answer, or a line is no entry.
    pub fn since(&self, mark: Mark) -> Result<Vec<AuditEntry>> {
        let (text, _) = self.barrier(mark)?;
        text.lines()
            .filter_map(|line| entry(line).transpose())
            .filter(|entry| !entry.as_ref().is_ok_and(|e| e.uri.starts_with(BARRIER)))
            .collect()
    }

    /// Makes a request and waits for its entry: the whole lines from `mark` on, and their end.
    fn barrier(&self, mark: Mark) -> Result<(String, Mark)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let path = format!(
            "{BARRIER}{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        // Quoted, so that number 1 is not found in number 10.
        let ours = format!("\"{path}\"");
        self.kubectl.text(&["get", "--raw", &path])?;
        wait::until(ENTRY, "the audit log's entry of a request", || {
            let mut file = File::open(&self.log).context("opening the audit log")?;
            file.seek(SeekFrom::Start(mark.0))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let whole = bytes
                .iter()
                .rposition(|b| *b == b'\n')
                .map_or(0, |at| at + 1);
            bytes.truncate(whole);
            let text = String::from_utf8(bytes).context("the audit log is not UTF-8")?;
            let end = Mark(mark.0 + whole as u64);
            Ok(text.contains(&ours).then_some((text, end)))
        })
    }
}

/// `None` for the end of a watch: its beginning was counted.
fn entry(line: &str) -> Result<Option<AuditEntry>> {
    let event: Value =
        serde_json::from_str(line).with_context(|| format!("no audit entry: {line}"))?;
    let text = |pointer: &str| {
        let value = event.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let verb = text("/verb");
    let begins = text("/stage") == "ResponseStarted";
    if begins != (verb == "watch") {
        return Ok(None);
    }
    let mut resource = text("/objectRef/resource");
    let subresource = text("/objectRef/subresource");
    if !subresource.is_empty() {
        resource = format!("{resource}/{subresource}");
    }
    let code = event
        .pointer("/responseStatus/code")
        .and_then(Value::as_u64);
    Ok(Some(AuditEntry {
        verb,
        resource,
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        user: text("/user/username"),
        acting_as: text("/impersonatedUser/username"),
        user_agent: text("/userAgent"),
        uri: text("/requestURI"),
        code: u16::try_from(code.with_context(|| format!("no code in {line}"))?)?,
    }))
}
