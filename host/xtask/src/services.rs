//! Programs of others that the tests run: the real `distribution`, `versitygw`, `sops`, `age-keygen`, `cosign` and `oras`, each
//! built once from Go modules into the cache.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::run::{Run, program};
use crate::tools;

const GOFLAGS: &str = "-mod=readonly -buildvcs=false -trimpath";

/// One program.
pub(crate) struct Service {
    /// What it is called here: its folder of the cache, and its link in `target`.
    name: &'static str,
    package: &'static str,
    /// The folder with the module that pins it.
    module: &'static str,
    /// Names a program that a person has already.
    pub(crate) variable: &'static str,
}

/// An OCI registry.
pub(crate) const REGISTRY: Service = Service {
    name: "registry",
    package: "github.com/distribution/distribution/v3/cmd/registry",
    module: "tests/registry",
    variable: "WEIR_REGISTRY",
};

/// An S3-compatible store.
pub(crate) const S3: Service = Service {
    name: "versitygw",
    package: "github.com/versity/versitygw/cmd/versitygw",
    module: "tests/s3",
    variable: "WEIR_S3",
};

/// What encrypts files.
pub(crate) const SOPS: Service = Service {
    name: "sops",
    package: "github.com/getsops/sops/v3/cmd/sops",
    module: "tests/sops",
    variable: "WEIR_SOPS",
};

/// What makes keys for it.
pub(crate) const AGE_KEYGEN: Service = Service {
    name: "age-keygen",
    package: "filippo.io/age/cmd/age-keygen",
    module: "tests/sops",
    variable: "WEIR_AGE_KEYGEN",
};

/// What signs and verifies what lies in registries.
pub(crate) const COSIGN: Service = Service {
    name: "cosign",
    package: "github.com/sigstore/cosign/v3/cmd/cosign",
    module: "tests/oci-tools",
    variable: "WEIR_COSIGN",
};

/// What pushes to registries and pulls from them.
pub(crate) const ORAS: Service = Service {
    name: "oras",
    package: "oras.land/oras/cmd/oras",
    module: "tests/oci-tools",
    variable: "WEIR_ORAS",
};

impl Service {
    /// The program, built where these versions are not in the cache. `target/NAME` is a link to it.
    ///
    /// # Errors
    /// Go is missing, or it does not build.
    pub(crate) fn build(&self, root: &Path) -> Result<PathBuf> {
        let variable = self.variable;
        let made = match std::env::var_os(variable) {
            Some(path) => fs::canonicalize(&path)
                .with_context(|| format!("{} ({variable})", Path::new(&path).display()))?,
            None => self.cached(root)?,
        };
        link(root, self.name, &made)?;
        Ok(made)
    }

    fn cached(&self, root: &Path) -> Result<PathBuf> {
        tools::go(root)?;
        let module = root.join(self.module);
        let mut digest = Sha256::new();
        for file in ["go.mod", "go.sum"] {
            digest.update(fs::read(module.join(file)).with_context(|| format!("reading {file}"))?);
        }
        digest.update(self.go(root).arg("version").output()?);
        digest.update(GOFLAGS);
        let mut key = String::new();
        for byte in &digest.finalize()[..8] {
            write!(key, "{byte:02x}")?;
        }
        let all = tools::cache()?.join(self.name);
        let folder = all.join(key);
        let made = folder.join(self.name);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        // Held by whoever builds, and let go of when that process ends in any way.
        let lock = File::create(all.join("lock"))?;
        lock.lock().context("waiting for the cache's lock")?;
        if !made.is_file() {
            println!(
                "building {} for the tests, once (minutes on 2 cores)",
                self.name
            );
            let half = folder.join("half");
            self.go(root)
                .args(["build", "-ldflags", "-s -w", "-o"])
                .arg(&half)
                .arg(self.package)
                .run()?;
            fs::rename(&half, &made).with_context(|| format!("making {}", made.display()))?;
        }
        if !made.is_file() {
            bail!("{} was not made", made.display());
        }
        Ok(made)
    }

    /// Go in the module, with nothing of the user's settings in what it builds.
    fn go(&self, root: &Path) -> Run {
        program("go", &root.join(self.module))
            .env("GOFLAGS", GOFLAGS)
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
    }
}

/// Where the suites look for a program without a variable.
///
/// # Errors
/// The link cannot be made.
pub(crate) fn link(root: &Path, name: &str, made: &Path) -> Result<()> {
    let link = root.join("target").join(name);
    fs::create_dir_all(root.join("target"))?;
    if fs::read_link(&link).is_ok_and(|to| to == made) {
        return Ok(());
    }
    let new = root.join(format!("target/{name}.{}", std::process::id()));
    symlink(made, &new)?;
    fs::rename(&new, &link).with_context(|| format!("making {}", link.display()))
}
