//! Tokens: what a registry wants to see, got from the server that it names.

use serde::{Deserialize, Serialize};

use super::{Registry, encoded};
use crate::external::error::ExternalError;
use crate::external::web::{Answer, Ask, Show, asks_for, challenges};
use crate::secret::{Credentials, Secret};

/// Where a registry says that it takes tokens of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Realm {
    pub(crate) url: String,
    service: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry<'_, '_> {
    /// A token of a server for this repository, as a header, for what the host has for that server.
    pub(crate) fn token_of(&self, realm: &Realm) -> Result<String, ExternalError> {
        let (_, origin) = self.web.parsed(&realm.url)?;
        self.bought(realm, self.web.credentials(&origin))
    }

    /// The header that satisfies a challenge; `None` where the host has nothing to show.
    pub(super) fn authenticated(&self, refusal: &Answer) -> Result<Option<String>, ExternalError> {
        let own = self.web.credentials(&self.origin);
        let bearer = challenges(refusal).find_map(|c| {
            let (scheme, rest) = c.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(rest)
        });
        if let Some(challenge) = bearer {
            return self.token(challenge, own);
        }
        Ok(own.map(|own| own.header(own.is_token() && asks_for(refusal, "basic"))))
    }

    /// A token for this repository, of the server that the registry names.
    fn token(
        &self,
        challenge: &str,
        own: Option<Credentials>,
    ) -> Result<Option<String>, ExternalError> {
        let about = self.web.about;
        let url = parameter(challenge, "realm").ok_or_else(|| {
            about.unreachable(
                &self.origin.to_string(),
                "it asks for a token and does not say where to get one",
            )
        })?;
        let service = parameter(challenge, "service");
        let realm = Realm { url, service };
        let (_, origin) = self.web.parsed(&realm.url)?;
        if self.origin.tls && !origin.tls {
            let why = format!("it asks for a token of {origin}, over plain http");
            return Err(about.unreachable(&self.origin.to_string(), why));
        }
        // What the host has for a registry is shown to that host, and to a token server that has an entry of its own.
        if origin.same(&self.origin) {
            return self.bought(&realm, own).map(Some);
        }
        if let Some(held) = self.web.held() {
            // One was got for it, and does not satisfy the registry.
            if held.token.is_some() {
                return Ok(None);
            }
            if held.is_anothers(&origin) {
                held.lacks_token(realm);
                return Err(about.unreachable(&origin.to_string(), "another process asks it"));
            }
        }
        self.token_of(&realm).map(Some)
    }

    fn bought(&self, realm: &Realm, shown: Option<Credentials>) -> Result<String, ExternalError> {
        let about = self.web.about;
        let mut url = realm.url.clone();
        url.push(if realm.url.contains('?') { '&' } else { '?' });
        if let Some(service) = &realm.service {
            url.push_str(&format!("service={}&", encoded(service)));
        }
        let scope = format!("repository:{}:{}", self.name, self.actions);
        url.push_str(&format!("scope={}", encoded(&scope)));
        let header = shown.map(|c| c.header(c.is_token()));
        let answer = self.web.get(&Ask {
            url: &url,
            accept: "application/json",
            show: header.as_deref().map_or(Show::Nothing, Show::Header),
            most: self.web.limits.manifest_bytes,
            limit: "manifest_bytes",
        })?;
        let token: Token = self.json(&answer)?;
        let token = token.token.or(token.access_token).map(Secret::new);
        let usable = |t: &Secret| Credentials::Token(t.clone()).fault().is_none();
        let token = token
            .filter(usable)
            .ok_or_else(|| about.unreachable(&answer.url, "it answered without a usable token"))?;
        Ok(Credentials::Token(token).header(false))
    }
}

/// A parameter of a challenge, `name="value"`.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let mut rest = challenge;
    // As many as one header has room for.
    for _ in 0..32 {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_matches([' ', ',']);
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.trim().to_owned()).filter(|v| !v.is_empty());
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenges_parameters_are_read_in_any_order() {
        let text = r#"realm="https://auth.example/token?x=1",service="registry, one",scope="repository:a/b:pull,push""#;
        for (name, expected) in [
            ("realm", Some("https://auth.example/token?x=1")),
            ("service", Some("registry, one")),
            ("scope", Some("repository:a/b:pull,push")),
            ("error", None),
        ] {
            assert_eq!(parameter(text, name).as_deref(), expected, "{name}");
        }
        assert_eq!(
            parameter("Realm=abc, service=x", "realm").as_deref(),
            Some("abc")
        );
        for bad in ["", "realm", "realm=\"", "realm=\"\"", "=\"x\""] {
            assert_eq!(parameter(bad, "realm"), None, "{bad}");
        }
    }
}
