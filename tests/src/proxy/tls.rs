//! The proxy's two ends of TLS: a server of the plane's authority, and a client that only trusts it.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::control_plane::{ControlPlane, Pair};

/// Both ends.
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    pub(super) connector: TlsConnector,
    /// Who the server is.
    pub(super) name: ServerName<'static>,
}

impl Tls {
    pub(super) fn of(plane: &ControlPlane) -> Result<Tls> {
        let (server, admin) = plane.certificates()?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&plane.authority_pem())?)?;
        let provider = Arc::new(ring::default_provider());
        let accepting = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate(&server.certificate)?], key(&server)?)?;
        let connecting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate(&admin.certificate)?], key(&admin)?)?;
        Ok(Tls {
            acceptor: TlsAcceptor::from(Arc::new(accepting)),
            connector: TlsConnector::from(Arc::new(connecting)),
            name: ServerName::IpAddress(Ipv4Addr::LOCALHOST.into()),
        })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).context("a certificate")
}

fn key(pair: &Pair) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).context("a key")
}
