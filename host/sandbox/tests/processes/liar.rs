//! A worker that lies: one that was taken over by what it runs may say anything. The host reads it within bounds, ends it,
//! and names app, plugin and digest.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use libtest_mimic::Failed;
use weir_core::fault::{Blame as _, Fault};
use weir_core::grant::{Limits, Millis};
use weir_sandbox::Failure;

use crate::guests::{LIMITS, renderer};
use crate::scene::{Scene, Way, told};
use crate::{Named, Role};

pub(crate) const TRIALS: &[Named] = &[(
    "whatever_a_worker_says_or_does_its_host_names_the_plugin_and_goes_on",
    lies,
)];

/// What it does when it is to run a call, and what is said of it.
const LIES: [(&str, &str); 12] = [
    ("noise", "broke the rules"),
    ("too-long", "at most"),
    ("cut-off", "it ended by itself"),
    ("many-items", "a longer list than there may be"),
    ("two-at-once", "more than was asked for"),
    ("greets-again", "it said what nobody asked"),
    ("asks-for-ever", "more files than it may"),
    ("asks-no-utf8", "not UTF-8"),
    ("another-role", "an answer of another role"),
    ("too-much", "went over its output limit"),
    ("silent", "ran out of time"),
    ("crashes", "SIGABRT"),
];

fn lies() -> Result<(), Failed> {
    for (lie, words) in LIES {
        let guest = renderer("(unreachable)");
        let scene = Scene::new(&Way::Liar(lie), Role::Renderer, &guest);
        let limits = Limits {
            time: Millis(2000),
            host_calls: 50,
            ..LIMITS
        };
        let files = told(&[("f", "text")], |_| {});
        let error = scene.render(limits, files).map(|_| ()).unwrap_err();
        let text = error.to_string();
        let digest = scene.plugin.digest().short();
        for word in ["app `shop`", "plugin `paint`", &digest, words] {
            assert!(text.contains(word), "{lie}: {word}: {text}");
        }
        assert_eq!(error.fault(), Fault::Plugin, "{lie}: {text}");
        if lie != "silent" && lie != "too-much" {
            assert!(
                matches!(error.failure, Failure::Stray { .. }),
                "{lie}: {text}"
            );
        }
    }
    Ok(())
}

/// Plays a worker until it is to run a call; then lies.
pub(crate) fn lie(lie: &str) -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let mut socket = UnixStream::from(socket);
    // Ready: Landlock 7, filtered, powerless.
    say(&mut socket, &[1, 7, 0, 0, 0, 1, 1])?;
    loop {
        let kind = hear(&mut socket)?;
        match kind {
            // Loaded: well.
            1 => say(&mut socket, &[2, 0])?,
            2 => return lie_now(&mut socket, lie),
            _ => return Ok(()),
        }
    }
}

fn lie_now(socket: &mut UnixStream, lie: &str) -> io::Result<()> {
    match lie {
        "noise" => say(socket, &[0xaa; 1000])?,
        "too-long" => socket.write_all(&u32::MAX.to_le_bytes())?,
        "cut-off" => {
            socket.write_all(&1000_u32.to_le_bytes())?;
            socket.write_all(&[5; 10])?;
            return Ok(());
        }
        "many-items" => {
            let mut frame = ran();
            frame.push(0);
            frame.extend(u32::MAX.to_le_bytes());
            say(socket, &frame)?;
        }
        "two-at-once" => {
            let question = [3, 0, 0, 0, 0];
            let len = u32::try_from(question.len()).map_err(io::Error::other)?;
            let one = [&len.to_le_bytes()[..], &question].concat();
            socket.write_all(&[one.clone(), one].concat())?;
        }
        "greets-again" => say(socket, &[1, 7, 0, 0, 0, 1, 1])?,
        "asks-for-ever" => loop {
            // The file `f`.
            say(socket, &[4, 1, 0, 0, 0, b'f'])?;
            hear(socket)?;
        },
        "asks-no-utf8" => say(socket, &[4, 2, 0, 0, 0, 0xff, 0xfe])?,
        "another-role" => {
            // No objects, where documents were asked for.
            let mut frame = ran();
            frame.extend([1, 0, 0, 0, 0]);
            say(socket, &frame)?;
        }
        "too-much" => {
            let mut frame = ran();
            frame.push(0);
            frame.extend(1_u32.to_le_bytes());
            frame.extend(0_u32.to_le_bytes());
            let body = vec![b'x'; 2 << 20];
            frame.extend(
                u32::try_from(body.len())
                    .map_err(io::Error::other)?
                    .to_le_bytes(),
            );
            frame.extend(body);
            say(socket, &frame)?;
        }
        "crashes" => std::process::abort(),
        _ => {}
    }
    // Until the host ends it.
    loop {
        std::thread::park();
    }
}

/// What came of a run, up to what it gave: nothing spent, nothing drawn, nothing logged.
fn ran() -> Vec<u8> {
    let mut frame = vec![5];
    frame.extend([0; 32]);
    frame.push(0);
    frame.extend(0_u32.to_le_bytes());
    frame.extend([0; 8]);
    frame.extend(0_u32.to_le_bytes());
    frame
}

fn say(socket: &mut UnixStream, frame: &[u8]) -> io::Result<()> {
    let len = u32::try_from(frame.len()).map_err(io::Error::other)?;
    socket.write_all(&[&len.to_le_bytes()[..], frame].concat())
}

/// The kind of the next thing that the host says.
fn hear(socket: &mut UnixStream) -> io::Result<u8> {
    let mut len = [0; 4];
    socket.read_exact(&mut len)?;
    let len = usize::try_from(u32::from_le_bytes(len)).map_err(io::Error::other)?;
    let mut frame = vec![0; len];
    socket.read_exact(&mut frame)?;
    frame
        .first()
        .copied()
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
