//! What is said comes over as it was meant, and a lie is found or harms nobody.

use super::*;
use crate::error::Diagnostic;
use crate::values::{Document, Finding, Level, LogLine, Severity};

fn terms() -> Terms {
    Terms {
        limits: Limits::HOST,
        instant: 7,
        params: Params {
            app: "shop".into(),
            path: "apps/shop".into(),
            namespace: Some("shop".into()),
            target: TargetFacts {
                name: "default".into(),
                kubernetes: "1.37.2".into(),
                apis: vec!["v1/Pod".into(), "apps/v1/Deployment".into()],
            },
            config: b"{}".to_vec(),
        },
        random: Some(Seed::new([9; 32])),
    }
}

fn usage() -> Usage {
    Usage {
        fuel: 1,
        memory: 2,
        host_calls: 3,
        drew: true,
        micros: 4,
        log: vec![LogLine {
            severity: Severity::Warn,
            message: "careful".into(),
        }],
        log_dropped: 5,
        stdio: "last words".into(),
    }
}

fn requests() -> Vec<Request> {
    let digest = Digest::of(b"a plugin");
    let entry = DirEntry {
        name: "a.yaml".into(),
        file: Some(ObjectId::from_bytes([3; 20])),
        size: 12,
        executable: true,
    };
    let run = |asked| Request::Run(digest, Box::new(terms()), asked);
    vec![
        Request::Load(digest, Role::Validator),
        run(Asked::Render),
        run(Asked::Transform(vec![b"{}".to_vec(), Vec::new()])),
        run(Asked::Validate(vec![b"{}".to_vec()])),
        Request::Entries(Ok(vec![entry])),
        Request::Entries(Err(FsError::NotADirectory)),
        Request::File(Ok(vec![0, 255, 7])),
        Request::File(Err(FsError::NotFound)),
        Request::Stop,
        Request::Try(4),
    ]
}

fn replies() -> Vec<Reply> {
    let finding = Finding {
        level: Level::Info,
        code: "x".into(),
        message: "y".into(),
        object: Some(3),
        path: None,
        line: Some(9),
    };
    let document = Document {
        origin: "a.yaml".into(),
        body: b"a: 1".to_vec(),
    };
    let diagnostic = Diagnostic {
        level: Level::Warning,
        code: "c".into(),
        message: "m".into(),
        path: Some("a.yaml".into()),
        line: None,
    };
    let (text, other) = (String::from("text"), String::from("other"));
    let failures = vec![
        Failure::Fuel,
        Failure::Memory { wanted: 7 },
        Failure::Time,
        Failure::Output { what: text.clone() },
        Failure::Items {
            items: 8,
            limit: crate::answer::ITEMS,
        },
        Failure::HostCalls,
        Failure::Handles {
            limit: crate::state::RESOURCES,
        },
        Failure::Trap {
            reason: text.clone(),
            stderr: other,
        },
        Failure::Refused {
            what: "a".into(),
            instead: "b".into(),
        },
        Failure::BadOutput { what: text.clone() },
        Failure::Diagnostics(vec![diagnostic]),
        Failure::Host { what: text },
    ];
    let gave = [
        Gave::Documents(vec![document]),
        Gave::Objects(vec![b"{}".to_vec(), Vec::new()]),
        Gave::Findings(vec![finding]),
    ];
    let ran = gave
        .into_iter()
        .map(Ok)
        .chain(failures.into_iter().map(Err));
    let mut replies: Vec<Reply> = ran
        .map(|gave| Reply::Ran(usage(), Box::new(gave)))
        .collect();
    replies.extend([
        Reply::Ready(Report {
            landlock: 7,
            filter: true,
            powerless: false,
        }),
        Reply::Loaded(Ok(())),
        Reply::Loaded(Err(Unfit::Code("a".into()))),
        Reply::Loaded(Err(Unfit::World("b".into()))),
        Reply::Entries("apps".into()),
        Reply::File("apps/a.yaml".into()),
        Reply::Tried(Ok("refused".into())),
        Reply::Tried(Err("done".into())),
    ]);
    replies
}

#[test]
fn what_is_said_comes_over_as_it_was_meant() {
    for request in requests() {
        assert_eq!(Request::decode(&request.encode()), Ok(request));
    }
    for reply in replies() {
        let again = Reply::decode(&reply.encode()).unwrap();
        assert_eq!(format!("{again:?}"), format!("{reply:?}"));
    }
}

#[test]
fn whatever_a_worker_says_is_read_or_refused_and_never_believed_beyond_its_length() {
    for reply in replies() {
        let whole = reply.encode();
        for at in 0..whole.len() {
            assert!(
                Reply::decode(&whole[..at]).is_err(),
                "{reply:?} cut at {at}"
            );
            for bit in 0..8 {
                let mut bad = whole.clone();
                bad[at] ^= 1 << bit;
                // It is refused, or it is another thing that may be said: no panic, and no room for what is not there.
                if let Ok(other) = Reply::decode(&bad) {
                    assert!(other.encode().len() <= whole.len(), "{reply:?} at {at}");
                }
            }
        }
        let mut longer = whole;
        longer.push(0);
        assert!(Reply::decode(&longer).is_err(), "{reply:?} and more");
    }
}

#[test]
fn words_about_a_failure_are_cut_and_cannot_steer_a_terminal() {
    let what = "\u{1b}[31mx\u{e9}".repeat(100_000);
    let said = Reply::Ran(usage(), Box::new(Err(Failure::BadOutput { what }))).encode();
    let Ok(Reply::Ran(_, gave)) = Reply::decode(&said) else {
        panic!("it is not read");
    };
    let Err(Failure::BadOutput { what }) = *gave else {
        panic!("{gave:?}");
    };
    assert!(what.len() <= 64 << 10 && what.starts_with("?[31mx\u{e9}"));
    assert!(!what.contains('\u{1b}'));
}

#[test]
fn a_promise_of_many_items_makes_no_room_for_them() {
    // A run that gave so many objects, of which none is there.
    let usage = Reply::Ran(usage(), Box::new(Ok(Gave::Objects(Vec::new())))).encode();
    let (start, _) = usage.split_at(usage.len() - 4);
    for count in [1, 100_000, 100_001, u32::MAX] {
        let frame = [start, &count.to_le_bytes()].concat();
        assert!(Reply::decode(&frame).is_err(), "{count}");
    }
}

#[test]
fn what_only_the_host_may_say_of_a_call_does_not_come_from_a_worker() {
    let stray = Failure::Stray { what: "x".into() };
    let process = Failure::Process {
        limit: "the memory in bytes",
        value: "1".into(),
    };
    for failure in [stray, process] {
        let said = Reply::Ran(usage(), Box::new(Err(failure))).encode();
        let Reply::Ran(_, gave) = Reply::decode(&said).unwrap() else {
            panic!("it is what came of a run");
        };
        assert!(matches!(*gave, Err(Failure::Host { .. })), "{gave:?}");
    }
}
