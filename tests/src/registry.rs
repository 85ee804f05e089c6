//! The real OCI registry (`distribution`) on a loopback port, and what a client pushes to it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tempfile::TempDir;

use crate::charts::{FileServer, sha256};
use crate::places;
use crate::server::Auth;
use crate::weir::Serving;

/// Longer than the registry takes to start on any machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LISTENING: &str = "listening on 127.0.0.1:";
const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const HELM_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// The media type of the config of a plugin's manifest.
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the one layer of a plugin's manifest.
pub const WASM_LAYER: &str = "application/wasm";
/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Who may push to [`Registry::with_password`].
pub const USER: &str = "pusher";
/// The password of [`USER`].
pub const PASSWORD: &str = "let me in";
/// The same as htpasswd keeps it (bcrypt).
const HASH: &str = "$2a$04$WLdhiA5N2E5kGh6CCUXOfeOr77ebcHjkwvln81ezcX6MbbPLymHm.";

/// The registry. Dropping it ends the process and removes what it held.
#[derive(Debug)]
pub struct Registry {
    process: Serving,
    dir: TempDir,
    port: u16,
    /// What a client has to send.
    authorization: Option<String>,
}

/// A manifest as it is pushed.
#[derive(Debug, Clone)]
pub struct Pushed<'a> {
    /// The repository's name.
    pub name: &'a str,
    /// The tag.
    pub tag: &'a str,
    /// The media type of its config.
    pub config: &'a str,
    /// Its layers: media type and bytes.
    pub layers: &'a [(&'a str, &'a [u8])],
}

impl Registry {
    /// An open one.
    ///
    /// # Errors
    /// The program is not built (the text says how to), or does not start.
    pub fn start() -> Result<Registry> {
        Registry::with("", None)
    }

    /// One that sends whoever shows nothing to a token server at this URL; it takes any token.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub fn with_tokens(realm: &str) -> Result<Registry> {
        let auth = format!("auth:\n  silly:\n    realm: {realm}\n    service: rig\n");
        Registry::with(&auth, Some("Bearer rig".to_owned()))
    }

    /// [`Registry::with_tokens`] of a server of its own, which gives one to `ann` with the password `hunter2`.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub fn with_token_server() -> Result<(Registry, FileServer)> {
        let tokens = FileServer::start()?;
        tokens.file("/token", r#"{"token":"abc.def"}"#);
        tokens.require(Auth::Basic {
            user: "ann".to_owned(),
            password: "hunter2".to_owned(),
        });
        let registry = Registry::with_tokens(&format!("http://{}/token", tokens.host()))?;
        Ok((registry, tokens))
    }

    /// One that takes and gives what whoever shows [`USER`] and [`PASSWORD`] sends and asks for, and nothing else.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub fn with_password(file: &std::path::Path) -> Result<Registry> {
        std::fs::write(file, format!("{USER}:{HASH}\n"))?;
        let auth = format!(
            "auth:\n  htpasswd: {{ realm: rig, path: {} }}\n",
            file.display()
        );
        Registry::with(&auth, None)
    }

    #[expect(clippy::disallowed_methods, reason = "the rig runs the real registry")]
    fn with(auth: &str, authorization: Option<String>) -> Result<Registry> {
        let dir = tempfile::Builder::new()
            .prefix("weir-registry-")
            .tempdir()?;
        let file = dir.path().join("config.yml");
        let storage = dir.path().join("storage");
        std::fs::write(
            &file,
            format!(
                "version: 0.1\nlog: {{ level: info, accesslog: {{ disabled: true }} }}\nstorage:\n  filesystem: {{ rootdirectory: {} }}\nhttp: {{ addr: '127.0.0.1:0' }}\n{auth}",
                storage.display()
            ),
        )?;
        let mut command = Command::new(places::registry()?);
        command
            .arg("serve")
            .arg(&file)
            .env_clear()
            .env("HOME", dir.path())
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null());
        let mut process = Serving::start(command)?;
        let line = process.wait_for_text(LISTENING, PATIENCE)?;
        let digits = line.split(LISTENING).nth(1).unwrap_or_default();
        let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
        Ok(Registry {
            process,
            dir,
            port: digits
                .parse()
                .with_context(|| format!("a port in {line:?}"))?,
            authorization,
        })
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The reference of a chart.
    #[must_use]
    pub fn reference(&self, name: &str, version: &str) -> String {
        format!("oci://{}/{name}?version={version}", self.host())
    }

    /// Pushes a chart as Helm does: the digest of the layer with the archive, in hex.
    ///
    /// # Errors
    /// The registry refuses it.
    pub fn push_chart(&self, name: &str, tag: &str, archive: &[u8]) -> Result<String> {
        self.push(&Pushed {
            name,
            tag,
            config: HELM_CONFIG,
            layers: &[(HELM_LAYER, archive)],
        })?;
        Ok(sha256(archive))
    }

    /// Pushes a component as a plugin: the digest of its manifest, in hex.
    ///
    /// # Errors
    /// The registry refuses it.
    pub fn push_plugin(&self, name: &str, tag: &str, component: &[u8]) -> Result<String> {
        self.push(&Pushed {
            name,
            tag,
            config: WASM_CONFIG,
            layers: &[(WASM_LAYER, component)],
        })
    }

    /// Pushes a manifest with its blobs: the manifest's digest, in hex.
    ///
    /// # Errors
    /// The registry refuses it.
    pub fn push(&self, pushed: &Pushed<'_>) -> Result<String> {
        let config = b"{}";
        self.blob(pushed.name, config)?;
        let mut layers = Vec::new();
        for (media_type, bytes) in pushed.layers {
            self.blob(pushed.name, bytes)?;
            layers.push(descriptor(media_type, bytes));
        }
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(pushed.config, config), "layers": layers,
        })
        .to_string();
        let path = format!("/v2/{}/manifests/{}", pushed.name, pushed.tag);
        self.ask("PUT", &path, MANIFEST, manifest.as_bytes())?
            .expect(201)?;
        Ok(sha256(manifest.as_bytes()))
    }

    /// Puts a manifest just as it is, and its blobs before it.
    ///
    /// # Errors
    /// The registry refuses it.
    pub fn put(
        &self,
        (name, tag): (&str, &str),
        manifest: &serde_json::Value,
        blobs: &[&[u8]],
    ) -> Result<()> {
        for blob in blobs {
            self.blob(name, blob)?;
        }
        let path = format!("/v2/{name}/manifests/{tag}");
        self.ask("PUT", &path, MANIFEST, manifest.to_string().as_bytes())?
            .expect(201)
            .map(drop)
    }

    /// Overwrites the bytes of a blob where the registry keeps it: what a broken or hostile one would serve.
    ///
    /// # Errors
    /// It is not there.
    pub fn tamper(&self, hex: &str, bytes: &[u8]) -> Result<()> {
        let blobs = "storage/docker/registry/v2/blobs/sha256";
        let path = self.dir.path().join(blobs).join(&hex[..2]).join(hex);
        std::fs::write(path.join("data"), bytes).context("tampering with a blob")
    }

    /// What it logged so far.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.process.transcript()
    }

    fn blob(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let begun = self.ask("POST", &format!("/v2/{name}/blobs/uploads/"), "", b"")?;
        let at = begun.expect(202)?;
        let at = at.split_once("://").map_or(at.as_str(), |(_, rest)| {
            rest.find('/').map_or("/", |slash| &rest[slash..])
        });
        let glue = if at.contains('?') { '&' } else { '?' };
        let path = format!("{at}{glue}digest=sha256:{}", sha256(bytes));
        self.ask("PUT", &path, "application/octet-stream", bytes)?
            .expect(201)
            .map(drop)
    }

    fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<Answered> {
        let mut stream = TcpStream::connect(self.host()).context("connecting to the registry")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.host(),
            body.len()
        );
        if !kind.is_empty() {
            head.push_str(&format!("Content-Type: {kind}\r\n"));
        }
        if let Some(value) = &self.authorization {
            head.push_str(&format!("Authorization: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .with_context(|| format!("{method} {path}"))?;
        Ok(Answered {
            what: format!("{method} {path}"),
            answer,
        })
    }
}

struct Answered {
    what: String,
    answer: String,
}

impl Answered {
    /// The location of an answer of this status.
    fn expect(self, status: u16) -> Result<String> {
        let found = self.answer.split(' ').nth(1).unwrap_or_default();
        if found != status.to_string() {
            bail!(
                "{}: expected {status}, it answered {}",
                self.what,
                self.answer
            );
        }
        let mut lines = self.answer.lines();
        let location = lines.find_map(|l| {
            let (name, value) = l.split_once(':')?;
            name.eq_ignore_ascii_case("location")
                .then(|| value.trim().to_owned())
        });
        Ok(location.unwrap_or_default())
    }
}

/// What a manifest says of a blob.
#[must_use]
pub fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len() })
}
