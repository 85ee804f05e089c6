//! How requests go out: hyper and rustls, as to clusters, with a deadline for each one and a word for what went wrong.

use std::error::Error as StdError;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, Sleep};

use super::Trouble;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take, besides the time for its bytes.
const ANSWER: Duration = Duration::from_secs(15);
/// The fewest bytes a second: so much longer a request may take for each that it carries.
const SLOWEST: u64 = 1 << 20;
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);
/// The most of an answer that says no, in bytes.
const MAX_REFUSAL: usize = 64 << 10;
/// The most causes of an error that are looked at.
const MAX_CAUSES: usize = 16;

/// Makes clients.
#[derive(Debug)]
pub(super) struct Connector {
    tls: ClientConfig,
}

impl Connector {
    /// Trusts the public authorities, and those of a file.
    ///
    /// # Errors
    /// When the file has no certificate.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Connector, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
        if let Some(path) = ca_file {
            let wrong = |why: String| format!("the certificates in {}: {why}", path.display());
            let given = CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))?;
            let mut some = false;
            for cert in given {
                let cert = cert.map_err(|e| wrong(e.to_string()))?;
                roots.add(cert).map_err(|e| wrong(e.to_string()))?;
                some = true;
            }
            if !some {
                return Err(wrong("there is none; expected a PEM file".to_owned()));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS cannot be set up: {e}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Connector { tls })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = Tcp::new();
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(HttpClient::new(Requests { client }))
    }
}

#[derive(Debug)]
struct Requests {
    client: Client<HttpsConnector<Tcp>, HttpRequestBody>,
}

#[async_trait]
impl HttpService for Requests {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let origin = origin(request.uri());
        let bytes = u64::try_from(request.body().content_length()).unwrap_or(u64::MAX);
        let within = allowed(bytes);
        let silent = || {
            failed(
                HttpErrorKind::Timeout,
                Trouble::Silent {
                    origin: origin.clone(),
                    after: within,
                },
            )
        };
        let deadline = Instant::now() + within;
        let answer = tokio::time::timeout_at(deadline, self.client.request(request)).await;
        let answer = answer.map_err(|_| silent())?;
        let (parts, body) = answer.map_err(|e| unsent(&origin, &e))?.into_parts();
        if parts.status.is_success() {
            let within = allowed(body.size_hint().exact().unwrap_or(0));
            let body = Timely {
                body,
                until: Box::pin(tokio::time::sleep(within)),
                within,
                origin,
            };
            return Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)));
        }
        let text =
            tokio::time::timeout_at(deadline, Limited::new(body, MAX_REFUSAL).collect()).await;
        let text = match text.map_err(|_| silent())? {
            Ok(text) => text.to_bytes(),
            // It says no, whatever else it wanted to say.
            Err(_) => Bytes::new(),
        };
        let trouble = Trouble::refused(
            origin,
            parts.status.as_u16(),
            &String::from_utf8_lossy(&text),
        );
        match is_known(parts.status, trouble.code()) {
            true => Ok(HttpResponse::from_parts(parts, text.into())),
            false => Err(failed(HttpErrorKind::Unknown, trouble)),
        }
    }
}

/// Answers that `object_store` knows what to do about: what is there or is not, and what is worth another try.
fn is_known(status: StatusCode, code: &str) -> bool {
    match status {
        // Anything else that is not found is no word about this object: it is not known to be absent.
        StatusCode::NOT_FOUND => code == "NoSuchKey",
        StatusCode::NOT_MODIFIED
        | StatusCode::PRECONDITION_FAILED
        | StatusCode::CONFLICT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::REQUEST_TIMEOUT => true,
        StatusCode::NOT_IMPLEMENTED => false,
        other => other.is_server_error(),
    }
}

/// How long a request with so many bytes may take.
fn allowed(bytes: u64) -> Duration {
    ANSWER + Duration::from_secs(bytes / SLOWEST)
}

/// The server of a URL, without anything else of it.
fn origin(uri: &Uri) -> String {
    let host = uri.authority().map_or("", |a| a.as_str());
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{}://{host}", uri.scheme_str().unwrap_or("https"))
}

fn failed(kind: HttpErrorKind, trouble: Trouble) -> HttpError {
    HttpError::new(kind, trouble)
}

fn unsent(origin: &str, error: &hyper_util::client::legacy::Error) -> HttpError {
    let (origin, why) = (origin.to_owned(), innermost(error));
    match error.is_connect() {
        true => failed(HttpErrorKind::Connect, Trouble::Unreachable { origin, why }),
        // It may have arrived: only what may be sent twice is sent again.
        false => failed(HttpErrorKind::Interrupted, Trouble::Broken { origin, why }),
    }
}

/// What is at the bottom of an error: the only part that says something to a person.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    for _ in 0..MAX_CAUSES {
        match last.source() {
            Some(cause) => last = cause,
            None => break,
        }
    }
    last.to_string()
}

/// A body that has to come in time.
struct Timely {
    body: Incoming,
    until: Pin<Box<Sleep>>,
    within: Duration,
    origin: String,
}

impl Body for Timely {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let it = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut it.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| {
                frame.map_err(|e| {
                    let trouble = Trouble::Broken {
                        origin: it.origin.clone(),
                        why: innermost(&e),
                    };
                    failed(HttpErrorKind::Interrupted, trouble)
                })
            }));
        }
        if it.until.as_mut().poll(cx).is_ready() {
            let trouble = Trouble::Silent {
                origin: it.origin.clone(),
                after: it.within,
            };
            return Poll::Ready(Some(Err(failed(HttpErrorKind::Timeout, trouble))));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stores_own_word_for_it_means_that_an_object_is_absent() {
        assert!(is_known(StatusCode::NOT_FOUND, "NoSuchKey"));
        for code in ["", "NoSuchBucket", "NoSuchUpload"] {
            assert!(!is_known(StatusCode::NOT_FOUND, code), "{code}");
        }
        assert!(is_known(
            StatusCode::PRECONDITION_FAILED,
            "PreconditionFailed"
        ));
        assert!(!is_known(StatusCode::FORBIDDEN, "AccessDenied"));
        assert!(is_known(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"));
        assert!(!is_known(StatusCode::NOT_IMPLEMENTED, "NotImplemented"));
    }

    #[test]
    fn a_request_may_take_longer_the_more_it_carries() {
        assert_eq!(allowed(0), ANSWER);
        assert_eq!(allowed(10 * SLOWEST), ANSWER + Duration::from_secs(10));
    }

    #[test]
    fn an_origin_has_no_password_and_no_path() {
        let uri = Uri::from_static("http://me:hunter2@s3.example:9000/bucket/key?x=y");
        assert_eq!(origin(&uri), "http://s3.example:9000");
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "no certificate").unwrap();
        let error = Connector::new(Some(&path)).unwrap_err();
        assert!(error.contains("ca.pem"), "{error}");
        assert!(Connector::new(None).is_ok());
    }
}
