//! Pushing to a registry: blobs first, the manifest last, each to the registry's own host and nowhere else.

use std::collections::BTreeMap;

use ureq::http::{Method, Uri};
use weir_core::digest::Digest;
use weir_core::plugin::PluginReference;

use super::artifact::{Artifact, ArtifactBlob, MANIFEST_TYPE};
use super::error::{About, ExternalError};
use super::oci::{Registry, encoded};
use super::web::{Answer, Show, Web, resolved, shown};
use super::{Externals, Watch};

/// What an upload is, before it is known by its digest.
const BYTES: &str = "application/octet-stream";

/// A plugin that is to be in a registry.
#[derive(Debug, Clone)]
pub struct PluginToPush<'a> {
    /// The component.
    pub component: &'a [u8],
    /// The JSON text about it.
    pub config: &'a [u8],
    /// What the manifest says besides.
    pub annotations: BTreeMap<String, String>,
    /// Whether a tag that names something else may be moved.
    pub force: bool,
}

/// A plugin that is in a registry now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushedPlugin {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Whether the tag named it already, so that nothing was sent.
    pub was_there: bool,
}

/// What is told to a server, at one URL: no redirect of it is followed.
struct Tell<'s> {
    /// HEAD, POST or PUT.
    method: Method,
    url: &'s str,
    show: Show<'s>,
    /// The media type of the body, or of what is asked about.
    media_type: &'s str,
    body: &'s [u8],
}

impl Externals {
    /// Pushes a plugin under a tag. The same plugin has the same digest each time.
    ///
    /// # Errors
    /// All of [`ExternalError`]; `Refused` where the reference has no tag, or the tag names something else and is not to be
    /// moved.
    pub fn push_plugin(
        &self,
        to: &PluginReference,
        plugin: &PluginToPush<'_>,
        watch: Watch<'_>,
    ) -> Result<PushedPlugin, ExternalError> {
        let text = to.to_string();
        let about = About(&text);
        let (Some(tag), None) = (to.tag(), to.digest()) else {
            return Err(about.refused(
                "a plugin is pushed under a tag, and its digest is what comes of that: expected oci://HOST/PATH:TAG",
            ));
        };
        let artifact = Artifact {
            layer: ArtifactBlob::of(plugin.component),
            config: ArtifactBlob::of(plugin.config),
            annotations: plugin.annotations.clone(),
        };
        let bytes = artifact.manifest();
        let manifest = Digest::of(&bytes);
        let web = self.web(about, watch);
        let registry = Registry::new(&web, to.host(), to.path()).for_pushing();
        let there = registry.manifest_bytes(tag)?.map(|b| Digest::of(&b));
        match there {
            Some(there) if there == manifest => {
                return Ok(PushedPlugin {
                    manifest,
                    was_there: true,
                });
            }
            Some(there) if !plugin.force => {
                return Err(about.refused(format!(
                    "the tag names {there} already, and this would be {manifest}: who has seen the one must not get the other; push it under a new tag, or with --force where this tag is meant to move"
                )));
            }
            _ => {}
        }
        for blob in [plugin.config, plugin.component] {
            registry.upload(blob)?;
        }
        registry.put_manifest(tag, MANIFEST_TYPE, &bytes)?;
        Ok(PushedPlugin {
            manifest,
            was_there: false,
        })
    }
}

impl Web<'_> {
    /// Tells a server something. What is told goes to that very URL: a redirect could lead what is uploaded, and what is
    /// shown with it, to somewhere else.
    fn tell(&self, tell: &Tell<'_>) -> Result<Answer, ExternalError> {
        let (uri, origin) = self.parsed(tell.url)?;
        self.policy
            .allows(&origin)
            .map_err(|why| self.about.not_allowed(origin.to_string(), why))?;
        let header = match tell.show {
            Show::Header(value) => Some(value),
            Show::Own | Show::Nothing => None,
        };
        let response = self.send(
            &uri,
            &origin,
            &tell.method,
            (tell.media_type, tell.body),
            header,
        )?;
        let status = response.status().as_u16();
        // A question whether something is there uploads nothing, and goes nowhere.
        if tell.method != Method::HEAD && matches!(status, 301 | 302 | 303 | 307 | 308) {
            let (_, next) = self.redirected(&uri, &origin, &response)?;
            let why = format!(
                "{} redirects ({status}) to {next}, which is not followed for what is uploaded: name the registry's own host",
                shown(&uri)
            );
            return Err(self.about.refused(why));
        }
        let (parts, _) = response.into_parts();
        Ok(Answer {
            status,
            headers: parts.headers,
            body: Vec::new(),
            url: shown(&uri),
            shown: header.is_some(),
            away: None,
        })
    }
}

impl Registry<'_, '_> {
    /// Whether the registry has a blob.
    fn has(&self, blob: ArtifactBlob) -> Result<bool, ExternalError> {
        let url = self.url(&format!("blobs/{}", blob.digest));
        let answer = self.told(&Method::HEAD, &url, BYTES, &[])?;
        match answer.status {
            200 => Ok(true),
            // One that would be sent elsewhere for it may have it; to upload it once more is never wrong.
            301 | 302 | 303 | 307 | 308 | 404 => Ok(false),
            _ => Err(self.refused(&answer)),
        }
    }

    /// Uploads a blob, where it is not there already.
    pub(crate) fn upload(&self, bytes: &[u8]) -> Result<ArtifactBlob, ExternalError> {
        let about = self.web().about;
        let blob = ArtifactBlob::of(bytes);
        if self.has(blob)? {
            return Ok(blob);
        }
        let url = self.url("blobs/uploads/");
        let begun = self.told(&Method::POST, &url, BYTES, &[])?;
        if begun.status != 202 {
            return Err(self.refused(&begun));
        }
        let location = begun.headers.get("location").and_then(|v| v.to_str().ok());
        let location = location.ok_or_else(|| {
            about.unreachable(&begun.url, "it takes an upload and does not say where")
        })?;
        let (from, _): (Uri, _) = self.web().parsed(&url)?;
        let mut at = resolved(&from, location);
        let (_, origin) = self.web().parsed(&at)?;
        if !origin.same(self.origin()) {
            return Err(about.refused(format!(
                "{} wants the upload at another host, {origin}, which is not followed: what is uploaded and who uploads it is for the registry alone",
                self.origin()
            )));
        }
        at.push(if at.contains('?') { '&' } else { '?' });
        at.push_str(&format!("digest={}", encoded(&blob.digest.to_string())));
        let done = self.told(&Method::PUT, &at, BYTES, bytes)?;
        match done.status {
            201 => Ok(blob),
            _ => Err(self.refused(&done)),
        }
    }

    /// Puts a manifest under a tag.
    pub(crate) fn put_manifest(
        &self,
        tag: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, ExternalError> {
        let digest = Digest::of(bytes);
        let url = self.url(&format!("manifests/{tag}"));
        let answer = self.told(&Method::PUT, &url, media_type, bytes)?;
        if answer.status != 201 {
            return Err(self.refused(&answer));
        }
        let said = answer.headers.get("docker-content-digest");
        let said = said.and_then(|v| v.to_str().ok()?.parse::<Digest>().ok());
        match said.filter(|said| *said != digest) {
            None => Ok(digest),
            Some(said) => Err(self.web().about.changed(format!(
                "{} took the manifest {digest} and says that it is {said}: the registry or something on the way is broken",
                self.origin()
            ))),
        }
    }

    fn told(
        &self,
        method: &Method,
        url: &str,
        media_type: &str,
        body: &[u8],
    ) -> Result<Answer, ExternalError> {
        self.shown_what_it_wants(|show| {
            self.web().tell(&Tell {
                method: method.clone(),
                url,
                show,
                media_type,
                body,
            })
        })
    }

    /// What an answer means that is not the one of success.
    fn refused(&self, answer: &Answer) -> ExternalError {
        let about = self.web().about;
        let url = &answer.url;
        match answer.status {
            status @ (401 | 403) => ExternalError::Unauthorized {
                reference: about.0.to_owned(),
                url: url.clone(),
                status,
                hint: match (answer.shown, status) {
                    (false, _) => {
                        "give credentials that may push, under `access` of the file of --externals"
                    }
                    (true, 401) => {
                        "the credentials under `access` are wrong, expired or revoked: give others"
                    }
                    (true, _) => {
                        "the registry does not let the credentials under `access` push: give them access, or give others"
                    }
                },
            },
            404 => about.not_found(format!(
                "{url} is not there (404): check its spelling; some registries want a repository to be made before it is pushed to, and also say so to those who may not push"
            )),
            status @ (400 | 405 | 413) => about.refused(format!(
                "the registry does not take it: {url} answered {status}{}",
                match status {
                    413 => ": it is larger than the registry takes",
                    405 => ": this registry, or this tag of it, is to be read only",
                    _ => "",
                }
            )),
            429 => about.unreachable(url, "it answered 429: too many requests for now"),
            other => about.unreachable(url, format!("it answered {other}")),
        }
    }
}
