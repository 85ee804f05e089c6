//! What happens when, for one repository: events in, commands out. No clock, no task, no IO: time and
//! chance are told to it.
//!
//! Held by the tests below: never two runs of one app; a request during a run causes exactly one more;
//! the latest commit wins; what a commit does not change is not looked at for it; backoff has jitter and a ceiling; stopping starts nothing new; an app begins when
//! those that it comes after are synced at this commit and were healthy.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::CommitId;
use crate::fault::Retry;
use crate::name::AppName;
use crate::object::ResourceId;
use crate::turns::Lane;

mod chance;
mod listing;
mod placing;
mod waits;
use waits::Waits;

mod settle;
use settle::Settle;

/// A point in time, in milliseconds since the host started.
pub type Now = u64;

/// How long a commit that was refused is left alone, in milliseconds. The same commit gives the same error,
/// but for what the host brings: a plugin that was put into its folder, a lock that resolves by now.
pub const RECHECK: u64 = 600_000;

/// How long an object has to be left alone until its next drift counts as a first one, in milliseconds.
pub const QUIET: u64 = 60_000;
/// How many drifts in a row of one object are looked at at once. Further ones wait like failures: whoever changes
/// back what we wrote each time is not raced.
pub const DRIFTS_AT_ONCE: u32 = 5;

/// How a repository is followed.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Milliseconds between polls; a tenth of it is jitter.
    pub interval: u64,
    /// Apps of one lane that may be on their way at once. Whose turn it is over all lanes and repositories says
    /// [`crate::turns`].
    pub parallel: usize,
    /// The first wait after a failure, in milliseconds; each further one doubles.
    pub backoff: u64,
    /// The longest wait, in milliseconds.
    pub backoff_ceiling: u64,
}

/// An app of a prepared commit, and the apps that go before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The app.
    pub app: AppName,
    /// Apps that must be synced at this commit, and healthy where they are waited for, first.
    pub after: Vec<AppName>,
    /// Apps that must be synced at this commit first, healthy or not.
    pub behind: Vec<AppName>,
    /// How long it may take to become healthy, in milliseconds, where it is waited for.
    pub settle: Option<u64>,
    /// Where it lands.
    pub lane: Lane,
    /// Nothing of it is another than at the commit that was prepared before, and nothing of it is left to do: where it
    /// was synced at that one, and healthy, it is not looked at. Where it is that very commit once more: nothing of it is
    /// another, whatever is left to do, and it goes on as it does.
    pub same: bool,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time passed: something may be due.
    Tick,
    /// Someone asked for a refresh.
    Requested,
    /// A fetch ended: the ref's commit, or when to try again.
    Fetched(Result<CommitId, Retry>),
    /// A commit was read and rendered: its apps, or when to try again.
    Prepared(CommitId, Result<Vec<Node>, Retry>),
    /// Some app of what was prepared could not be rendered for now: what it needs from elsewhere was away.
    Unready,
    /// Somebody changed objects of an app at its target.
    Drifted(AppName, BTreeSet<ResourceId>),
    /// A person decided something about an app.
    Decided(AppName),
    /// An app's run ended.
    Synced(AppName, CommitId, Result<(), Retry>),
    /// What an app has at its target is healthy, as it was synced at this commit.
    Settled(AppName, CommitId),
    /// The host is asked to stop.
    Stopping,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask the repository for its ref.
    Fetch,
    /// Read and render this commit.
    Prepare(CommitId),
    /// Bring this app to this commit.
    Sync(AppName, CommitId),
    /// Look after an app that was just synced at this commit, until it is healthy.
    Settle(AppName, CommitId),
    /// An app was not healthy within its time: say so. It is looked after as before.
    Late(AppName, CommitId),
    /// These apps are at a commit as they were at the one before: keep that.
    Carry(Carry),
    /// Nothing runs any more, and nothing will.
    Stopped,
}

/// The apps that a commit changed nothing of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carry {
    /// The commit that they were synced at.
    pub from: CommitId,
    /// The commit that they are at now.
    pub to: CommitId,
    /// They.
    pub apps: BTreeSet<AppName>,
    /// All others.
    pub others: BTreeSet<AppName>,
}

/// The schedule of one repository. One owner calls [`Schedule::on`]; nothing else changes it.
#[derive(Debug)]
pub struct Schedule {
    settings: Settings,
    chance: u64,
    stopping: bool,
    stopped: bool,
    fetch: Work,
    head: Option<CommitId>,
    prepare: Work,
    prepared: Option<CommitId>,
    /// How often the prepared commit was tried again for apps that could not be rendered for now.
    unready: u32,
    /// The head was refused: polls that find it again change nothing before this.
    recheck_at: Option<Now>,
    apps: BTreeMap<AppName, AppWork>,
    /// Where those apps wait that are wanted.
    waits: Waits,
    /// The apps that come after each app.
    followers: BTreeMap<AppName, Vec<AppName>>,
    /// The apps on their way to being healthy.
    unsettled: BTreeSet<AppName>,
    /// What was carried to the commit that was prepared last, until it is said.
    carry: Option<Carry>,
}

/// One kind of work: whether it runs, whether it is wanted (again), when it may start, how often it failed.
#[derive(Debug, Default)]
struct Work {
    running: bool,
    wanted: bool,
    not_before: Now,
    failures: u32,
}

#[derive(Debug, Default)]
struct AppWork {
    work: Work,
    after: Vec<AppName>,
    behind: Vec<AppName>,
    lane: Option<Lane>,
    listed: bool,
    synced: Option<CommitId>,
    /// It did not run at that commit: it was carried there.
    carried: bool,
    /// How long it may take to become healthy, where it is waited for.
    within: Option<u64>,
    settle: Settle,
    /// Its objects that drifted of late: how often in a row, and when last.
    drifts: BTreeMap<ResourceId, (u32, Now)>,
}

impl Work {
    fn is_due(&self, now: Now) -> bool {
        self.wanted && !self.running && self.not_before <= now
    }
    fn start(&mut self) {
        self.running = true;
        self.wanted = false;
    }
    fn want(&mut self, at: Now) {
        self.wanted = true;
        self.not_before = at;
    }
}

impl Schedule {
    /// A schedule that fetches at once. `seed` is where its jitter comes from.
    pub fn new(settings: Settings, seed: u64) -> Schedule {
        Schedule {
            settings,
            chance: seed,
            stopping: false,
            stopped: false,
            fetch: Work {
                wanted: true,
                ..Work::default()
            },
            head: None,
            prepare: Work::default(),
            prepared: None,
            unready: 0,
            recheck_at: None,
            apps: BTreeMap::new(),
            waits: Waits::default(),
            followers: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            carry: None,
        }
    }

    /// When the next [`Event::Tick`] is due; `None` when only other events can change anything. What is
    /// due already waits for another event, such as the end of an app that goes before it.
    pub fn wake_at(&self, now: Now) -> Option<Now> {
        if self.stopping {
            return None;
        }
        let all = [&self.fetch, &self.prepare].into_iter();
        let late = self.unsettled.iter().filter_map(|name| self.late_at(name));
        all.filter(|w| w.wanted && !w.running && w.not_before > now)
            .map(|w| w.not_before)
            .chain(self.waits.next(now))
            .chain(late)
            .min()
    }

    /// Where an app lands.
    pub fn lane(&self, app: &AppName) -> Option<Lane> {
        self.apps.get(app)?.lane.clone()
    }

    /// Whether a run of this app is under way.
    pub fn is_running(&self, app: &AppName) -> bool {
        self.apps.get(app).is_some_and(|app| app.work.running)
    }

    /// One event in, commands out.
    pub fn on(&mut self, now: Now, event: Event) -> Vec<Command> {
        match event {
            Event::Tick => {}
            Event::Requested => {
                // Whoever asks may have mended what the commit was refused for.
                self.recheck_at = None;
                self.fetch.want(now);
                // The same goes for apps of it that could not be rendered.
                if self.unready > 0 && self.prepare.wanted {
                    self.prepare.not_before = now;
                }
            }
            Event::Fetched(result) => self.fetched(now, result),
            Event::Prepared(commit, result) => self.prepared(now, commit, result),
            Event::Unready => self.unready(now),
            Event::Drifted(app, objects) => self.drifted(now, &app, objects),
            Event::Decided(app) => self.decided(now, &app),
            Event::Synced(app, commit, result) => self.synced(now, &app, commit, result),
            Event::Settled(app, commit) => self.settled(&app, commit),
            Event::Stopping => self.stopping = true,
        }
        self.commands(now)
    }

    fn fetched(&mut self, now: Now, result: Result<CommitId, Retry>) {
        self.fetch.running = false;
        let again = match result {
            Ok(_) => {
                self.fetch.failures = 0;
                now + self.jittered(self.settings.interval)
            }
            Err(retry) => now + self.wait(retry, |s| &mut s.fetch),
        };
        if !self.fetch.wanted {
            self.fetch.want(again);
        }
        let Ok(commit) = result else { return };
        if self.head != Some(commit) {
            self.head = Some(commit);
            self.recheck_at = None;
            self.prepare.failures = 0;
            self.unready = 0;
            self.prepare.want(now);
        } else if self.prepared == Some(commit) {
            // The same commit again: look whether the target still is as Git says.
            for app in self
                .apps
                .values_mut()
                .filter(|a| a.listed && !a.work.wanted)
            {
                app.work.want(now);
            }
            self.place_all();
        } else if !self.prepare.running
            && !self.prepare.wanted
            && self.recheck_at.is_none_or(|at| at <= now)
        {
            self.prepare.want(now);
        }
    }

    fn prepared(&mut self, now: Now, commit: CommitId, result: Result<Vec<Node>, Retry>) {
        self.prepare.running = false;
        let nodes = match result {
            Ok(nodes) => nodes,
            // A new commit, a request or the slow re-check tries again; what was synced before stays.
            Err(Retry::OnChange) => {
                if self.head == Some(commit) {
                    self.recheck_at = Some(now + RECHECK);
                }
                return;
            }
            Err(retry) => {
                let wait = self.wait(retry, |s| &mut s.prepare);
                if !self.prepare.wanted {
                    self.prepare.want(now + wait);
                }
                return;
            }
        };
        self.prepare.failures = 0;
        self.list(now, commit, nodes);
    }

    /// Prepares the commit once more after a while, ever later: what is not made anew goes on as it does.
    fn unready(&mut self, now: Now) {
        if self.prepare.wanted || self.prepare.running || self.prepared != self.head {
            return;
        }
        self.unready = self.unready.saturating_add(1);
        let wait = self.backoff(self.unready);
        self.prepare.want(now + wait);
    }

    /// Looks at the app again: at once, but where each of these objects is changed back all the time.
    fn drifted(&mut self, now: Now, name: &AppName, objects: BTreeSet<ResourceId>) {
        let Some(app) = self.apps.get_mut(name).filter(|app| app.listed) else {
            return;
        };
        app.drifts
            .retain(|_, (_, last)| now.saturating_sub(*last) < QUIET);
        let mut calmest = u32::MAX;
        for object in objects {
            let (times, last) = app.drifts.entry(object).or_default();
            *times = times.saturating_add(1);
            *last = now;
            calmest = calmest.min(*times);
        }
        let over = calmest.saturating_sub(DRIFTS_AT_ONCE);
        let wait = if over == 0 { 0 } else { self.backoff(over) };
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        let work = &mut app.work;
        // A run that waits already sees it too. One that waits after a failure keeps its wait.
        if !work.wanted {
            work.want(now + wait);
        } else if work.failures == 0 {
            work.not_before = work.not_before.min(now + wait);
        }
        self.place(name);
    }

    /// Looks at the app at once: what it waited for is decided.
    fn decided(&mut self, now: Now, name: &AppName) {
        if let Some(app) = self.apps.get_mut(name).filter(|app| app.listed) {
            app.work.failures = 0;
            app.work.want(now);
        }
        self.place(name);
    }

    fn synced(&mut self, now: Now, name: &AppName, commit: CommitId, result: Result<(), Retry>) {
        self.waits.end(name);
        let wait = match result {
            Ok(()) => None,
            Err(retry) => match self.apps.get_mut(name) {
                Some(app) => {
                    app.work.failures = app.work.failures.saturating_add(1);
                    let failures = app.work.failures;
                    (retry == Retry::Backoff).then(|| self.backoff(failures))
                }
                None => None,
            },
        };
        let Some(app) = self.apps.get_mut(name) else {
            return;
        };
        app.work.running = false;
        match result {
            Ok(()) => {
                app.synced = Some(commit);
                app.work.failures = 0;
                if app.settle == Settle::Open && self.prepared == Some(commit) {
                    app.settle = Settle::Due;
                    self.unsettled.insert(name.clone());
                }
            }
            Err(_) => {
                app.synced = None;
                app.settle = Settle::Open;
                self.unsettled.remove(name);
            }
        }
        if let (Some(wait), false) = (wait, app.work.wanted) {
            app.work.want(now + wait);
        }
        if !app.listed {
            self.apps.remove(name);
        }
        self.place(name);
        if result.is_ok() {
            self.followers_may_begin(name);
        }
    }

    fn commands(&mut self, now: Now) -> Vec<Command> {
        let mut out = Vec::new();
        let carry = self.carry.take();
        if self.stopping {
            let running = self.fetch.running || self.prepare.running || self.waits.is_running();
            if !running && !self.stopped {
                self.stopped = true;
                out.push(Command::Stopped);
            }
            return out;
        }
        if self.fetch.is_due(now) {
            self.fetch.start();
            out.push(Command::Fetch);
        }
        if let (true, Some(head)) = (self.prepare.is_due(now), self.head) {
            self.prepare.start();
            out.push(Command::Prepare(head));
        }
        if let Some(commit) = self.prepared {
            self.settle(now, commit, &mut out);
        }
        // A newer commit is on its way: what is not started yet waits for it.
        if let (Some(commit), false) = (self.prepared, self.prepare.running) {
            self.start_apps(now, commit, &mut out);
        }
        out.extend(carry.map(Command::Carry));
        out
    }

    fn start_apps(&mut self, now: Now, commit: CommitId, out: &mut Vec<Command>) {
        let mut waits = std::mem::take(&mut self.waits);
        let ready = waits.begin(now, self.settings.parallel.max(1), |name| {
            let Some(app) = self.apps.get(name) else {
                return false;
            };
            app.behind.iter().all(|dep| self.is_synced(dep, commit))
                && app.after.iter().all(|dep| self.is_settled(dep, commit))
        });
        self.waits = waits;
        for name in ready {
            if let Some(app) = self.apps.get_mut(&name) {
                app.work.start();
                app.carried = false;
                out.push(Command::Sync(name, commit));
            }
        }
    }

    fn is_synced(&self, app: &AppName, commit: CommitId) -> bool {
        self.apps.get(app).is_some_and(|a| a.synced == Some(commit))
    }

    /// Counts a failure of some work and says how long to wait.
    fn wait(&mut self, retry: Retry, work: impl Fn(&mut Self) -> &mut Work) -> u64 {
        let work = work(self);
        work.failures = work.failures.saturating_add(1);
        let failures = work.failures;
        match retry {
            Retry::OnChange => self.jittered(self.settings.interval),
            Retry::Backoff => self.backoff(failures),
        }
    }
}

#[cfg(test)]
mod tests;
