//! gix's HTTP seam: requests go through our client, bodies are counted, and the true reason of a failure is kept.

use std::any::Any;
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::rc::Rc;

use gix_transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};
use ureq::http::Response;

use super::Client;
use super::guard::{Answer, Guard};
use crate::error::printable;
use crate::exchange::Exchange;

/// How the URL of the first request ends.
pub(crate) const REFS: &str = "/info/refs?service=git-upload-pack";
/// Its query.
pub(crate) const QUERY: &str = "service=git-upload-pack";

/// The most that one request of ours says: what we want and have.
const MAX_REQUEST: usize = 16 << 20;

/// The transport of one fetch.
pub(crate) struct GitHttp<'a> {
    client: &'a Client,
    exchange: Rc<Exchange<'a>>,
    base: Option<String>,
}

impl<'a> GitHttp<'a> {
    pub(crate) fn new(client: &'a Client, exchange: Rc<Exchange<'a>>) -> Self {
        GitHttp {
            client,
            exchange,
            base: None,
        }
    }
}

fn split(headers: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<(String, String)> {
    let pair = |h: &str| {
        h.split_once(':')
            .map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned()))
    };
    headers
        .into_iter()
        .filter_map(|h| pair(h.as_ref()))
        .collect()
}

impl<'a> Http for GitHttp<'a> {
    type Headers = Headers<'a>;
    type ResponseBody = Body<'a>;
    type PostBody = PostBody<'a>;

    fn get(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Headers<'a>, Body<'a>>> {
        let exchange = &self.exchange;
        let (last, response) = self
            .client
            .get(url, &split(headers), exchange.until())
            .map_err(|e| gix::Error::from_error(exchange.fail(e)))?;
        if last != url {
            self.base = last.strip_suffix(REFS).map(str::to_owned);
        }
        let (headers, body) = open(&self.exchange, response, Answer::Refs);
        Ok(GetResponse {
            headers: Headers::Ready(headers),
            body: Body::Ready(Box::new(body)),
        })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Headers<'a>, Body<'a>, PostBody<'a>>> {
        let pending = Rc::new(RefCell::new(Pending {
            client: self.client,
            exchange: self.exchange.clone(),
            url: url.to_owned(),
            headers: split(headers),
            body: Vec::new(),
            response: None,
            sent: false,
        }));
        Ok(PostResponse {
            post_body: PostBody(pending.clone()),
            headers: Headers::Waiting(pending.clone()),
            body: Body::Waiting(pending),
        })
    }

    /// Options come from our own configuration, not from Git's.
    fn configure(&mut self, _config: &dyn Any) -> gix::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.base.clone()
    }
}

/// A POST that is sent when its answer is first read.
pub(crate) struct Pending<'a> {
    client: &'a Client,
    exchange: Rc<Exchange<'a>>,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    response: Option<(Cursor<Vec<u8>>, BufReader<Counted<'a>>)>,
    sent: bool,
}

impl<'a> Pending<'a> {
    fn response(&mut self) -> io::Result<&mut (Cursor<Vec<u8>>, BufReader<Counted<'a>>)> {
        if !self.sent {
            self.sent = true;
            let exchange = &self.exchange;
            exchange.waits();
            let response = self
                .client
                .post(&self.url, &self.headers, &self.body, exchange.until())
                .map_err(|e| exchange.fail(e))?;
            self.response = Some(open(exchange, response, Answer::to(&self.body)));
        }
        self.response
            .as_mut()
            .ok_or_else(|| io::Error::other("the request has failed before"))
    }
}

fn open<'a>(
    exchange: &Rc<Exchange<'a>>,
    response: Response<ureq::Body>,
    answer: Answer,
) -> (Cursor<Vec<u8>>, BufReader<Counted<'a>>) {
    let (parts, body) = response.into_parts();
    let mut headers = Vec::new();
    for (name, value) in &parts.headers {
        headers.extend_from_slice(name.as_str().as_bytes());
        headers.extend_from_slice(b": ");
        headers.extend(
            value
                .as_bytes()
                .iter()
                .map(|b| if b.is_ascii() { *b } else { b'?' }),
        );
        headers.push(b'\n');
    }
    let reader = Counted {
        exchange: exchange.clone(),
        body: body.into_reader(),
        guard: exchange.guard(answer),
    };
    (
        Cursor::new(headers),
        BufReader::with_capacity(64 << 10, reader),
    )
}

/// A response body under the byte limit and the stop flag, with all that is in it checked.
pub(crate) struct Counted<'a> {
    exchange: Rc<Exchange<'a>>,
    body: ureq::BodyReader<'static>,
    guard: Guard,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let exchange = &self.exchange;
        if exchange.is_stopped() {
            return Err(exchange.fail(exchange.stopped()));
        }
        let n = self.body.read(buf).map_err(|e| {
            if exchange.is_stopped() {
                return exchange.fail(exchange.stopped());
            }
            let why = printable(&e.to_string());
            let why = format!("the answer broke off or stalled: {why}");
            exchange.fail(exchange.unreachable(why))
        })?;
        exchange.count(n)?;
        self.guard
            .feed(&buf[..n])
            .map_err(|why| exchange.refused(why))?;
        Ok(n)
    }
}

/// The lines of a response's headers.
pub(crate) enum Headers<'a> {
    Ready(Cursor<Vec<u8>>),
    Waiting(Rc<RefCell<Pending<'a>>>),
}

impl Headers<'_> {
    fn ready(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if let Headers::Waiting(pending) = self {
            let headers = std::mem::take(&mut pending.borrow_mut().response()?.0);
            *self = Headers::Ready(headers);
        }
        match self {
            Headers::Ready(cursor) => Ok(cursor),
            Headers::Waiting(_) => Err(io::Error::other("no response")),
        }
    }
}

impl Read for Headers<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.ready()?.read(buf)
    }
}

impl BufRead for Headers<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.ready()?.fill_buf()
    }
    fn consume(&mut self, amount: usize) {
        if let Headers::Ready(cursor) = self {
            cursor.consume(amount);
        }
    }
}

/// A response's body.
pub(crate) enum Body<'a> {
    Ready(Box<BufReader<Counted<'a>>>),
    Waiting(Rc<RefCell<Pending<'a>>>),
}

impl<'a> Body<'a> {
    fn ready(&mut self) -> io::Result<&mut BufReader<Counted<'a>>> {
        if let Body::Waiting(pending) = self {
            let body = {
                let mut pending = pending.borrow_mut();
                pending.response()?;
                pending.response.take()
            };
            if let Some((_, body)) = body {
                *self = Body::Ready(Box::new(body));
            }
        }
        match self {
            Body::Ready(reader) => Ok(reader),
            Body::Waiting(_) => Err(io::Error::other("no response")),
        }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.ready()?.read(buf)
    }
}

impl BufRead for Body<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.ready()?.fill_buf()
    }
    fn consume(&mut self, amount: usize) {
        if let Body::Ready(reader) = self {
            reader.consume(amount);
        }
    }
}

/// Collects what is posted.
pub(crate) struct PostBody<'a>(Rc<RefCell<Pending<'a>>>);

impl Write for PostBody<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut pending = self.0.borrow_mut();
        if pending.body.len() + buf.len() > MAX_REQUEST {
            return Err(io::Error::other("the request is larger than 16 MiB"));
        }
        pending.body.extend_from_slice(buf);
        Ok(buf.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
