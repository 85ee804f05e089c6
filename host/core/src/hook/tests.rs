//! Which objects are hooks, their order, and what becomes of each, on made-up ones.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::live::{Mark, Version};
use crate::object::Origin;

fn object(api: &str, kind: &str, name: &str, annotations: Value) -> Object {
    let body = json!({
        "apiVersion": api, "kind": kind, "metadata": { "name": name, "annotations": annotations },
    });
    let origin = Origin {
        path: "a.yaml".to_owned(),
        line: 1,
    };
    Object::new(body, origin).unwrap()
}

fn job(name: &str, annotations: Value) -> Object {
    object("batch/v1", "Job", name, annotations)
}

fn hook(policy: &str) -> Hook {
    let annotations = json!({ ANNOTATION: "pre", DELETE_POLICY: policy });
    read(&job("a", annotations)).unwrap().unwrap()
}

fn found(uid: &str, owner: Owner, run: Option<Digest>) -> Found {
    Found {
        seen: Seen {
            version: Version("1".to_owned()),
            mark: Mark {
                uid: Some(Uid(uid.into())),
                state: Digest::of(b""),
            },
            owner,
            leaving: None,
            keep: false,
        },
        run: run.map(|run| run.to_string()),
        ran: Ran::Runs(String::new()),
    }
}

fn record(hook: &Hook, output: Digest, progress: Progress) -> HookRecord {
    HookRecord {
        id: hook.object.id().clone(),
        phase: hook.phase,
        output,
        content: hook.object.digest(),
        progress,
    }
}

fn started(uid: &str) -> Progress {
    let mark = found(uid, Owner::Us, None).seen.mark;
    let content = Digest::of(b"");
    Progress::Started(Written { content, mark })
}

#[test]
fn hooks_run_by_phase_weight_kind_and_name_and_the_others_are_left() {
    let pre = |weight: &str| json!({ ANNOTATION: "pre", WEIGHT: weight });
    let objects = [
        job("z", json!({ ANNOTATION: "post", WEIGHT: "-9" })),
        job("c", pre("1")),
        object("v1", "Pod", "a", pre("1")),
        job("b", pre("1")),
        job("d", pre("-2")),
        job("own", json!({})),
        object("v1", "ConfigMap", "used", pre("-5")),
    ];
    let (hooks, others) = split(&objects);
    let names: Vec<_> = hooks.iter().map(|h| h.object.id().name.as_str()).collect();
    assert_eq!(names, ["d", "b", "c", "a", "z"]);
    let names: Vec<_> = others.iter().map(|o| o.id().name.as_str()).collect();
    assert_eq!(names, ["own", "used"]);
}

#[test]
fn what_is_wrong_with_a_hook_is_said() {
    for (annotations, text) in [
        (
            json!({ ANNOTATION: "before" }),
            "\"before\" is neither pre nor post",
        ),
        (
            json!({ ANNOTATION: "pre", WEIGHT: "x" }),
            "\"x\" is no whole number",
        ),
        (
            json!({ ANNOTATION: "pre", DELETE_POLICY: "hook-succeeded,never" }),
            "\"never\" is none of before-hook-creation, hook-succeeded, hook-failed",
        ),
    ] {
        let error = read(&job("a", annotations)).unwrap_err();
        assert!(error.contains(text), "{error}");
    }
    let unsaid = read(&job("a", json!({ ANNOTATION: "post" }))).unwrap();
    assert_eq!(unsaid.unwrap().cleanup, Cleanup::UNSAID);
}

#[test]
fn a_run_that_was_made_is_waited_for_and_never_made_again() {
    let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
    let hook = hook("before-hook-creation");
    let run = record(&hook, one, started("u1"));
    let next = |found: Option<&Found>| next(&hook, one, Some(&run), found, false);
    let same = found("u1", Owner::Us, Some(one));
    assert_eq!(next(Some(&same)), Next::Wait(Uid("u1".into())));
    assert_eq!(next(None), Next::Lost);
    assert_eq!(next(Some(&found("u2", Owner::Us, Some(other)))), Next::Lost);
}

#[test]
fn one_that_was_made_before_the_ledger_heard_of_it_is_found() {
    let output = Digest::of(b"1");
    let hook = hook("before-hook-creation");
    let run = record(&hook, output, Progress::Staked(None));
    let there = found("u1", Owner::Us, Some(output));
    let decided = next(&hook, output, Some(&run), Some(&there), false);
    assert_eq!(decided, Next::Wait(Uid("u1".into())));
    let decided = next(&hook, output, Some(&run), None, false);
    assert_eq!(decided, Next::Start(None));
}

#[test]
fn an_earlier_run_goes_first_where_the_policy_says_so() {
    let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
    let there = found("u1", Owner::Us, Some(one));
    let decide = |policy: &str| {
        let hook = hook(policy);
        let run = record(&hook, one, Progress::Succeeded);
        next(&hook, other, Some(&run), Some(&there), false)
    };
    assert_eq!(
        decide("before-hook-creation"),
        Next::Start(Some(there.seen.clone()))
    );
    assert_eq!(decide("hook-failed"), Next::Refused(InTheWay::Kept));
}

#[test]
fn what_is_not_ours_is_in_the_way_and_what_another_app_let_go_is_taken() {
    let output = Digest::of(b"1");
    let hook = hook("before-hook-creation");
    let app: AppName = "old".parse().unwrap();
    let decide = |owner, taken| {
        let there = found("u1", owner, None);
        next(&hook, output, None, Some(&there), taken)
    };
    for owner in [
        Owner::Nobody,
        Owner::Foreign("them".to_owned()),
        Owner::App(app.clone()),
    ] {
        assert!(
            matches!(
                decide(owner.clone(), false),
                Next::Refused(InTheWay::Refusal(_))
            ),
            "{owner:?}"
        );
    }
    assert!(matches!(
        decide(Owner::App(app), true),
        Next::Start(Some(_))
    ));
}

#[test]
fn how_it_ended_stays_known_when_its_object_is_gone() {
    let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
    let hook = hook("hook-succeeded");
    let id = hook.object.id();
    let mut runs = Runs::default();
    runs.fold(&record(&hook, one, Progress::Staked(None)));
    assert_eq!(runs.ended(id, one), None);
    runs.fold(&record(&hook, one, Progress::Succeeded));
    runs.fold(&record(&hook, one, Progress::Gone));
    assert_eq!(runs.ended(id, one), Some(Ok(())));
    assert_eq!(runs.ended(id, other), None);
    runs.fold(&record(&hook, other, Progress::Failed("why".to_owned())));
    assert_eq!(runs.ended(id, other), Some(Err("why")));
    let text = serde_json::to_string(&runs).unwrap();
    assert_eq!(serde_json::from_str::<Runs>(&text).unwrap(), runs);
}

#[test]
fn a_pod_that_is_ready_has_not_ended() {
    let pod = |phase: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" },
            "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": "True" }] },
        })
    };
    assert!(matches!(ran(&pod("Running")), Ran::Runs(_)));
    assert!(matches!(ran(&pod("Pending")), Ran::Runs(_)));
    assert!(matches!(ran(&pod("Failed")), Ran::Failed(_)));
    assert_eq!(ran(&pod("Succeeded")), Ran::Succeeded);
    let condition = |kind: &str| {
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "a" }, "spec": {},
            "status": { "conditions": [{ "type": kind, "status": "True", "reason": "BackoffLimitExceeded" }] },
        })
    };
    assert_eq!(ran(&condition("Complete")), Ran::Succeeded);
    let Ran::Failed(why) = ran(&condition("Failed")) else {
        panic!("it failed")
    };
    assert!(why.contains("BackoffLimitExceeded"), "{why}");
}

/// A cluster with one hook's place, and hosts that are killed.
#[derive(Debug, Default)]
struct World {
    runs: Runs,
    there: Option<Found>,
    made: BTreeMap<Digest, usize>,
    uids: usize,
}

impl World {
    /// One host's try, killed after so many steps.
    fn sync(&mut self, hook: &Hook, output: Digest, mut steps: usize) {
        let id = hook.object.id().clone();
        let mut alive = || {
            let goes_on = steps > 0;
            steps = steps.saturating_sub(1);
            goes_on
        };
        if self.runs.ended(&id, output).is_some() || !alive() {
            return;
        }
        match next(hook, output, self.runs.get(&id), self.there.as_ref(), false) {
            Next::Wait(_) => {}
            Next::Lost => {
                let lost = Progress::Failed("lost".to_owned());
                self.runs.fold(&record(hook, output, lost));
                return;
            }
            Next::Refused(_) => return,
            Next::Start(old) => {
                self.runs
                    .fold(&record(hook, output, Progress::Staked(None)));
                if !alive() {
                    return;
                }
                if old.is_some() {
                    self.there = None;
                }
                if !alive() {
                    return;
                }
                self.uids += 1;
                *self.made.entry(output).or_default() += 1;
                self.there = Some(found(&format!("u{}", self.uids), Owner::Us, Some(output)));
            }
        }
        if !alive() {
            return;
        }
        let uid = self.there.as_ref().and_then(|f| f.seen.mark.uid.clone());
        let uid = uid.map(|uid| uid.0.to_string()).unwrap_or_default();
        self.runs.fold(&record(hook, output, started(&uid)));
        if !alive() {
            return;
        }
        self.runs.fold(&record(hook, output, Progress::Succeeded));
    }
}

proptest! {
    #[test]
    fn killed_at_any_step_no_hook_is_made_twice_for_one_output(
        tries in prop::collection::vec((0..3_u8, 0..7_usize), 1..40),
    ) {
        let hook = hook("before-hook-creation");
        let mut world = World::default();
        let mut last = 0;
        for (commit, steps) in tries {
            // A newer commit; an older one that comes back is another run.
            let n = last + usize::from(commit == 0);
            last = n;
            let output = Digest::of(&n.to_le_bytes());
            world.sync(&hook, output, steps);
        }
        let output = Digest::of(&last.to_le_bytes());
        world.sync(&hook, output, 100);
        prop_assert!(world.made.values().all(|made| *made == 1), "{:?}", world.made);
        prop_assert!(world.runs.ended(hook.object.id(), output).is_some());
    }
}
