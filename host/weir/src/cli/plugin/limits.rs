//! What a call by hand may spend: a host's limits, narrowed by flags.

use weir_core::grant::{Bytes, Fuel, Limits, LimitsPatch, Millis};

use crate::error::Error;

/// Flags for what a call may spend.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LimitArgs {
    /// Instructions, such as 200M [default, and at most: a host's 40G]
    #[arg(long, value_name = "UNITS")]
    fuel: Option<Fuel>,
    /// Linear memory, such as 64Mi [default, and at most: a host's 512Mi]
    #[arg(long, value_name = "BYTES")]
    memory: Option<Bytes>,
    /// What it may return, and read in all, such as 4Mi [default, and at most: a host's 64Mi]
    #[arg(long, value_name = "BYTES")]
    output_limit: Option<Bytes>,
    /// Wall time, such as 5s [default, and at most: a host's 8m]
    #[arg(long, value_name = "TIME")]
    time: Option<Millis>,
    /// Calls of the host [default, and at most: a host's 200000]
    #[arg(long, value_name = "N")]
    host_calls: Option<u64>,
}

impl LimitArgs {
    /// As a manifest would narrow them.
    pub(super) fn patch(&self) -> LimitsPatch {
        LimitsPatch {
            fuel: self.fuel,
            memory: self.memory,
            output: self.output_limit,
            time: self.time,
            host_calls: self.host_calls,
        }
    }
}

/// A host's limits, narrowed.
///
/// # Errors
/// One of them is above what any host allows: nobody would see it hold.
pub(super) fn narrowed(patch: &LimitsPatch) -> Result<Limits, Error> {
    let host = Limits::HOST;
    let asked = Limits {
        fuel: patch.fuel.unwrap_or(host.fuel),
        memory: patch.memory.unwrap_or(host.memory),
        output: patch.output.unwrap_or(host.output),
        time: patch.time.unwrap_or(host.time),
        host_calls: patch.host_calls.unwrap_or(host.host_calls),
    };
    match asked.above(&host) {
        None => Ok(asked),
        Some((limit, asked, most)) => Err(Error::Usage(format!(
            "limits: {limit}: {asked} is more than the {most} that a host allows"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_a_hosts_narrowed_and_never_more() {
        let patch = LimitsPatch {
            memory: Some(Bytes(1 << 20)),
            ..LimitsPatch::default()
        };
        let limits = narrowed(&patch).unwrap();
        assert_eq!(
            (limits.memory, limits.fuel),
            (Bytes(1 << 20), Limits::HOST.fuel)
        );
        let patch = LimitsPatch {
            memory: Some(Bytes(1 << 40)),
            ..LimitsPatch::default()
        };
        let said = narrowed(&patch).unwrap_err().to_string();
        assert!(
            said.contains("memory: 1024Gi is more than the 512Mi"),
            "{said}"
        );
    }
}
