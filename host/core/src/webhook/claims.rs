//! What a delivery's headers claim, read before anybody knows whose delivery it is: one form each, all of it bounded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Refusal;

/// The most bytes of a header that is read.
const VALUE_BYTES: usize = 1024;
/// The most signatures of one delivery: one for each secret that its sender still signs with.
const MAX_SIGNATURES: usize = 8;
/// The most digits of a time: enough until the year 5138.
const TIME_DIGITS: usize = 11;

const GITHUB: &str = "x-hub-signature-256";
const GITEA: &str = "x-gitea-signature";
const FORGEJO: &str = "x-forgejo-signature";
const GITLAB: &str = "x-gitlab-token";
const SIGNATURE: &str = "webhook-signature";
const ID: &str = "webhook-id";
const TIME: &str = "webhook-timestamp";

/// An HMAC-SHA256.
pub(super) type Tag = [u8; 32];

/// What a request has under one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header<'a> {
    /// Nothing.
    Absent,
    /// One value.
    One(&'a [u8]),
    /// More than one: nobody can say which is meant.
    Several,
}

/// What the headers claim, of whichever forge.
pub struct Claims {
    pub(super) github: Option<Tag>,
    pub(super) gitea: Option<Tag>,
    pub(super) token: Option<Vec<u8>>,
    pub(super) signed: Option<Signed>,
}

/// Signatures over an id, a time and the body.
pub(super) struct Signed {
    /// What comes before the body: `ID.TIME.`
    pub(super) before: Vec<u8>,
    /// Seconds since 1970.
    pub(super) time: i64,
    pub(super) tags: Vec<Tag>,
}

impl Claims {
    /// Reads them; names are asked for in lower case. Which repository is meant plays no part, so that it cannot be told
    /// from a refusal.
    ///
    /// # Errors
    /// There is none, or one that no forge sends.
    pub fn read<'a>(header: impl Fn(&'static str) -> Header<'a>) -> Result<Claims, Refusal> {
        let value = |name| value(name, header(name));
        let gitea = tag(GITEA, value(GITEA)?)?;
        let forgejo = tag(FORGEJO, value(FORGEJO)?)?;
        if let (Some(one), Some(other)) = (gitea, forgejo)
            && one != other
        {
            return Err(Refusal::Malformed(FORGEJO));
        }
        let github = value(GITHUB)?.map(|given| {
            let digits = given.strip_prefix(b"sha256=");
            digits.ok_or(Refusal::Malformed(GITHUB))
        });
        let claims = Claims {
            github: tag(GITHUB, github.transpose()?)?,
            gitea: forgejo.or(gitea),
            token: value(GITLAB)?.map(<[u8]>::to_vec),
            signed: match value(SIGNATURE)? {
                Some(list) => Some(signed(list, value(ID)?, value(TIME)?)?),
                None => None,
            },
        };
        let is_signed = claims.github.is_some()
            || claims.gitea.is_some()
            || claims.token.is_some()
            || claims.signed.is_some();
        is_signed.then_some(claims).ok_or(Refusal::Unsigned)
    }
}

/// The one value; an empty one is what forges send that have no secret.
fn value<'a>(name: &'static str, header: Header<'a>) -> Result<Option<&'a [u8]>, Refusal> {
    match header {
        Header::Absent | Header::One(b"") => Ok(None),
        Header::One(value) if value.len() <= VALUE_BYTES => Ok(Some(value)),
        Header::One(_) | Header::Several => Err(Refusal::Malformed(name)),
    }
}

/// 64 hexadecimal digits, in lower case.
fn tag(name: &'static str, digits: Option<&[u8]>) -> Result<Option<Tag>, Refusal> {
    let Some(digits) = digits else {
        return Ok(None);
    };
    let mut tag = Tag::default();
    let is_lower = !digits.iter().any(u8::is_ascii_uppercase);
    match hex::decode_to_slice(digits, &mut tag) {
        Ok(()) if is_lower => Ok(Some(tag)),
        _ => Err(Refusal::Malformed(name)),
    }
}

/// The three headers of Standard Webhooks.
fn signed(list: &[u8], id: Option<&[u8]>, time: Option<&[u8]>) -> Result<Signed, Refusal> {
    // With a dot in it, what is signed would read in two ways.
    let is_plain = |b: &u8| b.is_ascii_graphic() && *b != b'.';
    let id = id.filter(|id| id.iter().all(is_plain));
    let id = id.ok_or(Refusal::Malformed(ID))?;
    let is_time = |t: &&[u8]| t.len() <= TIME_DIGITS && t.iter().all(u8::is_ascii_digit);
    let text = time.filter(is_time).ok_or(Refusal::Malformed(TIME))?;
    let time = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    let mut tags = Vec::new();
    for one in list.split(|b| *b == b' ') {
        // Signatures of other versions stand beside it while a sender changes over.
        let Some(text) = one.strip_prefix(b"v1,") else {
            continue;
        };
        let bytes = STANDARD.decode(text).ok();
        let tag = bytes.and_then(|bytes| Tag::try_from(bytes).ok());
        tags.push(tag.ok_or(Refusal::Malformed(SIGNATURE))?);
    }
    if tags.is_empty() || tags.len() > MAX_SIGNATURES {
        return Err(Refusal::Malformed(SIGNATURE));
    }
    Ok(Signed {
        before: [id, b".", text, b"."].concat(),
        time: time.ok_or(Refusal::Malformed(TIME))?,
        tags,
    })
}
