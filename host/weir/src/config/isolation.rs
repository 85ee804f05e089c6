//! Where plugins run and repositories are fetched: in this process, or in processes without rights.

/// Where plugins run and remote repositories, charts and plugins of registries are fetched.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Isolation {
    /// In this process
    InProcess,
    /// In processes without rights, as far as the kernel can take them away
    Processes,
    /// The same; on a kernel that cannot take all of them away, nothing starts
    Confined,
}

impl Isolation {
    /// What a host that stays does where nothing says it: it holds credentials for long, and fetches and renders what others wrote.
    pub(crate) const SERVICE: Isolation = if cfg!(target_os = "linux") {
        Isolation::Processes
    } else {
        Isolation::InProcess
    };

    /// What a command does that ends after its work.
    pub(crate) const COMMAND: Isolation = Isolation::InProcess;

    /// The word of the flag.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Isolation::InProcess => "in-process",
            Isolation::Processes => "processes",
            Isolation::Confined => "confined",
        }
    }
}
