//! What a pack may hold, by name.

/// What a pack may hold.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct PackLimits {
    /// Objects.
    pub objects: u32,
    /// Bytes of all objects together, deltas applied.
    pub resolved_bytes: u64,
    /// Deltas on each other.
    pub delta_depth: u32,
    /// Bytes of the objects that have to be kept at once while deltas are applied.
    pub delta_bytes: u64,
    /// Deltas that name an object of the same pack by its id and not by its place: how they lie on each other cannot be
    /// told before they are applied. Git sends none.
    pub delta_refs: u32,
}

impl PackLimits {
    /// What a host allows that was told nothing else.
    pub const HOST: PackLimits = PackLimits {
        objects: 1_800_000,
        resolved_bytes: 128 << 30,
        delta_depth: 4096,
        delta_bytes: 512 << 20,
        delta_refs: 20_000,
    };
}
