//! What ends the work on a fetch where no byte is waited for: gix hears a flag, and this sets it in time.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often it looks whether the fetch is to stop.
const TURN: Duration = Duration::from_millis(50);

/// Rings when the fetch is told to stop, and when its time is over. Gone with the value.
pub(crate) struct Alarm {
    rings: Arc<AtomicBool>,
    end: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Alarm {
    /// # Errors
    /// The system has no thread for it.
    pub(crate) fn set(stop: &Arc<AtomicBool>, until: Instant) -> io::Result<Alarm> {
        let rings = Arc::new(AtomicBool::new(false));
        let (end, ended) = mpsc::channel::<Infallible>();
        let (stop, ring) = (stop.clone(), rings.clone());
        let watch = move || {
            loop {
                if stop.load(Ordering::Relaxed) || Instant::now() >= until {
                    ring.store(true, Ordering::Relaxed);
                    return;
                }
                match ended.recv_timeout(TURN) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) | Ok(_) => return,
                }
            }
        };
        let thread = thread::Builder::new()
            .name("fetch-alarm".into())
            .spawn(watch)?;
        Ok(Alarm {
            rings,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// True once it has rung.
    pub(crate) fn rings(&self) -> &AtomicBool {
        &self.rings
    }

    /// Whether it has rung.
    pub(crate) fn has_rung(&self) -> bool {
        self.rings.load(Ordering::Relaxed)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic.
            let _ = thread.join();
        }
    }
}
