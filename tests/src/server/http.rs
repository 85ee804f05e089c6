//! As much HTTP/1.1 as a Git client speaks: one request and one answer for each connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Auth;

/// More than any request of a test; a larger one is a bug in the client under test.
const MAX_BODY: u64 = 64 * 1024 * 1024;
/// More than any head of a test.
const MAX_HEAD: u64 = 64 * 1024;

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What follows the question mark; empty without one.
    pub query: String,
    /// Names in lower case, and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, dechunked.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value; the name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Path and query together, as requested.
    #[must_use]
    pub fn target(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        }
    }

    /// Whether the credentials sent are the ones asked for.
    #[must_use]
    pub fn satisfies(&self, auth: &Auth) -> bool {
        let sent = self.header("authorization");
        let basic = || {
            let bytes = STANDARD.decode(sent?.strip_prefix("Basic ")?).ok()?;
            let text = String::from_utf8(bytes).ok()?;
            let (user, password) = text.split_once(':')?;
            Some((user.to_owned(), password.to_owned()))
        };
        match auth {
            Auth::Open => true,
            Auth::Token(token) => {
                sent.and_then(|value| value.strip_prefix("Bearer ")) == Some(token)
                    || basic().is_some_and(|(_, password)| password == *token)
            }
            Auth::Basic { user, password } => {
                basic().is_some_and(|pair| pair == (user.clone(), password.clone()))
            }
        }
    }
}

/// Reads one request; `None` where the client hung up before sending one.
pub(crate) fn read(stream: &TcpStream) -> Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let mut head = reader.by_ref().take(MAX_HEAD);
    let first = line(&mut head)?;
    if first.is_empty() {
        return Ok(None);
    }
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        bail!("`{first}` is no request line")
    };
    let mut headers = Vec::new();
    loop {
        let text = line(&mut head)?;
        let Some((name, value)) = text.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
    };
    if request.header("expect").is_some() {
        let mut writer = stream;
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = body(&mut reader, &request)?;
    Ok(Some(request))
}

/// Writes one answer whose length is promised in full, but at most `limit` bytes of its body.
pub(crate) fn write(
    stream: &TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
    limit: usize,
) -> Result<()> {
    let mut head = format!(
        "HTTP/1.1 {status} Rig\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut writer = stream;
    writer.write_all(head.as_bytes())?;
    writer.write_all(&body[..body.len().min(limit)])?;
    writer.flush().context("answering")
}

/// Writes an answer without a length, and more of the same until the client goes away.
pub(crate) fn write_endless(
    stream: &TcpStream,
    headers: &[(String, String)],
    body: &[u8],
    again: &[u8],
) -> Result<()> {
    let mut head = "HTTP/1.1 200 Rig\r\nConnection: close\r\n".to_owned();
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut writer = stream;
    writer.write_all(head.as_bytes())?;
    writer.write_all(body)?;
    loop {
        writer.write_all(again)?;
    }
}

fn body(reader: &mut impl BufRead, request: &Request) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if request
        .header("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        loop {
            let size = line(reader)?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
                .context("a chunk's size")?;
            if body.len() as u64 + size > MAX_BODY {
                bail!("a request of more than {MAX_BODY} bytes");
            }
            reader.by_ref().take(size).read_to_end(&mut body)?;
            line(reader)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length: u64 = request
        .header("content-length")
        .unwrap_or("0")
        .parse()
        .context("Content-Length")?;
    if length > MAX_BODY {
        bail!("a request of more than {MAX_BODY} bytes");
    }
    reader.by_ref().take(length).read_to_end(&mut body)?;
    Ok(body)
}

fn line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
