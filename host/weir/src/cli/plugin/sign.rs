//! `weir plugin sign` and `weir plugin verify`: a signature over a plugin's manifest, as cosign makes and reads it.

use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use serde_json::json;
use weir_core::plugin::PluginReference;
use weir_source::cosign::{self, KeyError, KeyPassword, SigningKey};
use zeroize::Zeroizing;

use super::registry::{
    asking, keys, manifest, pinned, secret_file, signatures, signed_by, unanswered, watched,
};
use super::{Done, output};
use crate::cli::output::Format;
use crate::config::GlobalArgs;
use crate::error::Error;

/// The variable that cosign, too, takes the password of a key from.
const PASSWORD: &str = "COSIGN_PASSWORD";

/// What `weir plugin sign` takes.
#[derive(Debug, clap::Args)]
pub(super) struct SignArgs {
    /// Which: oci://HOST/PATH@sha256:DIGEST, or with a tag: what it names now
    #[arg(value_name = "REFERENCE")]
    plugin: PluginReference,
    /// The private key: an ECDSA key of P-256 in PEM, as cosign or openssl makes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A file that holds the password of an encrypted key [default: the variable COSIGN_PASSWORD]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// What `weir plugin verify` takes.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// Which: oci://HOST/PATH:TAG, or with @sha256: and a digest at its end
    #[arg(value_name = "REFERENCE")]
    plugin: PluginReference,
    /// A public key in PEM; one of those given has to have signed
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// Signs and puts the signature beside the plugin.
pub(super) async fn sign(global: &GlobalArgs, args: &SignArgs) -> Result<Done, Error> {
    let key = signing_key(args)?;
    let wrong = |e: KeyError| Error::Usage(format!("{}: {e}", args.key.display()));
    let public = key.public().map_err(wrong)?;
    let id = public.id();
    let of = args.plugin.clone();
    let (manifest, added) = asking(global, move |externals, stop| {
        let manifest = manifest(externals, &of, stop)?;
        let repository = of.repository();
        let repository = repository.trim_start_matches("oci://");
        let signed = cosign::sign(&key, repository, manifest);
        let added = watched(&of.to_string(), stop, |w| {
            externals.add_signature(&of, manifest, (&signed, &public), w)
        });
        Ok((manifest, added.map_err(|e| unanswered(&e))?))
    })
    .await?;
    let was = if added.was_there {
        "was signed already"
    } else {
        "signed"
    };
    output::print(&format!(
        "{}: {was} by the key {id}\n",
        pinned(&args.plugin, manifest)
    ))
}

/// Says which of the keys signed, or why none counts.
pub(super) async fn verify(global: &GlobalArgs, args: &VerifyArgs) -> Result<Done, Error> {
    let keys = keys(&args.key)?;
    let of = args.plugin.clone();
    let (manifest, signatures) = asking(global, move |externals, stop| {
        let manifest = manifest(externals, &of, stop)?;
        Ok((manifest, signatures(externals, &of, manifest, stop)?))
    })
    .await?;
    let by = signed_by(&keys, &args.plugin, manifest, &signatures)?;
    let file = args.key.get(by).map(|file| file.display().to_string());
    let id = keys.get(by).map(|key| key.id());
    let reference = pinned(&args.plugin, manifest);
    match args.output {
        Format::Text => output::print(&format!(
            "{reference}: signed by {}\n",
            file.unwrap_or_default()
        )),
        format => output::print_value(
            format,
            &json!({
                "reference": reference,
                "manifest": manifest,
                "key": file,
                "keyId": id,
                "signatures": signatures.len(),
            }),
        ),
    }
}

fn signing_key(args: &SignArgs) -> Result<SigningKey, Error> {
    let text = secret_file("key", &args.key)?;
    let password = match (&args.password_file, std::env::var_os(PASSWORD)) {
        (Some(file), _) => Some(KeyPassword::of_file(secret_file("password", file)?)),
        // As it is: cosign takes nothing away from it either.
        (None, Some(value)) => Some(KeyPassword::new(Zeroizing::new(value.into_vec()))),
        (None, None) => None,
    };
    SigningKey::from_pem(&text, password.as_ref())
        .map_err(|e| Error::Usage(format!("{}: {e}", args.key.display())))
}
