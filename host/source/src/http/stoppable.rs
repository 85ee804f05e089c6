//! The connection under HTTP: waits for the server in short turns, so that a stop is heard whatever it does.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, RustlsConnector,
    TcpConnector, Transport,
};

/// How long one turn waits.
const TURN: Duration = Duration::from_millis(250);

/// What tells the fetch under way to stop. Fetches of one client take turns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<Mutex<Arc<AtomicBool>>>);

impl Stop {
    /// From now on this one counts.
    pub(crate) fn follow(&self, stop: &Arc<AtomicBool>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stop.clone();
    }

    /// Whether the fetch is to end.
    pub(crate) fn is_set(&self) -> bool {
        let stop = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stop.load(Ordering::Relaxed)
    }
}

/// Proxy, TCP, our turns, then TLS: below TLS a turn that ends loses nothing.
pub(super) fn connector(stop: Stop) -> impl Connector {
    ().chain(ConnectProxyConnector::default())
        .chain(TcpConnector::default())
        .chain(TurnsConnector(stop))
        .chain(RustlsConnector::default())
}

#[derive(Debug)]
struct TurnsConnector(Stop);

impl<In: Transport> Connector<In> for TurnsConnector {
    type Out = Turns<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Turns<In>>, ureq::Error> {
        let stop = self.0.clone();
        Ok(chained.map(|inner| Turns { inner, stop }))
    }
}

/// A connection that waits in turns.
#[derive(Debug)]
struct Turns<In> {
    inner: In,
    stop: Stop,
}

impl<In: Transport> Transport for Turns<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let whole = timeout.for_read();
        let start = Instant::now();
        loop {
            if self.stop.is_set() {
                // Not `Interrupted`, which TLS above and readers of the body take for "try again", for ever.
                return Err(ureq::Error::Io(io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    "told to stop",
                )));
            }
            let left = whole.after.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(ureq::Error::Timeout(whole.reason));
            }
            let turn = NextTimeout {
                after: left.min(TURN).into(),
                ..whole
            };
            match self.inner.await_input(turn) {
                Err(ureq::Error::Timeout(_)) => {}
                other => return other,
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
