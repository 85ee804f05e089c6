//! A sandbox whose calls run in workers, and a tree whose files tell when a guest asks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use weir_core::digest::{BlobId, Digest, ObjectId};
use weir_core::grant::Limits;
use weir_core::name::RepoPath;
use weir_core::tree::{BlobError, Blobs, Entry, ReadSet, Snapshot, Tree, TreeLimits, View};
use weir_sandbox::Workers;

use crate::guests::{LIMITS, call, config, names};
use crate::{
    Call, CallError, CompileLimits, CompileMode, Document, Domain, Isolation, Plugin, Role,
    Sandbox, Usage, WorkerLimits,
};

/// What compiling may cost here.
pub(crate) const COMPILE: CompileLimits = CompileLimits {
    wall: Duration::from_secs(120),
    ..CompileLimits::HOST
};

/// Where calls run.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    InProcess,
    Workers(WorkerLimits),
    /// In a worker that lies, in this way.
    Liar(&'static str),
}

/// A sandbox with one plugin, and a runtime to call it on.
pub(crate) struct Scene {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) plugin: Plugin,
    pub(crate) runtime: tokio::runtime::Runtime,
    _dir: TempDir,
}

pub(crate) fn sandbox(way: &Way, compile: CompileMode) -> (Arc<Sandbox>, TempDir) {
    let dir = TempDir::new().unwrap();
    let program = std::env::current_exe().unwrap();
    let workers = |args, limits| {
        Isolation::Processes(Workers {
            program: program.clone(),
            args,
            limits,
            is_required: false,
        })
    };
    let isolation = match way {
        Way::InProcess => Isolation::InProcess,
        Way::Workers(limits) => {
            let word = "render-worker".to_owned();
            let args = [limits.data_bytes, limits.cpu_seconds].map(|n| n.to_string());
            workers(std::iter::once(word).chain(args).collect(), *limits)
        }
        Way::Liar(lie) => {
            let limits = WorkerLimits {
                grace: Duration::from_millis(500),
                ..WorkerLimits::HOST
            };
            workers(vec!["liar".into(), (*lie).into()], limits)
        }
    };
    let config = crate::SandboxConfig {
        isolation,
        ..config(dir.path(), compile)
    };
    (Sandbox::new(config).unwrap(), dir)
}

impl Scene {
    pub(crate) fn new(way: &Way, role: Role, component: &[u8]) -> Scene {
        let (sandbox, dir) = sandbox(way, CompileMode::InProcess);
        let digest = Digest::of(component);
        let plugin = sandbox.load(digest, role, component, &|_| {}).unwrap();
        Scene {
            sandbox,
            plugin,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
            _dir: dir,
        }
    }

    /// Another plugin for the same workers.
    pub(crate) fn load(&self, role: Role, component: &[u8]) -> Plugin {
        let digest = Digest::of(component);
        self.sandbox.load(digest, role, component, &|_| {}).unwrap()
    }

    pub(crate) fn render(
        &self,
        limits: Limits,
        files: View,
    ) -> Result<(Vec<Document>, ReadSet, Usage), CallError> {
        self.render_of("shop", &self.plugin, limits, files)
    }

    /// The same as one of another repository, and of another plugin.
    pub(crate) fn render_of(
        &self,
        repository: &str,
        plugin: &Plugin,
        limits: Limits,
        files: View,
    ) -> Result<(Vec<Document>, ReadSet, Usage), CallError> {
        let (app, name) = names();
        let domain = Domain::new(repository);
        let call = Call {
            domain: &domain,
            ..call(&app, &name, limits)
        };
        self.runtime
            .block_on(self.sandbox.render(plugin, call, files))
    }

    /// A call with the usual limits and no files.
    pub(crate) fn quick(&self) -> Result<Vec<Document>, CallError> {
        let done = self.render(LIMITS, told(&[], |_| {}));
        done.map(|(documents, _, _)| documents)
    }
}

/// A tree of these files. Before one is read, `asked` hears its number, from 1.
pub(crate) fn told(files: &[(&str, &str)], asked: impl Fn(u8) + Send + Sync + 'static) -> View {
    let mut entries = BTreeMap::new();
    let mut bytes = BTreeMap::new();
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
        bytes.insert(id, Arc::from(text.as_bytes()));
    }
    let tree = Arc::new(Tree::new(None, entries).unwrap());
    let blobs = Arc::new(Telling {
        bytes,
        asked: Box::new(asked),
    });
    View::new(
        Snapshot {
            tree,
            blobs,
            limits: TreeLimits::HOST,
            externals: Default::default(),
        },
        vec![RepoPath::root()],
    )
}

struct Telling {
    bytes: BTreeMap<BlobId, Arc<[u8]>>,
    asked: Box<dyn Fn(u8) + Send + Sync>,
}

impl Blobs for Telling {
    fn read(&self, id: BlobId) -> Result<Arc<[u8]>, BlobError> {
        (self.asked)(id.as_bytes()[0]);
        Ok(self.bytes[&id].clone())
    }
}

/// The workers of a sandbox: those of this process' children that were not there before it was made.
pub(crate) struct Watched {
    before: BTreeSet<i32>,
}

impl Watched {
    pub(crate) fn from_now_on() -> Watched {
        Watched { before: children() }
    }

    pub(crate) fn workers(&self) -> BTreeSet<i32> {
        children().difference(&self.before).copied().collect()
    }

    /// Kills all of them, and returns when they are gone.
    pub(crate) fn kill(&self) {
        let all = self.workers();
        self.signal(Signal::KILL);
        for worker in all {
            while !is_gone(worker) {
                std::thread::yield_now();
            }
        }
    }

    /// Sends all of them a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        for worker in self.workers() {
            // One that is gone meanwhile has no need of it.
            let _ = kill_process(Pid::from_raw(worker).unwrap(), signal);
        }
    }
}

/// Whether a process has ended with all of its threads, waited for or not.
fn is_gone(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    spent(pid).is_none() && threads.map_or(0, Iterator::count) <= 1
}

/// The children of all threads of this process.
fn children() -> BTreeSet<i32> {
    let mut all = BTreeSet::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        // A thread may end meanwhile.
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(list.split_whitespace().map(|n| n.parse::<i32>().unwrap()));
    }
    all
}

/// Processor time of a process in hundredths of a second; `None` where it is gone.
pub(crate) fn spent(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in parentheses, the state is the first field, and the user time the twelfth.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    (fields[0] != "Z").then(|| fields[11].parse().unwrap())
}
