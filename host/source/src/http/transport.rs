//! gix's HTTP seam: requests go through our client, bodies are counted, and the true reason of a failure is kept.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use gix_transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};
use ureq::http::Response;

use super::Client;
use super::guard::{Answer, Guard, Most};
use super::pack::{Known, Refusal};
use crate::error::SourceError;
use crate::fetch::alarm::Alarm;
use crate::object;
use crate::source::{FetchLimits, FetchProgress};

/// How the URL of the first request ends.
pub(crate) const REFS: &str = "/info/refs?service=git-upload-pack";

/// The most that one request of ours says: what we want and have.
const MAX_REQUEST: usize = 16 << 20;

/// What one fetch may take, and what came of it.
pub(crate) struct Exchange<'a> {
    pub(crate) client: &'a Client,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) progress: &'a dyn Fn(FetchProgress),
    /// The end of the whole fetch.
    pub(crate) until: Instant,
    /// Body bytes left over all responses, after decompression.
    pub(crate) left: RefCell<u64>,
    /// The same of all but packs.
    pub(crate) talk: Rc<RefCell<u64>>,
    /// The limits that both began with, and those on a pack.
    pub(crate) limits: FetchLimits,
    /// Rings at the end, too, where no byte is waited for.
    pub(crate) alarm: Alarm,
    /// What is here already, which a pack may build on.
    pub(crate) here: RefCell<Option<gix::Repository>>,
    /// Why the exchange failed: gix's own errors do not tell 401 from a dead server.
    pub(crate) failure: RefCell<Option<SourceError>>,
    /// A pack was taken into the clone, whatever it is worth.
    pub(crate) taken: Cell<bool>,
}

impl Exchange<'_> {
    /// Keeps the reason and gives gix something to fail with.
    fn fail(&self, error: SourceError) -> io::Error {
        let text = error.to_string();
        self.failure.borrow_mut().get_or_insert(error);
        io::Error::other(text)
    }

    fn refused(&self, why: Refusal) -> io::Error {
        let url = self.client.url();
        self.fail(match why {
            Refusal::Limit(which) => SourceError::Limit { url, which },
            Refusal::Said(text) => self
                .client
                .unreachable(format!("the server gave up: {text}")),
            Refusal::Malformed(why) => SourceError::Damaged {
                url,
                why: format!("{why}; the last good state stays, the next fetch clones anew"),
            },
        })
    }

    fn guard(&self, answer: Answer) -> Guard {
        let FetchLimits {
            talk_bytes,
            object_bytes,
            pack,
            ..
        } = self.limits;
        let most = Most {
            talk_bytes,
            object_bytes,
            pack,
        };
        let known = self.here.borrow().clone().map(|repo| -> Known {
            Box::new(move |id| {
                object::is_there(&repo, weir_core::digest::ObjectId::from_bytes(*id))
            })
        });
        Guard::new(answer, self.talk.clone(), most, known)
    }
}

/// The transport of one fetch.
pub(crate) struct GitHttp<'a> {
    exchange: Rc<Exchange<'a>>,
    base: Option<String>,
}

impl<'a> GitHttp<'a> {
    pub(crate) fn new(exchange: Rc<Exchange<'a>>) -> Self {
        GitHttp {
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
        let (last, response) = exchange
            .client
            .get(url, &split(headers), exchange.until)
            .map_err(|e| gix::Error::from_error(exchange.fail(e)))?;
        if last != url {
            self.base = last.strip_suffix(REFS).map(str::to_owned);
        }
        let (headers, body) = open(&self.exchange, response, Answer::Refs);
        Ok(GetResponse {
            headers: Headers::Ready(headers),
            body: Body::Ready(body),
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
            (exchange.progress)(FetchProgress::Waiting);
            let response = exchange
                .client
                .post(&self.url, &self.headers, &self.body, exchange.until)
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
        if exchange.stop.load(Ordering::Relaxed) {
            return Err(exchange.fail(SourceError::Stopped {
                url: exchange.client.url(),
            }));
        }
        let n = self.body.read(buf).map_err(|e| {
            if exchange.stop.load(Ordering::Relaxed) {
                return exchange.fail(SourceError::Stopped {
                    url: exchange.client.url(),
                });
            }
            let why = format!(
                "the answer broke off or stalled: {}",
                crate::error::printable(&e.to_string())
            );
            exchange.fail(exchange.client.unreachable(why))
        })?;
        let mut left = exchange.left.borrow_mut();
        let Some(rest) = left.checked_sub(n as u64) else {
            let limit = exchange.limits.response_bytes;
            let which = format!("response_bytes of {limit} bytes in one fetch");
            return Err(exchange.fail(SourceError::Limit {
                url: exchange.client.url(),
                which,
            }));
        };
        *left = rest;
        self.guard
            .feed(&buf[..n])
            .map_err(|why| exchange.refused(why))?;
        if n > 0 {
            (exchange.progress)(FetchProgress::Receiving {
                bytes: exchange.limits.response_bytes - rest,
            });
        }
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
    Ready(BufReader<Counted<'a>>),
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
                *self = Body::Ready(body);
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
