//! Proxies: what goes through them, and what is shown to whom.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::git::{fetch, open};
use super::refusals::{error, token};
use super::remote::Rig;
use super::server::{Reply, Server};
use super::tls;
use crate::{HttpOptions, RefChange, Secret, SourceConfig, SourceError};

/// A proxy that carries what it is asked to carry, and keeps the heads of the requests.
struct Tunnel {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl Tunnel {
    fn new() -> Tunnel {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (kept, stops) = (heads.clone(), stop.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stops.load(Ordering::SeqCst) {
                    break;
                }
                let kept = kept.clone();
                std::thread::spawn(move || {
                    // A side that goes away ends it.
                    let _ = carry(client, &kept);
                });
            }
        });
        Tunnel {
            address,
            heads,
            stop,
        }
    }

    fn options(&self, user: &str) -> HttpOptions {
        HttpOptions {
            proxy: Some(Secret::new(format!("http://{user}{}", self.address))),
            ..HttpOptions::host()
        }
    }

    fn heads(&self) -> String {
        self.heads.lock().unwrap().concat()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn carry(client: TcpStream, heads: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let to = head.split(' ').nth(1).unwrap_or_default().to_owned();
    heads.lock().unwrap().push(head);
    let server = TcpStream::connect(to)?;
    (&client).write_all(b"HTTP/1.1 200 x\r\n\r\n")?;
    let (mut back, mut front) = (server.try_clone()?, client.try_clone()?);
    let answers = std::thread::spawn(move || {
        let _ = io::copy(&mut back, &mut front);
        let _ = front.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut reader, &mut &server);
    let _ = server.shutdown(Shutdown::Write);
    let _ = answers.join();
    Ok(())
}

#[test]
fn a_request_goes_through_the_proxy_that_was_configured() {
    let rig = Rig::with(&[("a", "1")]);
    let proxy = Server::new(|_| Reply::status(403));
    let through = |proxy: String| {
        let http = HttpOptions {
            proxy: Some(Secret::new(proxy)),
            ..HttpOptions::host()
        };
        error(SourceConfig {
            http,
            ..rig.config()
        })
    };
    let refused = through(format!("http://ann:hunter2@{}", proxy.address));
    assert!(
        matches!(refused, SourceError::Unreachable { .. }),
        "{refused}"
    );
    let seen = proxy.take_seen();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("CONNECT", rig.server.address.to_string().as_str())
    );
    assert!(rig.server.take_seen().is_empty());
    for bad in ["ftp://hunter2@x", "socks5://x:1", "not a proxy"] {
        assert!(
            matches!(through(bad.into()), SourceError::BadUrl { .. }),
            "{bad}"
        );
    }
}

#[test]
fn credentials_for_the_proxy_go_to_the_proxy_and_those_for_the_server_to_the_server() {
    let rig = Rig::with(&[("a", "1")]);
    let tls = tls::rig(false);
    let tunnel = Tunnel::new();
    let plain = SourceConfig {
        credentials: token("token-of-the-server"),
        http: tunnel.options("ann:hunter2@"),
        ..rig.config()
    };
    let http = HttpOptions {
        ca_file: tls.ca_file(),
        ..tunnel.options("ann:hunter2@")
    };
    let encrypted = SourceConfig {
        credentials: token("token-of-the-server"),
        ..tls.config(http)
    };
    for (config, server) in [(plain, &rig.server), (encrypted, &tls.server)] {
        assert_eq!(
            fetch(&open(config).unwrap()).unwrap().change,
            RefChange::First
        );
        let seen = server.take_seen();
        assert!(!seen.is_empty());
        for request in seen {
            assert_eq!(request.header("proxy-authorization"), None);
            assert_eq!(
                request.header("authorization"),
                Some("Bearer token-of-the-server")
            );
        }
    }
    let heads = tunnel.heads();
    assert!(heads.contains("CONNECT localhost:"), "{heads}");
    // ann:hunter2
    assert!(
        heads
            .to_lowercase()
            .contains("proxy-authorization: basic yw5uomh1bnrlcji="),
        "{heads}"
    );
    assert!(!heads.contains("token-of-the-server"), "{heads}");
}

#[test]
fn no_failure_of_a_proxy_repeats_its_credentials() {
    let rig = Rig::with(&[("a", "1")]);
    let proxy = Server::new(|_| Reply::status(407).with("Proxy-Authenticate", "Basic realm=x"));
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let through = |proxy: String| {
        let http = HttpOptions {
            proxy: Some(Secret::new(proxy)),
            ..HttpOptions::host()
        };
        // Looks for the secret itself.
        error(SourceConfig {
            http,
            ..rig.config()
        })
    };
    for status in [407, 403, 502] {
        proxy.answer(move |_| Reply::status(status));
        let error = through(format!("http://ann:hunter2@{}", proxy.address));
        assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    }
    for unreachable in [
        format!("http://ann:hunter2@{gone}"),
        "http://ann:hunter2@nope.invalid:3128".to_owned(),
        format!("https://ann:hunter2@{}", proxy.address),
    ] {
        let error = through(unreachable);
        assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    }
    for bad in [
        "http://ann:hunter2@",
        "http://ann:hunter2@:x",
        "hunter2",
        "socks5://ann:hunter2@127.0.0.1:1",
        "http://ann:hun ter2hunter2@127.0.0.1:1",
    ] {
        let error = through(bad.to_owned());
        assert!(
            matches!(
                error,
                SourceError::BadUrl { .. } | SourceError::Unreachable { .. }
            ),
            "{bad}: {error}"
        );
    }
    assert!(
        rig.server.take_seen().is_empty(),
        "nothing went around the proxy"
    );
}

#[test]
fn a_proxy_cannot_read_or_answer_what_goes_to_a_server_over_https() {
    let tls = tls::rig(false);
    // It answers in the server's place, with a certificate of its own.
    let other = tls::rig(false);
    let port = other.server.address.port();
    let proxy = Tunnel::new();
    let http = HttpOptions {
        ca_file: tls.ca_file(),
        ..proxy.options("")
    };
    let mut config = tls.config(http);
    config.credentials = token("hunter2");
    config.url = format!("https://localhost:{port}/.git").parse().unwrap();
    let error = error(config);
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert!(other.server.take_seen().is_empty());
    assert!(!proxy.heads().contains("hunter2"));
}
