//! How TLS is spoken: which authorities are trusted, and which certificate is shown.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::{HttpOptions, bad};
use crate::error::SourceError;
use crate::url::HttpUrl;

/// Which files were read, and as they were: where it differs, they have changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<[i128; 4]>>);

impl Stamp {
    /// Of the files as they are now.
    pub(super) fn of(options: &HttpOptions) -> Stamp {
        let pair = options
            .client_cert
            .iter()
            .flat_map(|(cert, key)| [cert, key]);
        let files = options.ca_file.iter().chain(pair);
        Stamp(
            files
                .map(|file| {
                    let meta = std::fs::metadata(file).ok()?;
                    Some([
                        i128::from(meta.ino()),
                        i128::from(meta.size()),
                        i128::from(meta.mtime()),
                        i128::from(meta.mtime_nsec()),
                    ])
                })
                .collect(),
        )
    }
}

pub(super) fn config(url: &HttpUrl, options: &HttpOptions) -> Result<TlsConfig, SourceError> {
    let mut builder = TlsConfig::builder();
    if let Some(path) = &options.ca_file {
        let own = certificates(url, path)?;
        let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(|der| Certificate::from_der(der).to_owned());
        builder = builder.root_certs(RootCerts::from(own.into_iter().chain(public)));
    }
    if let Some((cert, key)) = &options.client_cert {
        let chain = certificates(url, cert)?;
        let pem = read(key)?;
        let key_der = PrivateKey::from_pem(&pem).map_err(|_| no_pem(url, key, "private key"))?;
        // ureq panics on a key that does not fit its certificate: find out first.
        key_fits(&chain, &pem).ok_or_else(|| {
            bad(
                url,
                format!(
                    "{} is not the key of the certificate in {}",
                    key.display(),
                    cert.display()
                ),
            )
        })?;
        builder = builder.client_cert(Some(ClientCert::new_with_certs(&chain, key_der)));
    }
    Ok(builder.build())
}

fn key_fits(chain: &[Certificate<'static>], key: &[u8]) -> Option<()> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let key = PrivateKeyDer::from_pem_slice(key).ok()?;
    let chain = chain
        .iter()
        .map(|c| CertificateDer::from(c.der().to_vec()))
        .collect();
    let provider = rustls::crypto::ring::default_provider();
    rustls::sign::CertifiedKey::from_der(chain, key, &provider)
        .ok()
        .map(drop)
}

fn certificates(url: &HttpUrl, path: &Path) -> Result<Vec<Certificate<'static>>, SourceError> {
    let pem = read(path)?;
    let mut certs = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(cert) = item.map_err(|_| no_pem(url, path, "certificate"))? {
            certs.push(cert);
        }
    }
    let usable = |cert: &Certificate<'static>| {
        rustls::RootCertStore::empty()
            .add(rustls::pki_types::CertificateDer::from(cert.der().to_vec()))
            .is_ok()
    };
    if certs.is_empty() || !certs.iter().all(usable) {
        Err(no_pem(url, path, "certificate"))
    } else {
        Ok(certs)
    }
}

fn no_pem(url: &HttpUrl, path: &Path, what: &str) -> SourceError {
    bad(
        url,
        format!(
            "{} holds no usable {what}: expected a PEM file",
            path.display()
        ),
    )
}

fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(path).map_err(|e| SourceError::host(format!("reading {}", path.display()), e))
}
