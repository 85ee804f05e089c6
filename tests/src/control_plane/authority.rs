//! A certificate authority of the rig's own: one for the server, one for each client, all verified.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// Signs the certificates of one control plane. Its keys never leave the process.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(super) fn new() -> Result<Authority> {
        let mut params = CertificateParams::new(vec![])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params
            .distinguished_name
            .push(DnType::CommonName, "weir test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)
            .context("making an authority")?;
        Ok(Authority(issuer))
    }

    /// The certificate that clients trust.
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a server on this machine.
    pub(super) fn server(&self) -> Result<Pair> {
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"];
        let params = CertificateParams::new(names.map(str::to_owned).to_vec())?;
        self.sign(
            params,
            "kube-apiserver",
            None,
            ExtendedKeyUsagePurpose::ServerAuth,
        )
    }

    /// For a user: Kubernetes reads the common name as the user and the organisation as a group (rcgen writes one).
    pub(super) fn client(&self, user: &str, group: Option<&str>) -> Result<Pair> {
        let params = CertificateParams::new(vec![])?;
        self.sign(params, user, group, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        name: &str,
        group: Option<&str>,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Pair> {
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        if let Some(group) = group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        let key = KeyPair::generate()?;
        let certificate = params
            .signed_by(&key, &self.0)
            .with_context(|| format!("signing for {name}"))?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

/// The key that signs service accounts' tokens, in `FOLDER/sa.key` and `FOLDER/sa.pub`.
pub(super) fn service_account_key(folder: &Path) -> Result<()> {
    let key = KeyPair::generate()?;
    fs::write(folder.join("sa.key"), key.serialize_pem())?;
    fs::write(folder.join("sa.pub"), key.public_key_pem())?;
    Ok(())
}

/// A kubeconfig that holds all it needs: no other file, nothing of the machine.
pub(super) fn kubeconfig(server: &str, authority: &str, client: &Pair) -> String {
    let encoded = |text: &str| STANDARD.encode(text);
    format!(
        "apiVersion: v1
kind: Config
current-context: weir
clusters:
- name: weir
  cluster:
    server: {server}
    certificate-authority-data: {}
users:
- name: weir
  user:
    client-certificate-data: {}
    client-key-data: {}
contexts:
- name: weir
  context:
    cluster: weir
    user: weir
",
        encoded(authority),
        encoded(&client.certificate),
        encoded(&client.key)
    )
}
