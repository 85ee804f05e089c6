//! Kills one run after the other, and looks after each whether all rules still hold.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::history::History;
use super::random::Random;
use super::scene::Scene;
use crate::weir::PATIENCE;
use crate::{Serving, invariants};

/// Kills in the form that CI runs.
const KILLS: usize = 200;
/// Where random numbers come from when nobody says it.
const SEED: u64 = 0x5eed_0600;
/// Runs for each kill at most: some end before they are hit.
const RUNS: usize = 3;
/// Runs more, for a short form that has yet to hit every step.
const MORE_RUNS: usize = 100;
const SIGKILL: i32 = 9;
/// How often a host that stays is looked at, and something else is done beside it, before it is killed.
const LOOKS: usize = 3;
/// How a host is started that stays: it sees a commit at once.
const SERVE: [&str; 4] = ["--interval", "200ms", "--listen", "127.0.0.1:0"];

/// How many kills, and where they come from.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// At least so many.
    pub kills: usize,
    /// The seed of all that is random.
    pub seed: u64,
}

impl Plan {
    /// As `cargo xtask crash` says it: `WEIR_CRASH_KILLS` and `WEIR_CRASH_SEED`, or the short form.
    ///
    /// # Errors
    /// One of them is no number.
    pub fn from_environment() -> Result<Plan> {
        let number = |name: &str| match std::env::var(name) {
            Ok(text) => text
                .parse()
                .map(Some)
                .with_context(|| format!("{name}={text}: expected a number")),
            Err(_) => Ok(None),
        };
        let kills: Option<u64> = number("WEIR_CRASH_KILLS")?;
        Ok(Plan {
            kills: kills.map_or(Ok(KILLS), usize::try_from)?,
            seed: number("WEIR_CRASH_SEED")?.unwrap_or(SEED),
        })
    }
}

/// What was done.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// Kills from outside at a random moment.
    pub outside: usize,
    /// Kills at each named step.
    pub at: BTreeMap<String, usize>,
    /// Those of both kinds that hit a host that stays.
    pub serving: usize,
    /// Processes that were started.
    pub runs: usize,
    /// Commits.
    pub commits: usize,
    /// Edits by hand.
    pub edits: usize,
    /// Whole runs after which everything was as Git says.
    pub settled: usize,
}

impl Done {
    /// All kills.
    #[must_use]
    pub fn kills(&self) -> usize {
        self.outside + self.at.values().sum::<usize>()
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> = self.at.iter().map(|(s, n)| format!("{s} {n}")).collect();
        write!(
            f,
            "{} kills ({} outside, {}), {} of them of a host that stays; {} runs, {} commits, {} edits by hand, {} times all was as Git says",
            self.kills(),
            self.outside,
            steps.join(", "),
            self.serving,
            self.runs,
            self.commits,
            self.edits,
            self.settled
        )
    }
}

/// Kills as planned.
///
/// # Errors
/// A rule does not hold, a whole run does not do well, or a named step was never passed. The text says how to repeat
/// it, and the whole history is in a file.
pub fn run(plan: &Plan) -> Result<Done, String> {
    let mut history = History::new(plan.seed);
    let done = Driver::new(*plan, &mut history).and_then(Driver::run);
    done.map_err(|error| history.failure(&error))
}

struct Driver<'a> {
    plan: Plan,
    history: &'a mut History,
    scene: Scene,
    steps: Vec<String>,
    /// How many runs were to be killed at a step.
    armed: usize,
    round: u64,
    /// How long a whole run takes, about.
    whole: Duration,
    /// All is as Git says, as far as this driver did.
    is_settled: bool,
    done: Done,
}

/// How one run ended.
enum End {
    /// Killed at the named step that it was armed with.
    At(String),
    /// Killed from outside.
    Outside,
    /// By itself.
    Whole,
}

impl<'a> Driver<'a> {
    fn new(plan: Plan, history: &'a mut History) -> Result<Driver<'a>> {
        let mut random = Random::of(plan.seed, 0);
        let mut driver = Driver {
            plan,
            history,
            scene: Scene::new(&mut random)?,
            steps: Vec::new(),
            armed: 0,
            round: 0,
            whole: Duration::ZERO,
            is_settled: false,
            done: Done::default(),
        };
        let steps = driver.scene.weir.run(["crash-points"])?.success()?;
        driver.steps = steps.lines().map(str::to_owned).collect();
        ensure!(!driver.steps.is_empty(), "the binary has no crash points");
        driver.settle("the first sync")?;
        driver.scene.let_strangers_in()?;
        let what = driver.scene.commit(&mut random)?;
        driver.history.note(format!("commit {what}"));
        let begin = Instant::now();
        driver.settle("the second sync")?;
        driver.whole = begin.elapsed();
        Ok(driver)
    }

    fn run(mut self) -> Result<Done> {
        let most = self.plan.kills * RUNS + MORE_RUNS;
        while self.done.kills() < self.plan.kills || self.missing().next().is_some() {
            if self.done.runs > most {
                let missing: Vec<&str> = self.missing().collect();
                bail!(
                    "{most} runs were {} kills, and these steps were never hit: {missing:?}. A new step of host/weir/src/crash.rs needs a commit in tests/src/crash/scene.rs that passes it",
                    self.done.kills()
                );
            }
            self.one()?;
        }
        self.settle("at last")?;
        self.scene.strangers_are_untouched()?;
        invariants::healthy(&self.scene.weir)?;
        Ok(self.done)
    }

    fn missing(&self) -> impl Iterator<Item = &str> {
        let steps = self.steps.iter().map(String::as_str);
        steps.filter(|step| !self.done.at.contains_key(*step))
    }

    /// One run to its kill, and all that must hold then.
    fn one(&mut self) -> Result<()> {
        self.round += 1;
        let mut random = Random::of(self.plan.seed, self.round);
        let fresh = self.next_commit(&mut random)?;
        let (serves, armed) = (random.percent(45), random.percent(50));
        let step = armed.then(|| self.next_step(&mut random, fresh));
        let command = if serves { "serve" } else { "sync" };
        let how = match &step {
            Some((step, passes)) => format!("to be killed at {step} after {passes}"),
            None => "to be killed from outside".to_owned(),
        };
        self.history
            .note(format!("{}: {command}, {how}", self.round));
        self.is_settled = false;
        let end = if serves {
            self.serve(&mut random, step)?
        } else {
            self.sync(&mut random, step)?
        };
        self.done.serving += usize::from(serves);
        let context = format!("after run {}", self.round);
        match end {
            End::At(step) => *self.done.at.entry(step).or_default() += 1,
            End::Outside => self.done.outside += 1,
            End::Whole => {
                self.history.note("   it ended by itself");
                return self.is_as_git_says(&context);
            }
        }
        let broken = self.scene.always()?;
        self.history.check(&context, &broken)?;
        if random.percent(25) {
            self.settle(&format!("a whole run after run {}", self.round))?;
        }
        Ok(())
    }

    /// The same commit again, the next one, or one that can only come when all is settled; whether there is a new one.
    fn next_commit(&mut self, random: &mut Random) -> Result<bool> {
        let (again, chance) = (random.percent(40), random.below(100));
        let what = match chance {
            0..15 if self.is_settled => self.scene.break_app(random)?,
            15..35 if self.is_settled && self.scene.can_leave() => self.scene.leave(random)?,
            _ if again && !self.is_settled => return Ok(false),
            _ => self.scene.commit(random)?,
        };
        self.done.commits += 1;
        self.history.note(format!("commit {what}"));
        Ok(true)
    }

    /// The steps in turn, and how often one is passed before it kills.
    fn next_step(&mut self, random: &mut Random, fresh: bool) -> (String, u64) {
        let step = self.steps[self.armed % self.steps.len()].clone();
        self.armed += 1;
        let most = match step.as_str() {
            "before-write" | "after-write" => 25,
            "before-stake" | "after-stake" | "applied" | "after-record" => 3,
            "before-prune" | "after-prune" => 2,
            _ => 1,
        };
        let first = !fresh || !self.done.at.contains_key(&step);
        (step, if first { 0 } else { random.below(most) })
    }

    fn start(
        &mut self,
        command: &str,
        more: &[&str],
        step: Option<&(String, u64)>,
    ) -> Result<Serving> {
        self.done.runs += 1;
        if let Some((step, passes)) = step {
            let armed = format!("{step}={passes}*off->return");
            self.scene.weir.variable("FAILPOINTS", armed);
        }
        let run = self.scene.start(command, more);
        self.scene.weir.without_variable("FAILPOINTS");
        run
    }

    /// One `weir sync`.
    fn sync(&mut self, random: &mut Random, step: Option<(String, u64)>) -> Result<End> {
        let mut run = self.start("sync", &[], step.as_ref())?;
        if step.is_none() {
            let time = part(self.whole, random.below(100));
            run.kill_after(time)?;
        }
        let code = run.wait(PATIENCE)?;
        if run.ended_by_signal()? == Some(SIGKILL) {
            return Ok(step.map_or(End::Outside, |(step, _)| End::At(step)));
        }
        self.did_well(&run, code)?;
        Ok(End::Whole)
    }

    /// One `weir serve`, beside which objects are edited and commits made until it is killed.
    fn serve(&mut self, random: &mut Random, step: Option<(String, u64)>) -> Result<End> {
        let mut run = self.start("serve", &SERVE, step.as_ref())?;
        for look in 0..LOOKS {
            // The start alone takes a part of what a whole run takes.
            let time = part(self.whole, if look == 0 { 50 } else { random.below(50) });
            if !run.runs_for(time)? {
                break;
            }
            let chance = random.below(100);
            if look + 1 < LOOKS && chance < 60 {
                for _ in 0..2 {
                    let what = self.scene.edit(random)?;
                    self.history.note(format!("   {what}"));
                    self.done.edits += 1;
                }
            } else if look + 1 < LOOKS && chance < 85 {
                let what = self.scene.commit(random)?;
                self.history.note(format!("   commit {what}"));
                self.done.commits += 1;
            }
        }
        // What is armed may still be on its way to its step.
        let patience = if step.is_some() { 60 } else { 0 };
        let runs = run.runs_for(part(self.whole, patience))?;
        if runs {
            run.kill()?;
            return Ok(End::Outside);
        }
        let code = run.wait(PATIENCE)?;
        match (run.ended_by_signal()?, step) {
            (Some(SIGKILL), Some((step, _))) => Ok(End::At(step)),
            (signal, _) => bail!(
                "serve ended by itself with {code:?}, signal {signal:?}\n{}",
                run.transcript()
            ),
        }
    }

    /// A sync that nothing disturbs, after which all is as Git says.
    fn settle(&mut self, when: &str) -> Result<()> {
        self.history.note(format!("   {when}: a whole sync"));
        let mut run = self.start("sync", &[], None)?;
        let code = run.wait(PATIENCE)?;
        self.did_well(&run, code)?;
        self.is_as_git_says(when)
    }

    fn did_well(&self, run: &Serving, code: Option<i32>) -> Result<()> {
        let right = if self.scene.is_broken() { 1 } else { 0 };
        ensure!(
            code == Some(right),
            "a sync that nothing disturbs ended with {code:?}, {right} was expected\n{}",
            run.transcript()
        );
        Ok(())
    }

    fn is_as_git_says(&mut self, when: &str) -> Result<()> {
        let broken = self.scene.settled()?;
        self.history.check(when, &broken)?;
        self.is_settled = true;
        self.done.settled += 1;
        Ok(())
    }
}

/// So many hundredths of a time.
fn part(whole: Duration, hundredths: u64) -> Duration {
    whole.mul_f64(hundredths as f64 / 100.0)
}
