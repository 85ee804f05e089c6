//! Fields that other managers have, as the API server names them.

/// The most conflicts that one text names.
pub(super) const SHOWN_CONFLICTS: usize = 10;

/// Fields that other managers have, manager by manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts(pub Vec<FieldConflict>);

/// One field that another manager has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldConflict {
    /// The manager, as the server names it: `"kubectl-edit" using v1`.
    pub manager: String,
    /// The field's path.
    pub field: String,
}

impl FieldConflict {
    /// The manager's bare name.
    pub fn manager_name(&self) -> &str {
        let quoted = self.manager.strip_prefix('"');
        let name = quoted.and_then(|rest| rest.split_once('"'));
        name.map_or(self.manager.as_str(), |(name, _)| name)
    }
}

impl Conflicts {
    /// Whether one of them comes from a change through the scale subresource.
    pub fn is_of_scale(&self) -> bool {
        let scale = |c: &FieldConflict| c.manager.contains("subresource \"scale\"");
        self.0.iter().any(scale)
    }
}

impl std::fmt::Display for Conflicts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("others manage fields that it sets: ")?;
        for (n, c) in self.0.iter().take(SHOWN_CONFLICTS).enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            write!(f, "{comma}{} ({})", c.field, c.manager)?;
        }
        match self.0.len().saturating_sub(SHOWN_CONFLICTS) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
