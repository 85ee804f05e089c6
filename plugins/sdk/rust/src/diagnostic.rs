//! What a plugin has to say about its input: diagnostics and findings.

use std::fmt;

/// How much a diagnostic or a finding matters. An `Error` stops the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Stops the app.
    Error,
    /// Is shown, and stops nothing.
    Warning,
    /// Is worth knowing.
    Info,
}

/// What a renderer or transformer has to say when it cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How much it matters.
    pub level: Level,
    /// A short stable word, such as `bad-config`.
    pub code: String,
    /// One sentence for a person: what is wrong and what to do.
    pub message: String,
    /// The file in the tree that it is about.
    pub path: Option<String>,
    /// The line in that file, from 1.
    pub line: Option<u32>,
}

/// One or more diagnostics: the error of every plugin function. `?` on a single
/// [`Diagnostic`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

/// What a validator found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters. An object with a finding of level `Error` may not pass.
    pub level: Level,
    /// A short stable word, such as `image-not-pinned`.
    pub code: String,
    /// One sentence for a person: what is wrong and what to do.
    pub message: String,
    /// Which object: its index in the list that was passed in.
    pub object: Option<u32>,
    /// Where in the object: a JSON pointer (RFC 6901).
    pub path: Option<String>,
    /// The line in the file that the object came from, from 1.
    pub line: Option<u32>,
}

impl Diagnostic {
    /// A diagnostic of level `Error`.
    pub fn error(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            code: code.into(),
            message: message.into(),
            path: None,
            line: None,
        }
    }

    /// A diagnostic of level `Warning`.
    pub fn warning(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(code, message)
        }
    }

    /// The same about a file in the tree.
    #[must_use]
    pub fn at(self, path: impl Into<String>) -> Self {
        Self {
            path: Some(path.into()),
            ..self
        }
    }

    /// The same about a line, from 1.
    #[must_use]
    pub fn line(self, line: u32) -> Self {
        Self {
            line: Some(line),
            ..self
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{path}:")?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            write!(f, " ")?;
        }
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Diagnostic {}

impl Diagnostics {
    /// Fails with `diagnostics` if there is one, otherwise gives `value`.
    ///
    /// # Errors
    /// The diagnostics themselves.
    pub fn or<T>(diagnostics: Vec<Diagnostic>, value: T) -> Result<T, Self> {
        if diagnostics.is_empty() {
            Ok(value)
        } else {
            Err(Self(diagnostics))
        }
    }

    /// The diagnostics in the order in which they were found.
    #[must_use]
    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.0
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl Finding {
    /// A finding about the object at `index` of the list that was passed in.
    pub fn about(
        index: usize,
        level: Level,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            level,
            code: code.into(),
            message: message.into(),
            object: u32::try_from(index).ok(),
            path: None,
            line: None,
        }
    }

    /// The same at a place in the object, as a JSON pointer.
    #[must_use]
    pub fn at(self, pointer: impl Into<String>) -> Self {
        Self {
            path: Some(pointer.into()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_reads_like_a_compiler_error() {
        let diagnostic = Diagnostic::error("no-manifests", "nothing to apply")
            .at("apps/shop")
            .line(3);
        assert_eq!(
            diagnostic.to_string(),
            "apps/shop:3: no-manifests: nothing to apply"
        );
        assert_eq!(
            Diagnostic::warning("old", "is old").to_string(),
            "old: is old"
        );
    }

    #[test]
    fn diagnostics_fail_only_when_there_are_some() {
        assert_eq!(Diagnostics::or(vec![], 7), Ok(7));
        let error = Diagnostics::or(
            vec![Diagnostic::error("a", "b"), Diagnostic::error("c", "d")],
            (),
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "a: b; c: d");
        assert_eq!(error.as_slice().len(), 2);
    }
}
