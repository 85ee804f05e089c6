//! What a process that fetches keeps: its repository's own clone or its own file, what it shows to the server, the way to it, and nothing else.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use weir_confine::{Access, Calls, Limit, Network, Reachable, Resource, Rights};

use super::external::errand::Errand;
use super::{FetcherLimits, own_folder};
use crate::secret::CredentialsFrom;
use crate::source::SourceConfig;
use crate::ssh::command;
use crate::url::RepoUrl;

/// The port that names are looked up at.
const DNS: u16 = 53;
/// What the look-up of names reads, and the libraries that this program and the look-up are linked to.
const SYSTEM: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
];
/// What ssh reads besides: who runs it, and how its cryptography is set up.
const SSH: &[&str] = &[
    "/etc/passwd",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
    "/etc/crypto-policies",
    "/dev/urandom",
];
/// What starts a program that is linked to libraries.
const LOADERS: &[&str] = &[
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-linux-armhf.so.3",
    "/lib/ld-linux-riscv64-lp64d.so.1",
    "/lib64/ld64.so.2",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];

/// The rights of a process that fetches this repository.
pub(super) fn of(config: &SourceConfig, limits: &FetcherLimits) -> Rights {
    let mut files = vec![at(&own_folder(config), Access::Write)];
    files.extend(shown(config).iter().map(|path| at(path, Access::Read)));
    let (calls, port) = match &config.url {
        RepoUrl::Ssh(url) => {
            files.extend(SSH.iter().map(fixed));
            files.push(at(Path::new("/dev/null"), Access::Write));
            let program = command::program(&config.ssh.search).ok();
            let run = LOADERS.iter().map(PathBuf::from).chain(program);
            files.extend(run.map(|path| at(&path, Access::Run)));
            (Calls::ReachAndStart, Some(url.port()))
        }
        RepoUrl::Http(url) => {
            let port = config.http.proxy_port().unwrap_or(url.port());
            (Calls::Reach, Some(port))
        }
        RepoUrl::Local(_) => (Calls::Reach, None),
    };
    outward(files, port.as_slice(), calls, limits)
}

/// The rights of a process that gets this chart or plugin: the one file that it fills, and the ports that it was given.
pub(super) fn of_errand(errand: &Errand, limits: &FetcherLimits) -> Rights {
    let mut files = vec![at(errand.output(), Access::Write)];
    let trusted = errand.authorities();
    files.extend(trusted.iter().map(|path| at(path, Access::Read)));
    outward(files, errand.ports(), Calls::Reach, limits)
}

/// What each of them has besides: the look-up of names, and its limits.
fn outward(
    mut files: Vec<Reachable>,
    ports: &[u16],
    calls: Calls,
    limits: &FetcherLimits,
) -> Rights {
    files.extend(SYSTEM.iter().map(fixed));
    Rights {
        files,
        network: Network {
            // A name server that has much to say says it over TCP.
            tcp: ports.iter().copied().chain([DNS]).collect(),
            udp: vec![DNS],
        },
        calls,
        limits: of_limits(limits),
        dies_with_parent: true,
    }
}

/// The limits of the system among those of a process.
pub(super) fn of_limits(limits: &FetcherLimits) -> Vec<Limit> {
    vec![
        Limit::fixed(Resource::Data, limits.data_bytes),
        Limit::processor_time(limits.cpu_seconds),
        Limit::fixed(Resource::FileSize, limits.file_bytes),
        Limit::fixed(Resource::OpenFiles, limits.open_files),
        Limit::fixed(Resource::CoreDump, 0),
    ]
}

fn at(path: &Path, access: Access) -> Reachable {
    Reachable {
        path: path.to_owned(),
        access,
    }
}

fn fixed(path: &&str) -> Reachable {
    at(Path::new(path), Access::Read)
}

/// The files of what is shown to the server, and what it is known by.
fn shown(config: &SourceConfig) -> Vec<PathBuf> {
    let credentials = match &config.credentials {
        Some(CredentialsFrom::TokenFile(file) | CredentialsFrom::PasswordFile { file, .. }) => {
            Some(file.clone())
        }
        Some(CredentialsFrom::Given(_)) | None => None,
    };
    let pair = config.http.client_cert.clone();
    let mut files: Vec<PathBuf> = credentials.into_iter().collect();
    files.extend(pair.into_iter().flat_map(|(cert, key)| [cert, key]));
    files.extend(config.http.ca_file.clone());
    files.extend(config.ssh.key_file.clone());
    files.extend(config.ssh.known_hosts_file.clone());
    files
}

/// What tells whether one of those files was exchanged.
pub(super) fn stamps(config: &SourceConfig) -> Vec<Option<[i128; 4]>> {
    let stamp = |path: PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        let parts = (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec());
        Some([
            i128::from(parts.0),
            i128::from(parts.1),
            i128::from(parts.2),
            i128::from(parts.3),
        ])
    };
    shown(config).into_iter().map(stamp).collect()
}
