//! The fault proxy does what its script says, counts it, and does nothing else.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use weir_tests::control_plane::{ControlPlane, With};
use weir_tests::proxy::{Act, Proxy, Rule};
use weir_tests::{GitServer, Repo};

/// What a test asks for: a small answer with headers of its own.
const PATH: &str = "/work/info/refs";
const QUERY: &str = "service=git-upload-pack";
/// Longer than an answer takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    _repo: Repo,
    server: GitServer,
    proxy: Proxy,
}

fn scene() -> Scene {
    let repo = Repo::from_text("//- a.txt\none\n").unwrap();
    let server = GitServer::of(&repo).unwrap();
    let proxy = Proxy::of_git(&server).unwrap();
    Scene {
        _repo: repo,
        server,
        proxy,
    }
}

/// One request over a connection of its own: the whole answer, or what came before it broke.
fn get(url: &str, patience: Duration) -> (Vec<u8>, std::io::Result<()>) {
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    let request =
        format!("GET {PATH}?{QUERY} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return (answer, Ok(())),
            Ok(read) => answer.extend_from_slice(&part[..read]),
            Err(error) => return (answer, Err(error)),
        }
    }
}

impl Scene {
    fn through(&self) -> (Vec<u8>, std::io::Result<()>) {
        get(&self.proxy.url("work"), PATIENCE)
    }

    /// The status and the body of an answer that came whole.
    fn answered(&self) -> (u16, Vec<u8>) {
        let (answer, ended) = self.through();
        ended.unwrap();
        parts(&answer)
    }

    /// What the server itself answers.
    fn body(&self) -> Vec<u8> {
        let (answer, ended) = get(&self.server.url("work"), PATIENCE);
        ended.unwrap();
        parts(&answer).1
    }

    fn reached(&self) -> usize {
        self.server.requests().len()
    }
}

fn parts(answer: &[u8]) -> (u16, Vec<u8>) {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}

#[test]
fn without_a_rule_the_answer_is_the_servers() {
    let scene = scene();
    let body = scene.body();
    assert!(body.starts_with(b"001e# service=git-upload-pack"));
    assert_eq!(scene.answered(), (200, body));
    let asked = scene.proxy.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (&*asked[0].method, &*asked[0].path, &*asked[0].query),
        ("GET", PATH, QUERY)
    );
    assert_eq!(scene.proxy.most_at_once(), 1);
    assert_eq!(scene.proxy.most_at_once(), 0);
}

#[test]
fn a_rule_acts_on_what_fits_so_often_and_counts_it() {
    let scene = scene();
    let other = scene.proxy.add(Rule::on("POST", PATH, Act::too_many(9)));
    let another = scene
        .proxy
        .add(Rule::all(PATH, Act::too_many(9)).query("other"));
    let rule = Rule::on("GET", "refs", Act::too_many(7)).after(1).times(2);
    let done = scene.proxy.add(rule);
    let answers: Vec<u16> = (0..5).map(|_| scene.answered().0).collect();
    assert_eq!(answers, [200, 429, 429, 200, 200]);
    assert_eq!((done.times(), other.times(), another.times()), (2, 0, 0));
    assert_eq!(scene.reached(), 3);
    scene.proxy.add(Rule::all("", Act::too_many(7)));
    let (answer, _) = scene.through();
    let text = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(text.contains("retry-after: 7\r\n"), "{text}");
    scene.proxy.clear();
    assert_eq!(scene.answered().0, 200);
}

#[test]
fn a_reset_comes_before_or_after_the_server_was_asked() {
    let scene = scene();
    for (act, reached) in [(Act::ResetBefore, 0), (Act::ResetAfter, 1)] {
        let before = scene.reached();
        let done = scene.proxy.add(Rule::all("", act.clone()).times(1));
        let (answer, ended) = scene.through();
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{act:?}");
        assert!(answer.is_empty());
        assert_eq!((done.times(), scene.reached() - before), (1, reached));
    }
    assert_eq!(scene.answered().0, 200);
}

#[test]
fn a_body_is_cut_or_changed_where_the_script_says() {
    let scene = scene();
    let body = scene.body();
    scene.proxy.add(Rule::all("", Act::Truncate(10)).times(1));
    let (answer, ended) = scene.through();
    ended.unwrap_err();
    assert_eq!(parts(&answer), (200, body[..10].to_vec()));
    scene.proxy.add(Rule::all("", Act::Corrupt).times(1));
    let (status, changed) = scene.answered();
    let different = body.iter().zip(&changed).filter(|(a, b)| a != b).count();
    assert_eq!((status, changed.len(), different), (200, body.len(), 1));
}

#[test]
fn an_answer_comes_late_or_never() {
    let scene = scene();
    let late = Duration::from_millis(300);
    scene.proxy.add(Rule::all("", Act::Delay(late)).times(1));
    let started = Instant::now();
    assert_eq!(scene.answered().0, 200);
    assert!(started.elapsed() >= late);
    let reached = scene.reached();
    let done = scene.proxy.add(Rule::all("", Act::Swallow).times(1));
    let (answer, ended) = get(&scene.proxy.url("work"), Duration::from_millis(300));
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert!(answer.is_empty() && done.times() == 1 && scene.reached() == reached);
    // Another connection is none the worse.
    assert_eq!(scene.answered().0, 200);
}

#[test]
fn an_api_server_is_reached_by_tls_both_ways_and_a_watch_ends_when_told() {
    let plane = ControlPlane::start(With::ApiServer).unwrap();
    let proxy = Proxy::of_plane(&plane).unwrap();
    let kubectl = proxy.kubectl().unwrap();
    let names = kubectl.text(&["get", "namespaces", "-o", "name"]).unwrap();
    assert!(names.contains("namespace/default"), "{names}");
    assert_eq!(
        names,
        plane
            .admin()
            .text(&["get", "namespaces", "-o", "name"])
            .unwrap()
    );
    // Whoever trusts another authority does not talk to it.
    let other = ControlPlane::start(With::ApiServer).unwrap();
    let file = std::fs::read_to_string(other.admin().kubeconfig()).unwrap();
    let own = std::fs::read_to_string(kubectl.kubeconfig()).unwrap();
    let line = |text: &str| {
        let lines = text.lines().filter(|l| l.contains("server:"));
        lines.map(str::to_owned).next().unwrap()
    };
    std::fs::write(
        kubectl.kubeconfig(),
        file.replace(&line(&file), &line(&own)),
    )
    .unwrap();
    let refused = kubectl.run(&["get", "namespaces"]).unwrap();
    assert!(
        !refused.ok && refused.stderr.contains("certificate"),
        "{refused:?}"
    );
    std::fs::write(kubectl.kubeconfig(), own).unwrap();
    let end = Duration::from_millis(500);
    let done = proxy.add(Rule::on("GET", "/namespaces", Act::End(end)).query("watch=true"));
    let started = Instant::now();
    let watched = kubectl
        .text(&["get", "--raw", "/api/v1/namespaces?watch=true"])
        .unwrap();
    assert!(watched.contains("\"type\":\"ADDED\""), "{watched}");
    assert!(started.elapsed() >= end && done.times() == 1);
}
