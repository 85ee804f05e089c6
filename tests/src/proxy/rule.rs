//! What is done to which request: a script of rules, each with a count of what it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// It is passed on after this time.
    Delay(Duration),
    /// It is not passed on, and answered so.
    Answer {
        /// The HTTP status.
        status: u16,
        /// What `Retry-After` says, in seconds.
        retry_after: Option<u64>,
        /// Its type and the body.
        content: (&'static str, String),
    },
    /// It is not passed on; the connection is reset.
    ResetBefore,
    /// It is passed on and done; instead of its answer the connection is reset.
    ResetAfter,
    /// It is passed on; its answer ends in the middle, after so many bytes of the body.
    Truncate(usize),
    /// It is passed on; one byte in the middle of its answer is another one.
    Corrupt,
    /// It is passed on; its answer ends properly after this time, as a watch's does.
    End(Duration),
    /// It is passed on; that its condition does not hold is told as success, as by a store that knows no conditions.
    Overwritten,
    /// It is not passed on, and never answered.
    Swallow,
}

impl Act {
    /// An answer as an API server words it.
    #[must_use]
    pub fn status(status: u16, reason: &str, message: &str) -> Act {
        let body = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": status,
        });
        Act::Answer {
            status,
            retry_after: None,
            content: ("application/json", body.to_string()),
        }
    }

    /// An answer as an S3 server words it.
    #[must_use]
    pub fn s3(status: u16, code: &str) -> Act {
        let body = format!("<Error><Code>{code}</Code><Message>The rig says so.</Message></Error>");
        Act::Answer {
            status,
            retry_after: None,
            content: ("application/xml", body),
        }
    }

    /// Too many requests, as an API server's priority and fairness says it.
    #[must_use]
    pub fn too_many(retry_after: u64) -> Act {
        let text = "Too many requests, please try again later.\n";
        Act::Answer {
            status: 429,
            retry_after: Some(retry_after),
            content: ("text/plain; charset=utf-8", text.to_owned()),
        }
    }
}

/// Which requests, and what happens to them.
#[derive(Debug, Clone)]
pub struct Rule {
    method: Option<&'static str>,
    path: String,
    query: Option<String>,
    skip: usize,
    times: usize,
    act: Act,
}

impl Rule {
    /// Each request of this method whose path contains that.
    #[must_use]
    pub fn on(method: &'static str, path: &str, act: Act) -> Rule {
        Rule {
            method: Some(method),
            ..Rule::all(path, act)
        }
    }

    /// Each request whose path contains that.
    #[must_use]
    pub fn all(path: &str, act: Act) -> Rule {
        Rule {
            method: None,
            path: path.to_owned(),
            query: None,
            skip: 0,
            times: usize::MAX,
            act,
        }
    }

    /// Only those whose query contains that.
    #[must_use]
    pub fn query(mut self, part: &str) -> Rule {
        self.query = Some(part.to_owned());
        self
    }

    /// Not the first so many that fit.
    #[must_use]
    pub fn after(mut self, skip: usize) -> Rule {
        self.skip = skip;
        self
    }

    /// So many and no more.
    #[must_use]
    pub fn times(mut self, times: usize) -> Rule {
        self.times = times;
        self
    }

    fn fits(&self, method: &str, path: &str, query: &str) -> bool {
        self.method.is_none_or(|m| m == method)
            && path.contains(&self.path)
            && self.query.as_ref().is_none_or(|part| query.contains(part))
    }
}

/// How often a rule has acted.
#[derive(Debug, Clone)]
pub struct Done(Arc<AtomicUsize>);

impl Done {
    /// So often.
    #[must_use]
    pub fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Rules in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Script(Vec<(Rule, Done)>);

impl Script {
    pub(super) fn add(&mut self, rule: Rule) -> Done {
        let done = Done(Arc::default());
        self.0.push((rule, done.clone()));
        done
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What happens to a request, and the count to add to when it has.
    pub(super) fn choose(&mut self, method: &str, path: &str, query: &str) -> Option<(Act, Count)> {
        for (rule, done) in &mut self.0 {
            if rule.times == 0 || !rule.fits(method, path, query) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            return Some((rule.act.clone(), Count(done.clone())));
        }
        None
    }
}

/// Counts one act.
#[derive(Debug)]
pub(super) struct Count(Done);

impl Count {
    pub(super) fn add(&self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}
