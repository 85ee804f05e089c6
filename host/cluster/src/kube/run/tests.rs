//! A run against an API server that answers as a test says, or not at all: when it ends, and what it leaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use weir_core::allow::Rules;
use weir_core::digest::Digest;
use weir_core::inventory::Inventory;
use weir_core::live::{Live, Mark, Owner, Seen, Uid, Version, Written};
use weir_core::name::{AppName, RepositoryName, TargetName};
use weir_core::object::{Object, Origin};
use weir_core::plan::{Others, plan};
use weir_core::stake::{Stake, StakeId, StakeLog, stake};

use super::super::flight::Flight;
use super::super::{KubeLimits, KubeTarget};
use super::*;

/// What the server does with a request that is no discovery.
#[derive(Clone, Copy)]
enum Server {
    /// Nothing.
    Silent,
    /// Refuses each write as wrong, after a while.
    Slow,
    /// Refuses each write as wrong.
    Refuses,
    /// Has everything, on its way out for ever, and says so to a delete.
    Stuck,
    /// The same, and a delete is not needed.
    Leaving,
}

/// How long a slow server takes: less than its deadline.
const SLOW: Duration = Duration::from_secs(30);

/// Where the tests keep stakes: nowhere.
struct Log;

impl StakeLog for Log {
    type Error = std::convert::Infallible;
    async fn append_stake(
        &self,
        _: &RepositoryName,
        _: &AppName,
        _: Stake,
    ) -> Result<StakeId, Self::Error> {
        Ok(StakeId(1))
    }
}

fn said(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let body = Body::from(body.to_string().into_bytes());
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

async fn answer(server: Server, flight: Arc<Flight>, request: Request<Body>) -> Response<Body> {
    let kinds = json!([{"metadata": {}, "versions": [{"version": "v1", "freshness": "Current", "resources": [{
        "resource": "configmaps", "responseKind": {"kind": "ConfigMap"}, "scope": "Namespaced",
        "verbs": ["get", "patch", "delete"],
    }]}]}]);
    let list = |items| json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items});
    let status = |code: u16, reason: &str| {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": reason, "details": {"name": "x", "kind": "configmaps"}})
    };
    let leaving = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"uid": UID, "name": "x",
        "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.test/stays"]}});
    let answer = match (request.uri().path(), server, request.method()) {
        ("/api", ..) => said(StatusCode::OK, &list(kinds)),
        ("/apis", ..) => said(StatusCode::OK, &list(json!([]))),
        (_, Server::Silent, _) => std::future::pending().await,
        (_, server, &Method::PATCH) => {
            if matches!(server, Server::Slow) {
                tokio::time::sleep(SLOW).await;
            }
            said(StatusCode::UNPROCESSABLE_ENTITY, &status(422, "Invalid"))
        }
        (_, Server::Leaving, &Method::DELETE) => std::future::pending().await,
        (_, Server::Stuck | Server::Leaving, _) => said(StatusCode::OK, &leaving),
        _ => said(StatusCode::NOT_FOUND, &status(404, "NotFound")),
    };
    flight.heard(answer.status(), answer.headers());
    answer
}

fn target(server: Server, limits: KubeLimits) -> KubeTarget {
    let flight = Arc::new(Flight::new(limits));
    let heard = flight.clone();
    let service = tower::service_fn(move |request| {
        let answer = answer(server, heard.clone(), request);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let client = Client::new(service, "default");
    KubeTarget {
        own: client.clone(),
        client,
        account: None,
        rules: Rules::default(),
        place: "kube:".to_owned(),
        limits,
        flight,
        kinds: std::sync::Mutex::default(),
        watches: None,
    }
}

/// The uid of all that is there.
const UID: &str = "d2b8a9d0";

fn maps(count: usize) -> Vec<Object> {
    let maps = (0..count).map(|n| {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("m{n:03}"), "namespace": "shop"}});
        let path = "maps.yaml".to_owned();
        Object::new(body, Origin { path, line: 1 }).unwrap()
    });
    maps.collect()
}

/// So many maps, none of which is there.
async fn creates(count: usize) -> Staked<Plan> {
    let maps = maps(count);
    let live = maps
        .iter()
        .map(|m| (m.id().clone(), Live::Absent))
        .collect();
    let plan = plan(&maps, &Inventory::default(), &live, &Others::default());
    staked(plan).await
}

/// So many maps that are held and wanted no more; `leaving` says that they are on their way out.
async fn prunes(count: usize, leaving: bool) -> Staked<Plan> {
    let mark = |content| Mark {
        uid: Some(Uid(UID.into())),
        state: content,
    };
    let mut inventory = Inventory::default();
    let mut live = BTreeMap::new();
    for map in maps(count) {
        let (content, mark) = (map.digest(), mark(map.digest()));
        let written = Written {
            content,
            mark: mark.clone(),
        };
        inventory.confirm(map.id().clone(), written);
        let seen = Seen {
            version: Version("1".to_owned()),
            mark,
            owner: Owner::Us,
            leaving: leaving.then(|| "its finalizers: example.test/stays".to_owned()),
            keep: false,
        };
        live.insert(map.id().clone(), Live::Present(seen));
    }
    staked(plan(&[], &inventory, &live, &Others::default())).await
}

async fn staked(plan: Plan) -> Staked<Plan> {
    let (repository, app) = ("shop".parse().unwrap(), "web".parse().unwrap());
    let name = TargetName::default_target();
    let output = Digest::of(b"");
    match stake(&Log, &repository, &app, plan, &name, None, output).await {
        Ok(staked) => staked,
        Err(never) => match never {},
    }
}

/// How many steps failed and how many were not begun, and why the first one failed.
async fn ended(target: &KubeTarget, count: usize) -> (usize, usize, String) {
    outcome(target, creates(count).await).await
}

async fn outcome(target: &KubeTarget, staked: Staked<Plan>) -> (usize, usize, String) {
    let count = staked.get().steps().count();
    let claim = Claim {
        ledger: "1f00".to_owned(),
        repository: "shop".parse().unwrap(),
        app: "web".parse().unwrap(),
    };
    // The kinds are known, as they are after a look.
    target.kinds().await.unwrap();
    let applied = target.apply(&claim, staked, &AsRendered, &|_| {}).await;
    assert_eq!(applied.outcomes.len(), count, "each step has an outcome");
    let failures: Vec<&Failure> = applied
        .outcomes
        .iter()
        .filter_map(|o| match &o.ended {
            Ended::Failed(failure) => Some(failure),
            _ => None,
        })
        .collect();
    let skipped = applied.outcomes.iter();
    let skipped = skipped.filter(|o| matches!(o.ended, Ended::Skipped));
    (failures.len(), skipped.count(), failures[0].why.clone())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_nothing_ends_a_run_of_five_thousand_after_two_deadlines() {
    let target = target(Server::Silent, KubeLimits::HOST);
    let started = Instant::now();
    let (failed, skipped, why) = ended(&target, 5_000).await;
    let at_once = KubeLimits::HOST.in_flight;
    assert_eq!((failed, skipped), (at_once, 5_000 - at_once));
    assert!(why.contains("does not answer"), "{why}");
    let limit = KubeLimits::HOST.request * 2 + Duration::from_secs(5);
    assert!(started.elapsed() <= limit, "{:?}", started.elapsed());
    // The next look is one probe, and all others hear at once that there is one.
    let probe = target.flight.may_ask().unwrap();
    assert!(probe.is_some());
    let started = Instant::now();
    let (failed, ..) = ended(&target, 100).await;
    assert!(failed >= 1 && started.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_gets_the_runs_whole_time_and_no_more() {
    let limits = KubeLimits {
        run: SLOW * 20,
        ..KubeLimits::HOST
    };
    let target = target(Server::Slow, limits);
    let started = Instant::now();
    let (failed, skipped, _) = ended(&target, 5_000).await;
    // One more says that the time is over.
    assert_eq!(failed, 20 * limits.in_flight + 1);
    assert_eq!(failed + skipped, 5_000);
    let took = started.elapsed();
    assert!((limits.run..=limits.run + SLOW).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_time_is_over_says_so_once_and_begins_nothing_more() {
    let limits = KubeLimits {
        run: Duration::ZERO,
        ..KubeLimits::HOST
    };
    let (failed, skipped, why) = ended(&target(Server::Silent, limits), 50).await;
    assert_eq!((failed, skipped), (1, 49));
    assert!(why.starts_with("the run took longer than"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_one_object_stops_no_other_one_of_its_wave() {
    let target = target(Server::Refuses, KubeLimits::HOST);
    let (failed, skipped, why) = ended(&target, 50).await;
    assert_eq!((failed, skipped), (50, 0));
    assert!(why.contains("refuses it as invalid"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn finalizers_that_nobody_takes_off_cost_a_run_little_more_than_one_of_them() {
    let wait = KubeLimits::HOST.delete;
    for (server, leaving) in [(Server::Stuck, false), (Server::Leaving, true)] {
        let target = target(server, KubeLimits::HOST);
        let started = Instant::now();
        let (failed, skipped, why) = outcome(&target, prunes(100, leaving).await).await;
        assert_eq!((failed, skipped), (100, 0));
        assert!(why.contains("its finalizers: example.test/stays"), "{why}");
        let took = started.elapsed();
        assert!(
            took >= wait - Duration::from_secs(1) && took < wait * 2,
            "{took:?}"
        );
    }
}
