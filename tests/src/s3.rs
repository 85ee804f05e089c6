//! The real S3 server `versitygw` on a loopback port, with one bucket whose objects are files.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::control_plane::wait;
use crate::places;
use crate::weir::{Serving, Weir};

/// The bucket.
pub const BUCKET: &str = "weir-rig";
/// The id of the access key.
pub const KEY: &str = "AKIARIG";
/// The access key's secret.
pub const SECRET: &str = "hunter2hunter2hunter2";

/// Longer than the server takes to start on any machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ports that somebody else may take before the server does.
const TRIES: usize = 5;

/// The server. Dropping it ends the process and removes what it held.
#[derive(Debug)]
pub struct S3 {
    dir: TempDir,
    port: u16,
    process: Option<Serving>,
}

impl S3 {
    /// One with an empty bucket.
    ///
    /// # Errors
    /// The program is not built (the text says how to), or does not start.
    pub fn start() -> Result<S3> {
        let dir = tempfile::Builder::new().prefix("weir-s3-").tempdir()?;
        fs::create_dir_all(dir.path().join("buckets").join(BUCKET))?;
        let mut server = S3 {
            dir,
            port: 0,
            process: None,
        };
        let mut last = None;
        for _ in 0..TRIES {
            server.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            match server.again() {
                Ok(()) => return Ok(server),
                Err(e) => last = Some(e),
            }
        }
        bail!("the S3 server does not start: {last:?}")
    }

    /// Starts it where it was, with what it held.
    ///
    /// # Errors
    /// It does not start.
    #[expect(clippy::disallowed_methods, reason = "the rig runs the real server")]
    pub fn again(&mut self) -> Result<()> {
        let mut command = Command::new(places::s3()?);
        command
            .args(["--port", &self.address().to_string(), "--quiet", "posix"])
            .arg(self.dir.path().join("buckets"))
            .env_clear()
            .env("HOME", self.dir.path())
            .env("ROOT_ACCESS_KEY", KEY)
            .env("ROOT_SECRET_KEY", SECRET)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        let mut process = Serving::start(command)?;
        let address = self.address();
        wait::until(PATIENCE, "the S3 server listens", || {
            if process.runs_for(Duration::ZERO)? {
                return Ok(TcpStream::connect(address).is_ok().then_some(()));
            }
            bail!("it has ended: {}", process.transcript())
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it. What it held stays.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its URL.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The file that an object of the bucket is.
    #[must_use]
    pub fn file(&self, key: &str) -> PathBuf {
        self.dir.path().join("buckets").join(BUCKET).join(key)
    }

    /// Has a machine keep its ledger in the bucket under a prefix, by the environment as the AWS tools name it.
    pub fn hold(&self, weir: &mut Weir, prefix: &str) {
        S3::hold_at(&self.origin(), weir, prefix);
    }

    /// The same, where the server is reached by another URL.
    pub fn hold_at(origin: &str, weir: &mut Weir, prefix: &str) {
        weir.variable("WEIR_LEDGER", format!("s3://{BUCKET}/{prefix}"))
            .variable("AWS_ENDPOINT_URL", origin)
            .variable("AWS_ALLOW_HTTP", "true")
            .variable("AWS_ACCESS_KEY_ID", KEY)
            .variable("AWS_SECRET_ACCESS_KEY", SECRET);
    }
}
