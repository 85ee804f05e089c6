//! The OCI distribution API, as far as pulling needs it: tags, manifests and blobs, each checked against its digest.

use std::cell::RefCell;

use serde::Deserialize;
use ureq::http::Uri;
use weir_core::digest::Digest;
use weir_core::external::HostPort;

use super::error::ExternalError;
use super::policy::Origin;
use super::web::{Answer, Ask, Show, Sink, Web, resolved};
use crate::error::printable;

mod token;

pub(crate) use token::Realm;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One repository of a registry. What it holds is for the caller to say: charts, plugins.
pub(crate) struct Registry<'w, 'a> {
    web: &'w Web<'a>,
    origin: Origin,
    name: &'w str,
    /// What a token is asked for.
    actions: &'static str,
    /// The header that the registry wanted.
    header: RefCell<Option<String>>,
}

/// A manifest: what one thing in a registry is made of.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    #[serde(default)]
    media_type: String,
    pub(crate) config: Option<Descriptor>,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
}

/// A blob, by its digest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

#[derive(Debug, Deserialize)]
struct Tags {
    // A registry answers null for a repository whose tags are all gone.
    tags: Option<Vec<String>>,
}

impl<'w, 'a> Registry<'w, 'a> {
    /// Plain http is spoken on this machine only.
    pub(crate) fn new(web: &'w Web<'a>, host: &HostPort, name: &'w str) -> Registry<'w, 'a> {
        let given = web.held().and_then(|held| held.header());
        Registry {
            web,
            origin: Origin::of_registry(host),
            name,
            actions: "pull",
            header: RefCell::new(given),
        }
    }

    /// The same, to push to.
    #[must_use]
    pub(crate) fn for_pushing(self) -> Registry<'w, 'a> {
        Registry {
            actions: "pull,push",
            ..self
        }
    }

    /// The client of the fetch under way.
    pub(crate) fn web(&self) -> &'w Web<'a> {
        self.web
    }

    /// The registry's own scheme, host and port: nothing is uploaded elsewhere.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where it is, for error texts.
    pub(crate) fn shown(&self) -> String {
        format!("{}/{}", self.origin.host, self.name)
    }

    /// All tags, in no order.
    pub(crate) fn tags(&self) -> Result<Vec<String>, ExternalError> {
        let (about, limits) = (self.web.about, self.web.limits);
        let mut url = self.url("tags/list?n=1000");
        let mut tags: Vec<String> = Vec::new();
        for _ in 0..limits.tag_pages {
            let answer = self.get(&url, "application/json", limits.tags_bytes, "tags_bytes")?;
            if answer.status == 404 {
                return Err(about.not_found(format!(
                    "{} has no repository {:?}: check its spelling (some registries also say so to those who may not see it)",
                    self.origin.host, self.name
                )));
            }
            self.web.accept(&answer)?;
            let page: Tags = self.json(&answer)?;
            tags.extend(page.tags.unwrap_or_default());
            if tags.len() > limits.tags {
                let most = limits.tags;
                return Err(about.limit(
                    "tags",
                    format!(
                        "{} has more than {most} tags: give an exact version",
                        self.shown()
                    ),
                ));
            }
            match self.next(&url, &answer)? {
                Some(next) => url = next,
                None => return Ok(tags),
            }
        }
        let most = limits.tag_pages;
        Err(about.limit(
            "tag_pages",
            format!(
                "the tags of {} have more than {most} pages: give an exact version",
                self.shown()
            ),
        ))
    }

    /// The bytes of a manifest, by tag or digest; `None` where there is no such thing. What has a digest in its name is held
    /// against it.
    pub(crate) fn manifest_bytes(&self, tag: &str) -> Result<Option<Vec<u8>>, ExternalError> {
        let about = self.web.about;
        // Whatever is there is an answer: who would be told of no other kind could take its name.
        let accept = format!("{MANIFEST}, {DOCKER_MANIFEST}, {INDEX}, {DOCKER_LIST}, */*");
        let url = self.url(&format!("manifests/{tag}"));
        let answer = self.get(
            &url,
            &accept,
            self.web.limits.manifest_bytes,
            "manifest_bytes",
        )?;
        if answer.status == 404 {
            return Ok(None);
        }
        self.web.accept(&answer)?;
        let said = answer.headers.get("docker-content-digest");
        let said = said
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse::<Digest>().ok());
        let found = Digest::of(&answer.body);
        if let Some(said) = said.filter(|said| *said != found) {
            return Err(about.changed(format!(
                "{} sends a manifest for {tag} that is not the one of its own digest {said}: the registry or something on the way is broken",
                self.origin
            )));
        }
        if tag.parse().is_ok_and(|asked: Digest| asked != found) {
            return Err(about.changed(format!(
                "{} sends other bytes ({found}) for the manifest {tag}: the registry or something on the way is broken or hostile",
                self.origin
            )));
        }
        Ok(Some(answer.body))
    }

    /// The manifest of a tag; `None` where there is no such tag.
    pub(crate) fn manifest(&self, tag: &str) -> Result<Option<Manifest>, ExternalError> {
        let about = self.web.about;
        let Some(bytes) = self.manifest_bytes(tag)? else {
            return Ok(None);
        };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| {
            let (place, why) = (self.shown(), printable(&e.to_string()));
            about.refused(format!(
                "{place}:{tag} is not what a registry answers: {why}"
            ))
        })?;
        if manifest.config.is_none() || manifest.media_type == INDEX {
            return Err(about.refused(format!(
                "{}:{tag} is a list of images, not one thing: expected a manifest with a config",
                self.shown()
            )));
        }
        Ok(Some(manifest))
    }

    /// A blob, which hashes to its digest.
    pub(crate) fn blob(
        &self,
        digest: Digest,
        size: u64,
        limit: &'static str,
        most: u64,
    ) -> Result<Vec<u8>, ExternalError> {
        let about = self.web.about;
        if size > most {
            return Err(about.limit(
                limit,
                format!("it has {size} bytes, at most {most} are taken"),
            ));
        }
        let mut bytes = Vec::new();
        self.blob_into(digest, size, limit, &mut |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// A blob of at most `size` bytes, hashed while it comes. What the sink got counts only where this is `Ok`.
    pub(crate) fn blob_into(
        &self,
        digest: Digest,
        size: u64,
        limit: &'static str,
        sink: Sink<'_>,
    ) -> Result<(), ExternalError> {
        let about = self.web.about;
        let url = self.url(&format!("blobs/{digest}"));
        let mut hasher = Digest::builder();
        let answer = self.get_into(&url, "*/*", (size, limit), &mut |chunk| {
            hasher.raw(chunk);
            sink(chunk)
        })?;
        if answer.status == 404 {
            return Err(about.not_found(format!(
                "{} does not have {digest} any more: push that version again, or run `weir lock --update`",
                self.shown()
            )));
        }
        self.web.accept(&answer)?;
        let found = hasher.finish();
        if found != digest {
            return Err(about.changed(format!(
                "{} serves other bytes ({found}) for {digest}: the registry or something on the way is broken or hostile",
                self.origin
            )));
        }
        Ok(())
    }

    /// What is answered to a question for the manifest of a tag or a digest, whatever that is.
    pub(super) fn ask_manifest(&self, named: &str, accept: &str) -> Result<Answer, ExternalError> {
        let url = self.url(&format!("manifests/{named}"));
        let most = self.web.limits.manifest_bytes;
        self.get(&url, accept, most, "manifest_bytes")
    }

    /// What is answered to a question for a blob, and what that hashes to; more than `most` bytes exceed `limit`.
    pub(super) fn ask_blob(
        &self,
        digest: Digest,
        (most, limit): (u64, &'static str),
    ) -> Result<(Answer, Digest), ExternalError> {
        let url = self.url(&format!("blobs/{digest}"));
        let (mut hasher, mut body) = (Digest::builder(), Vec::new());
        let answer = self.get_into(&url, "*/*", (most, limit), &mut |chunk| {
            hasher.raw(chunk);
            body.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok((Answer { body, ..answer }, hasher.finish()))
    }

    pub(crate) fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.origin, self.name)
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, answer: &Answer) -> Result<T, ExternalError> {
        serde_json::from_slice(&answer.body).map_err(|e| {
            let why = printable(&e.to_string());
            let url = &answer.url;
            self.web
                .about
                .refused(format!("{url} is not what a registry answers: {why}"))
        })
    }

    /// The next page, where the answer names one on the same host.
    pub(crate) fn next(&self, url: &str, answer: &Answer) -> Result<Option<String>, ExternalError> {
        let link = answer.headers.get("link").and_then(|v| v.to_str().ok());
        let link = link.filter(|l| l.contains("rel=\"next\"") || l.contains("rel=next"));
        let target = link.and_then(|l| l.split_once('<')?.1.split_once('>'));
        let Some((target, _)) = target else {
            return Ok(None);
        };
        let (from, _): (Uri, Origin) = self.web.parsed(url)?;
        let next = resolved(&from, target);
        let (_, origin) = self.web.parsed(&next)?;
        if !origin.same(&self.origin) {
            return Err(self.web.about.refused(format!(
                "what {} lists goes on at another host, {origin}, which is not followed",
                self.shown()
            )));
        }
        Ok(Some(next))
    }

    pub(crate) fn get(
        &self,
        url: &str,
        accept: &str,
        most: u64,
        limit: &'static str,
    ) -> Result<Answer, ExternalError> {
        let mut body = Vec::new();
        let answer = self.get_into(url, accept, (most, limit), &mut |chunk| {
            body.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(Answer { body, ..answer })
    }

    fn get_into(
        &self,
        url: &str,
        accept: &str,
        (most, limit): (u64, &'static str),
        sink: Sink<'_>,
    ) -> Result<Answer, ExternalError> {
        self.shown_what_it_wants(|show| {
            let ask = Ask {
                url,
                accept,
                show,
                most,
                limit,
            };
            self.web.ask_into(&ask, sink)
        })
    }

    /// A request with what the registry wants to see; asked for once.
    pub(super) fn shown_what_it_wants(
        &self,
        mut ask: impl FnMut(Show<'_>) -> Result<Answer, ExternalError>,
    ) -> Result<Answer, ExternalError> {
        let header = self.header.borrow().clone();
        let answer = ask(header.as_deref().map_or(Show::Nothing, Show::Header))?;
        // Whoever a redirect leads to asks for credentials of its own, which are nobody's to show here.
        if answer.status != 401 || answer.away.is_some() {
            return Ok(answer);
        }
        // A token may have come to its end since it was given; what is refused as it is stays refused.
        let again = self.authenticated(&answer)?;
        let Some(again) = again.filter(|again| Some(again) != header.as_ref()) else {
            return Ok(answer);
        };
        *self.header.borrow_mut() = Some(again.clone());
        ask(Show::Header(&again))
    }
}

/// A text as a value in a query.
pub(super) fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let bytes = text.bytes();
    bytes
        .map(|b| match plain(b) {
            true => char::from(b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_one_value_of_a_query() {
        assert_eq!(encoded("repository:a/b:pull"), "repository%3Aa%2Fb%3Apull");
    }
}
