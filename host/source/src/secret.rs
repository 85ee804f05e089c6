//! Credentials that cannot be printed, where they come from, and the header that they become.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::error::SourceError;

/// The largest file that is read as a token or a password.
const MAX_FILE: u64 = 64 << 10;

/// A text that never appears in logs, errors or output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text, without the line end that a file brings along.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text: String = text.into();
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        Secret(text)
    }

    /// The text. For headers and key derivation only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Secret::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What proves to a Git server who asks. Sent to the repository's own origin only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token. Sent as `Bearer`; to a server that asks for `Basic` as the password of `x-access-token`.
    Token(Secret),
    /// User name and password (or a token in its place).
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// Where credentials come from. Files are read at each fetch: what rotates them needs no restart of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialsFrom {
    /// Known already.
    Given(Credentials),
    /// A token in a file.
    TokenFile(PathBuf),
    /// A user, and the password in a file.
    PasswordFile {
        /// The user name.
        user: String,
        /// The file.
        file: PathBuf,
    },
}

impl CredentialsFrom {
    /// As they are now.
    ///
    /// # Errors
    /// `Host` where the file cannot be read, or is none of one line.
    pub fn read(&self) -> Result<Credentials, SourceError> {
        match self {
            CredentialsFrom::Given(credentials) => Ok(credentials.clone()),
            CredentialsFrom::TokenFile(file) => secret("token", file).map(Credentials::Token),
            CredentialsFrom::PasswordFile { user, file } => Ok(Credentials::Basic {
                user: user.clone(),
                password: secret("password", file)?,
            }),
        }
    }
}

fn secret(what: &str, path: &Path) -> Result<Secret, SourceError> {
    let read = || -> io::Result<Secret> {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        file.take(MAX_FILE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_FILE {
            let why = format!("it has more than {MAX_FILE} bytes");
            return Err(io::Error::other(why));
        }
        Ok(Secret::new(text))
    };
    read().map_err(|e| SourceError::host(format!("reading the {what} file {}", path.display()), e))
}

impl Credentials {
    /// Why these can never be sent: a header is one line of text, and a colon ends the user name.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let printable = |s: &str| !s.is_empty() && !s.chars().any(char::is_control);
        match self {
            Credentials::Token(token) if !token.expose().bytes().all(|b| b.is_ascii_graphic()) => {
                Some("the token is not one line of visible ASCII")
            }
            Credentials::Token(token) if token.expose().is_empty() => Some("the token is empty"),
            Credentials::Basic { user, .. } if user.contains(':') || !printable(user) => {
                Some("the user name is empty, or has a colon or a control character in it")
            }
            Credentials::Basic { password, .. } if !printable(password.expose()) => {
                Some("the password is empty or has a control character in it")
            }
            _ => None,
        }
    }

    /// Whether the server's challenge asks for this as `Basic` though it would be sent as `Bearer`.
    pub(crate) fn is_token(&self) -> bool {
        matches!(self, Credentials::Token(_))
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self, token_as_basic: bool) -> String {
        let basic = |user: &str, password: &Secret| {
            format!(
                "Basic {}",
                base64(format!("{user}:{}", password.expose()).as_bytes())
            )
        };
        match self {
            Credentials::Token(token) if token_as_basic => basic("x-access-token", token),
            Credentials::Token(token) => format!("Bearer {}", token.expose()),
            Credentials::Basic { user, password } => basic(user, password),
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_never_print_their_secret() {
        for c in [
            Credentials::Token(Secret::new("hunter2")),
            Credentials::Basic {
                user: "ann".into(),
                password: Secret::new("hunter2"),
            },
        ] {
            assert!(!format!("{c:?} {c:#?}").contains("hunter2"));
        }
    }

    #[test]
    fn the_line_end_of_a_secrets_file_is_not_part_of_it() {
        assert_eq!(Secret::new("hunter2\r\n"), Secret::new("hunter2"));
    }

    #[test]
    fn a_secret_that_would_break_out_of_its_header_is_refused() {
        let basic = |user: &str, p: &str| Credentials::Basic {
            user: user.into(),
            password: Secret::new(p),
        };
        for bad in [
            Credentials::Token(Secret::new("a\r\nX-Evil: 1")),
            Credentials::Token(Secret::new("")),
            Credentials::Token(Secret::new("a b")),
            basic("a:b", "p"),
            basic("", "p"),
            basic("a", ""),
            basic("a", "p\nq"),
        ] {
            assert!(bad.fault().is_some(), "{bad:?}");
        }
        assert_eq!(basic("ann", "pass word").fault(), None);
        assert_eq!(Credentials::Token(Secret::new("ghp_x")).fault(), None);
    }
}
