//! How much is read of what others wrote.

/// How large SOPS files and key files may be. There is no `Default`: whoever reads one says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretLimits {
    /// Bytes of one SOPS file. A Secret may have 1 MiB.
    pub file: usize,
    /// Values of one SOPS file.
    pub values: usize,
    /// Lists and maps inside each other.
    pub depth: usize,
    /// Recipients of one SOPS file.
    pub recipients: usize,
    /// Bytes of one key file.
    pub key_file: usize,
    /// Keys of one repository.
    pub keys: usize,
}

impl SecretLimits {
    /// Keys on the way to all values of one file together: each value has its own way, so deep files would be large.
    pub(crate) fn keys_of_places(&self) -> usize {
        self.values.saturating_mul(8)
    }

    /// What a host allows that was told nothing else.
    pub const HOST: SecretLimits = SecretLimits {
        file: 4 << 20,
        values: 50_000,
        depth: 64,
        recipients: 256,
        key_file: 64 << 10,
        keys: 256,
    };
}
