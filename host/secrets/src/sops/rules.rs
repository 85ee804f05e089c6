//! Which values of a file its own rules say are encrypted.

use regex_lite::Regex;

use super::token::is_token;

/// What keys end with whose values stay plain where a file says nothing else.
pub(super) const DEFAULT_SUFFIX: &str = "_unencrypted";

/// A file's rule. SOPS has one in each.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// All but what lies below a key that ends so.
    PlainSuffix(String),
    /// What lies below a key that ends so.
    EncryptedSuffix(String),
    /// All but what lies below a key that matches.
    PlainRegex(Regex),
    /// What lies below a key that matches.
    EncryptedRegex(Regex),
    /// Comments say it, which a rendered object does not have any more: each value shows by itself what it is.
    Comments,
}

/// What a rule says of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// It is encrypted.
    Encrypted,
    /// It is plain.
    Plain,
    /// Either: it shows by itself.
    Either,
}

impl Rule {
    /// What is said of the value behind these keys.
    pub(crate) fn says(&self, path: &[&str]) -> Says {
        let any = |holds: &dyn Fn(&str) -> bool| path.iter().any(|key| holds(key));
        let encrypted = match self {
            Rule::PlainSuffix(suffix) => !any(&|key| key.ends_with(suffix)),
            Rule::EncryptedSuffix(suffix) => any(&|key| key.ends_with(suffix)),
            Rule::PlainRegex(regex) => !any(&|key| regex.is_match(key)),
            Rule::EncryptedRegex(regex) => any(&|key| regex.is_match(key)),
            Rule::Comments => return Says::Either,
        };
        if encrypted {
            Says::Encrypted
        } else {
            Says::Plain
        }
    }
}

impl Says {
    /// What is to be done with a value of this text that stands where this was said.
    pub(crate) fn of(self, text: &str) -> Verdict {
        match (self, is_token(text)) {
            (Says::Encrypted | Says::Either, true) => Verdict::Open,
            // Nothing is encrypted of nothing.
            (Says::Encrypted, false) if text.is_empty() => Verdict::Stays,
            (Says::Encrypted, false) => Verdict::ShouldBeEncrypted,
            (Says::Plain, true) => Verdict::ShouldBePlain,
            (Says::Plain | Says::Either, false) => Verdict::Stays,
        }
    }
}

/// What is done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is opened.
    Open,
    /// It stays as it is.
    Stays,
    /// It is plain, against the rule.
    ShouldBeEncrypted,
    /// It is encrypted, against the rule.
    ShouldBePlain,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_holds_for_all_below_a_key() {
        let regex = |text: &str| Regex::new(text).unwrap();
        for (rule, path, expected) in [
            (
                Rule::PlainSuffix("_unencrypted".into()),
                &["a", "b"][..],
                Says::Encrypted,
            ),
            (
                Rule::PlainSuffix("_unencrypted".into()),
                &["a_unencrypted", "b"],
                Says::Plain,
            ),
            (
                Rule::EncryptedSuffix("_secret".into()),
                &["a_secret", "b"],
                Says::Encrypted,
            ),
            (
                Rule::EncryptedSuffix("_secret".into()),
                &["a", "b"],
                Says::Plain,
            ),
            (
                Rule::EncryptedRegex(regex("^(data|stringData)$")),
                &["data", "b"],
                Says::Encrypted,
            ),
            (
                Rule::EncryptedRegex(regex("^(data|stringData)$")),
                &["metadata", "name"],
                Says::Plain,
            ),
            (
                Rule::PlainRegex(regex("^user\\d$")),
                &["data", "user1"],
                Says::Plain,
            ),
            (
                Rule::PlainRegex(regex("^user\\d$")),
                &["data", "user\u{664}"],
                Says::Encrypted,
            ),
            (Rule::Comments, &["data"], Says::Either),
        ] {
            assert_eq!(rule.says(path), expected, "{rule:?} {path:?}");
        }
    }

    #[test]
    fn what_is_plain_against_the_rule_is_never_let_through() {
        let token = "ENC[AES256_GCM,data:aa==,iv:aa==,tag:aa==,type:str]";
        for (says, text, expected) in [
            (Says::Encrypted, token, Verdict::Open),
            (Says::Encrypted, "hunter2", Verdict::ShouldBeEncrypted),
            (Says::Encrypted, "", Verdict::Stays),
            (Says::Plain, token, Verdict::ShouldBePlain),
            (Says::Plain, "ada", Verdict::Stays),
            (Says::Either, token, Verdict::Open),
            (Says::Either, "ada", Verdict::Stays),
        ] {
            assert_eq!(says.of(text), expected, "{says:?} {text}");
        }
    }
}
