//! Words for the person who looks at a render. Never part of its result.

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// For the plugin's author.
    Debug,
    /// For whoever reads the log.
    Info,
    /// Something that works and should change.
    Warn,
}

/// Says something to the plugin's author.
pub fn debug(message: impl AsRef<str>) {
    write(Severity::Debug, message.as_ref());
}

/// Says something to whoever reads the log.
pub fn info(message: impl AsRef<str>) {
    write(Severity::Info, message.as_ref());
}

/// Says that something works and should change.
pub fn warn(message: impl AsRef<str>) {
    write(Severity::Warn, message.as_ref());
}

/// Hands a message to the host, which cuts long ones and, past the call's
/// budget, drops them.
#[cfg(target_arch = "wasm32")]
pub fn write(severity: Severity, message: &str) {
    crate::component::write_log(severity, message);
}

/// Prints a message where the test runner shows it.
#[cfg(not(target_arch = "wasm32"))]
#[expect(
    clippy::print_stderr,
    reason = "natively a plugin only runs in its author's tests"
)]
pub fn write(severity: Severity, message: &str) {
    eprintln!("{severity:?}: {message}");
}
