//! A forge as far as its webhooks go: deliveries as each forge signs them, and what is answered.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::weir::PATIENCE;

/// What a push looks like; nobody reads it.
pub const BODY: &str = r#"{"ref":"refs/heads/main","repository":{"full_name":"team/shop"}}"#;

/// A delivery that can be changed before it is sent.
#[derive(Debug, Clone)]
pub struct Delivery {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What it is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, as they came, but for the date.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Delivery {
    /// Of a push, as GitHub sends it.
    ///
    /// # Errors
    /// Never: a key may have any length.
    pub fn github(secret: &str, id: &str) -> Result<Delivery> {
        let tag = hex::encode(mac(secret.as_bytes(), BODY.as_bytes())?);
        Ok(Delivery::of(BODY)
            .with("X-GitHub-Event", "push")
            .with("X-GitHub-Delivery", id)
            .with("X-Hub-Signature-256", &format!("sha256={tag}")))
    }

    /// Of a push, as Gitea and Forgejo send it.
    ///
    /// # Errors
    /// Never: a key may have any length.
    pub fn gitea(secret: &str, id: &str) -> Result<Delivery> {
        let tag = hex::encode(mac(secret.as_bytes(), BODY.as_bytes())?);
        let mut all = Delivery::of(BODY);
        for prefix in ["X-Gitea", "X-Forgejo", "X-Gogs"] {
            all = all
                .with(&format!("{prefix}-Event"), "push")
                .with(&format!("{prefix}-Delivery"), id)
                .with(&format!("{prefix}-Signature"), &tag);
        }
        Ok(all.with("X-Hub-Signature-256", &format!("sha256={tag}")))
    }

    /// Of a push, as GitLab sends it with a secret token.
    #[must_use]
    pub fn gitlab(token: &str, id: &str) -> Delivery {
        Delivery::of(BODY)
            .with("X-Gitlab-Event", "Push Hook")
            .with("Idempotency-Key", id)
            .with("X-Gitlab-Token", token)
    }

    /// Signed as Standard Webhooks says, so many seconds from now.
    ///
    /// # Errors
    /// The secret is no signing token.
    pub fn standard(secret: &str, id: &str, from_now: i64) -> Result<Delivery> {
        let key = match secret.strip_prefix("whsec_") {
            Some(text) => STANDARD.decode(text)?,
            None => secret.as_bytes().to_vec(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let time = i64::try_from(now)? + from_now;
        let tag = mac(&key, format!("{id}.{time}.{BODY}").as_bytes())?;
        Ok(Delivery::of(BODY)
            .with("webhook-id", id)
            .with("webhook-timestamp", &time.to_string())
            .with("webhook-signature", &format!("v1,{}", STANDARD.encode(tag))))
    }

    /// A body that nobody signed.
    #[must_use]
    pub fn of(body: &str) -> Delivery {
        Delivery {
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Delivery {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With another value of a header.
    #[must_use]
    pub fn changed(mut self, name: &str, change: impl Fn(&str) -> String) -> Delivery {
        for (known, value) in &mut self.headers {
            if known == name {
                *value = change(value);
            }
        }
        self
    }

    /// With another body, which is not what was signed.
    #[must_use]
    pub fn saying(mut self, body: &str) -> Delivery {
        self.body = body.into();
        self
    }

    /// Sends it for a repository of the host that listens there.
    ///
    /// # Errors
    /// Nobody listens, or the answer is not HTTP.
    pub fn send(&self, address: &str, repository: &str) -> Result<Answer> {
        let mut request = format!(
            "POST /hooks/v1/{repository} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.body.len()
        );
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        exchange(address, &[request.as_bytes(), &self.body].concat())
    }
}

/// Sends these bytes over a connection of their own, and reads one answer to its end.
///
/// # Errors
/// Nobody listens, or the answer is not HTTP.
pub fn exchange(address: &str, bytes: &[u8]) -> Result<Answer> {
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // A server may answer, and hang up, before it has taken all of it.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    // A reset after the answer says only that not all was read.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer)?;
    let parts = answer.split_once("\r\n\r\n");
    let (head, body) = parts.with_context(|| format!("an answer without headers: {answer:?}"))?;
    let status = head
        .split(' ')
        .nth(1)
        .context("an answer without a status")?;
    let lines = head.lines().filter(|line| !line.starts_with("date:"));
    Ok(Answer {
        status: status.parse().context("a status")?,
        head: lines.collect::<Vec<_>>().join("\n"),
        body: body.to_owned(),
    })
}

fn mac(key: &[u8], text: &[u8]) -> Result<Vec<u8>> {
    let mac = Hmac::<Sha256>::new_from_slice(key).ok().context("a key")?;
    Ok(mac.chain_update(text).finalize().into_bytes().to_vec())
}
