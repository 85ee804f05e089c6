//! https with an authority of one's own, and certificates for clients.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::git::{Repo, config, fetch, open};
use super::server::{Server, backend};
use crate::{HttpOptions, RefChange, Source, SourceConfig, SourceError};

/// A repository behind https, all certificates from one authority.
pub(super) struct Rig {
    pub(super) repo: Repo,
    pub(super) server: Server,
    authority: Authority,
}

pub(super) fn rig(wants_client: bool) -> Rig {
    rig_with(wants_client, |params, key, authority| {
        params.signed_by(key, authority).unwrap()
    })
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// The same with a certificate for `localhost` that is made otherwise.
fn rig_with(
    wants_client: bool,
    make: impl FnOnce(CertificateParams, &KeyPair, &Authority) -> Certificate,
) -> Rig {
    let authority = authority();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    let cert = make(params, &key, &authority);
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let tls = builder
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let repo = Repo::with(&[("a", "1")]);
    let root = repo.path().to_owned();
    let server = Server::start(Some(Arc::new(tls)), move |request| backend(&root, request));
    Rig {
        repo,
        server,
        authority,
    }
}

impl Rig {
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.repo.path().join(".git").join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn ca_file(&self) -> Option<PathBuf> {
        Some(self.file("ca.pem", &self.authority.pem()))
    }

    fn client(&self) -> (PathBuf, PathBuf) {
        self.client_of(&self.authority)
    }

    fn client_of(&self, authority: &Authority) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec!["weir".into()])
            .unwrap()
            .signed_by(&key, authority)
            .unwrap();
        (
            self.file("client.pem", &cert.pem()),
            self.file("client.key", &key.serialize_pem()),
        )
    }

    fn fetch(&self, http: HttpOptions) -> Result<RefChange, SourceError> {
        fetch(&self.source(http)?).map(|f| f.change)
    }

    fn source(&self, http: HttpOptions) -> Result<Source, SourceError> {
        open(self.config(http))
    }

    pub(super) fn config(&self, http: HttpOptions) -> SourceConfig {
        let url = format!("https://localhost:{}/.git", self.server.address.port());
        SourceConfig {
            http,
            ..config(&url, "main", &self.repo.path().join(".git/cache"))
        }
    }

    /// A source that trusts the server.
    pub(super) fn trusting(&self) -> Source {
        let ca_file = self.ca_file();
        self.source(HttpOptions {
            ca_file,
            ..HttpOptions::host()
        })
        .unwrap()
    }
}

#[test]
fn a_server_of_ones_own_authority_is_trusted_only_when_told_to() {
    let rig = rig(false);
    assert_eq!(
        rig.fetch(HttpOptions {
            ca_file: rig.ca_file(),
            ..HttpOptions::host()
        })
        .unwrap(),
        RefChange::First
    );
    let error = rig.fetch(HttpOptions::host()).unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn a_client_certificate_is_shown() {
    let rig = rig(true);
    let with = |client_cert| HttpOptions {
        ca_file: rig.ca_file(),
        client_cert,
        ..HttpOptions::host()
    };
    assert!(matches!(
        rig.fetch(with(None)),
        Err(SourceError::Unreachable { .. })
    ));
    assert_eq!(
        rig.fetch(with(Some(rig.client()))).unwrap(),
        RefChange::First
    );
}

#[test]
fn certificate_files_that_cannot_be_used_are_named() {
    let rig = rig(false);
    let garbage = rig.file(
        "garbage.pem",
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
    );
    let empty = rig.file("empty.pem", "");
    let (cert, key) = rig.client();
    let other_key = rig.file("other.key", &KeyPair::generate().unwrap().serialize_pem());
    let host = HttpOptions::host;
    for (http, named) in [
        (
            HttpOptions {
                ca_file: Some(garbage.clone()),
                ..host()
            },
            "garbage.pem",
        ),
        (
            HttpOptions {
                ca_file: Some(empty.clone()),
                ..host()
            },
            "empty.pem",
        ),
        (
            HttpOptions {
                ca_file: Some("/nope.pem".into()),
                ..host()
            },
            "/nope.pem",
        ),
        (
            HttpOptions {
                client_cert: Some((cert.clone(), empty)),
                ..host()
            },
            "empty.pem",
        ),
        (
            HttpOptions {
                client_cert: Some((cert, other_key)),
                ..host()
            },
            "other.key",
        ),
        (
            HttpOptions {
                client_cert: Some((garbage, key)),
                ..host()
            },
            "garbage.pem",
        ),
    ] {
        let error = rig.fetch(http).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
}

/// What a host that trusts the rig's authority says of a server.
fn distrusted(rig: &Rig) -> String {
    let error = rig
        .fetch(HttpOptions {
            ca_file: rig.ca_file(),
            ..HttpOptions::host()
        })
        .unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert!(rig.server.take_seen().is_empty(), "nothing was sent");
    error.to_string()
}

fn says(error: &str, word: &str) {
    assert!(error.contains(word), "{word}: {error}");
}

#[test]
fn a_certificate_that_is_of_another_name_expired_not_yet_valid_or_signed_by_nobody_is_refused() {
    let other_name = rig_with(false, |_, key, authority| {
        let params = CertificateParams::new(vec!["other.example".into()]).unwrap();
        params.signed_by(key, authority).unwrap()
    });
    says(&distrusted(&other_name), "not valid for name");
    let expired = rig_with(false, |mut params, key, authority| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        params.signed_by(key, authority).unwrap()
    });
    says(&distrusted(&expired), "xpired");
    let early = rig_with(false, |mut params, key, authority| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
        params.signed_by(key, authority).unwrap()
    });
    says(&distrusted(&early), "not valid yet");
    let by_itself = rig_with(false, |params, key, _| params.self_signed(key).unwrap());
    says(&distrusted(&by_itself), "certificate");
    let by_another = rig_with(false, |params, key, _| {
        params.signed_by(key, &authority()).unwrap()
    });
    says(&distrusted(&by_another), "invalid peer certificate");
}

#[test]
fn a_client_certificate_of_another_authority_is_no_way_in() {
    let rig = rig(true);
    let error = rig
        .fetch(HttpOptions {
            ca_file: rig.ca_file(),
            client_cert: Some(rig.client_of(&authority())),
            ..HttpOptions::host()
        })
        .unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert!(rig.server.take_seen().is_empty());
}

#[test]
fn certificates_that_are_renewed_on_disk_are_used_by_the_same_source() {
    let rig = rig(true);
    let stranger = authority();
    let ca_file = rig.file("renewed-ca.pem", &stranger.pem());
    let (cert, key) = rig.client_of(&stranger);
    let source = rig
        .source(HttpOptions {
            ca_file: Some(ca_file),
            client_cert: Some((cert, key)),
            ..HttpOptions::host()
        })
        .unwrap();
    assert!(fetch(&source).is_err());
    rig.file("renewed-ca.pem", &rig.authority.pem());
    assert!(
        fetch(&source).is_err(),
        "the server is trusted, and does not let us in"
    );
    rig.client();
    assert_eq!(fetch(&source).unwrap().change, RefChange::First);
    rig.file("client.key", "half a key");
    let error = fetch(&source).unwrap_err();
    assert!(error.to_string().contains("client.key"), "{error}");
    rig.client();
    fetch(&source).unwrap();
}
