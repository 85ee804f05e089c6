//! A process that runs beside the test: its lines as they come, its signals, its end. Killed with its children on drop.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Where a line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error: logs.
    Err,
}

/// A line that the process printed, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub stream: Stream,
    /// What.
    pub text: String,
}

/// A running process.
#[derive(Debug)]
pub struct Serving {
    child: Child,
    lines: Receiver<Line>,
    /// Everything read so far, in the order of arrival.
    seen: Vec<Line>,
    /// Up to where `wait_for` has looked.
    looked: usize,
    ended: Option<Option<i32>>,
}

impl Serving {
    /// Starts a command in a process group of its own.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(mut command: Command) -> Result<Serving> {
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let (sender, lines) = channel();
        read(
            child.stdout.take().context("stdout is piped")?,
            Stream::Out,
            sender.clone(),
        );
        read(
            child.stderr.take().context("stderr is piped")?,
            Stream::Err,
            sender,
        );
        Ok(Serving {
            child,
            lines,
            seen: Vec::new(),
            looked: 0,
            ended: None,
        })
    }

    /// Waits for the next line that satisfies the predicate, on either stream, after the last one found.
    ///
    /// # Errors
    /// None came before the deadline, or the process ended first; the text has everything that was printed.
    pub fn wait_for(
        &mut self,
        what: &str,
        deadline: Duration,
        predicate: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let until = Instant::now() + deadline;
        loop {
            while let Some(line) = self.seen.get(self.looked) {
                self.looked += 1;
                if predicate(&line.text) {
                    return Ok(line.text.clone());
                }
            }
            match self.next(until) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => bail!(
                    "{what}: no such line within {deadline:?}\n{}",
                    self.transcript()
                ),
                Err(RecvTimeoutError::Disconnected) => bail!(
                    "{what}: weir ended before such a line\n{}",
                    self.transcript()
                ),
            }
        }
    }

    /// [`Serving::wait_for`] a line that contains the text.
    ///
    /// # Errors
    /// As there.
    pub fn wait_for_text(&mut self, text: &str, deadline: Duration) -> Result<String> {
        self.wait_for(&format!("a line with `{text}`"), deadline, |line| {
            line.contains(text)
        })
    }

    /// Waits for the end; returns the exit code, `None` when a signal ended it.
    ///
    /// # Errors
    /// It is still running at the deadline; then it is killed, and the text has everything that was printed.
    pub fn wait(&mut self, deadline: Duration) -> Result<Option<i32>> {
        let until = Instant::now() + deadline;
        if let Some(code) = self.ended {
            return Ok(code);
        }
        loop {
            match self.next(until) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    // A grandchild may hold the pipes after the process itself is gone.
                    if self.child.try_wait()?.is_some() {
                        break;
                    }
                    self.kill_group();
                    bail!(
                        "weir still ran after {deadline:?} and was killed\n{}",
                        self.transcript()
                    );
                }
            }
        }
        let code = self.child.wait()?.code();
        self.ended = Some(code);
        Ok(code)
    }

    /// SIGTERM, as a supervisor sends it, and the end.
    ///
    /// # Errors
    /// As [`Serving::wait`].
    pub fn terminate(&mut self, deadline: Duration) -> Result<Option<i32>> {
        self.signal(Signal::TERM)?;
        self.wait(deadline)
    }

    /// SIGINT, as Ctrl-C sends it, and the end.
    ///
    /// # Errors
    /// As [`Serving::wait`].
    pub fn interrupt(&mut self, deadline: Duration) -> Result<Option<i32>> {
        self.signal(Signal::INT)?;
        self.wait(deadline)
    }

    /// SIGKILL, as a power cut: nothing is flushed, nothing is told.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.kill_group();
        let status = self.child.wait()?;
        self.ended = Some(status.code());
        // What it had printed before is evidence still.
        while let Ok(line) = self.lines.recv() {
            self.seen.push(line);
        }
        Ok(())
    }

    /// SIGKILL once this time has passed, whatever it does then. One that ends before has ended by itself:
    /// [`Serving::ended_by_signal`] says which.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn kill_after(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while let Ok(line) = self.next(until) {
            self.seen.push(line);
        }
        self.kill()
    }

    /// Reads what it prints for so long; whether it still runs then.
    ///
    /// # Errors
    /// The process cannot be looked at.
    pub fn runs_for(&mut self, time: Duration) -> Result<bool> {
        let until = Instant::now() + time;
        loop {
            match self.next(until) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => return Ok(self.child.try_wait()?.is_none()),
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
            }
        }
    }

    /// The signal that ended it, once it has ended by one.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn ended_by_signal(&mut self) -> Result<Option<i32>> {
        Ok(self.child.try_wait()?.and_then(|status| status.signal()))
    }

    /// Sends a signal to the process alone.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).context("weir has ended already")
    }

    /// The process id.
    ///
    /// # Errors
    /// None: an id of the system is never zero.
    pub fn pid(&self) -> Result<Pid> {
        i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("a process id")
    }

    /// A path as the process sees it, which may have disks of its own.
    ///
    /// # Errors
    /// None: an id of the system is never zero.
    pub fn sees(&self, path: &Path) -> Result<PathBuf> {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()?.as_raw_nonzero()));
        Ok(root.join(path.strip_prefix("/").unwrap_or(path)))
    }

    /// The most memory that the process had in use at once, in bytes, as the system has counted it.
    ///
    /// # Errors
    /// It has ended.
    pub fn peak_memory(&self) -> Result<u64> {
        let file = format!("/proc/{}/status", self.pid()?.as_raw_nonzero());
        let text = std::fs::read_to_string(&file).with_context(|| file.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.context("no VmHWM")?.trim().parse()?;
        Ok(kib << 10)
    }

    /// Begins to count [`Serving::peak_memory`] from what is in use now.
    ///
    /// # Errors
    /// It has ended.
    pub fn forget_peak_memory(&self) -> Result<()> {
        let file = format!("/proc/{}/clear_refs", self.pid()?.as_raw_nonzero());
        std::fs::write(&file, "5").with_context(|| file.clone())
    }

    /// Standard output so far, as read by the waiting calls.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.text(Stream::Out)
    }

    /// Standard error so far, as read by the waiting calls.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.text(Stream::Err)
    }

    /// Both streams so far, for an error text.
    #[must_use]
    pub fn transcript(&self) -> String {
        let mut text = String::from("--- what it printed\n");
        for line in &self.seen {
            text.push_str(if line.stream == Stream::Out {
                "out| "
            } else {
                "err| "
            });
            text.push_str(&line.text);
            text.push('\n');
        }
        text
    }

    fn text(&self, stream: Stream) -> String {
        self.seen
            .iter()
            .filter(|line| line.stream == stream)
            .map(|line| format!("{}\n", line.text))
            .collect()
    }

    fn next(&self, until: Instant) -> Result<Line, RecvTimeoutError> {
        self.lines
            .recv_timeout(until.saturating_duration_since(Instant::now()))
    }

    fn kill_group(&self) {
        if let Ok(pid) = self.pid() {
            // Already gone is as good as killed.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.kill_group();
        let _ = self.child.wait();
    }
}

fn read(pipe: impl Read + Send + 'static, stream: Stream, sender: Sender<Line>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while reader
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&bytes)
                .trim_end_matches('\n')
                .to_owned();
            bytes.clear();
            if sender.send(Line { stream, text }).is_err() {
                return;
            }
        }
    });
}
