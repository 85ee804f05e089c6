//! A server that accepts every connection and never answers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// A listener on loopback. Its connections stay open until it is dropped.
#[derive(Debug)]
pub struct Deaf {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepted: Mutex<Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Deaf {
    /// Listens from now on.
    ///
    /// # Errors
    /// No free port.
    pub fn new() -> Result<Deaf> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (send, accepted) = channel();
        let stops = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut open = Vec::new();
            for connection in listener.incoming() {
                if stops.load(Ordering::Relaxed) {
                    return;
                }
                open.push(connection);
                // Nobody may wait for it any more.
                let _ = send.send(());
            }
        });
        Ok(Deaf {
            address,
            stop,
            accepted: Mutex::new(accepted),
            thread: Some(thread),
        })
    }

    /// Where it listens: `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until so many more connections were made.
    ///
    /// # Errors
    /// They were not, within this time.
    pub fn wait_for(&self, connections: usize, within: Duration) -> Result<()> {
        let until = Instant::now() + within;
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        for n in 0..connections {
            let left = until.saturating_duration_since(Instant::now());
            if accepted.recv_timeout(left).is_err() {
                bail!("{n} connections were made within {within:?}, {connections} were expected");
            }
        }
        Ok(())
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
