//! What a plugin may spend and see. Every limit is always present; the manifest can only narrow what the host allows. Of
//! what it may see besides files nothing is given that is not asked for.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

/// Bytes, as text with the suffixes of Kubernetes quantities: `64Mi`, `2Gi`, `500k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Bytes(pub u64);

/// Units of Wasmtime fuel: roughly one for each Wasm instruction. As text `200M`, `5G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Fuel(pub u64);

/// Wall time in whole milliseconds, as text `5s`, `250ms`, `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Millis(pub u64);

/// What one call of a plugin may spend. There is no `Default`: whoever calls says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Instructions. This decides, since it is the same on every machine.
    pub fuel: Fuel,
    /// Linear memory.
    pub memory: Bytes,
    /// What the call may return, and read in all, in bytes.
    pub output: Bytes,
    /// Wall time, behind fuel.
    pub time: Millis,
    /// How often it may call the host.
    pub host_calls: u64,
}

/// The limits as a manifest narrows them: what is left out stays as the host has it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsPatch {
    /// Instructions, such as `200M`.
    #[schemars(with = "Option<String>")]
    pub fuel: Option<Fuel>,
    /// Linear memory, such as `64Mi`.
    #[schemars(with = "Option<String>")]
    pub memory: Option<Bytes>,
    /// Bytes returned, such as `4Mi`.
    #[schemars(with = "Option<String>")]
    pub output: Option<Bytes>,
    /// Wall time, such as `5s`.
    #[schemars(with = "Option<String>")]
    pub time: Option<Millis>,
    /// Calls of the host.
    pub host_calls: Option<u64>,
}

/// What a plugin is given besides its files: nothing, where it is not said.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grants {
    /// Random bytes inside calls. Left out: a call that asks for some is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<RandomGrant>,
}

/// Which random bytes a plugin is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RandomGrant {
    /// The same at each render of an app, which nobody can guess who does not have the host's secret.
    Stable,
}

impl Grants {
    /// Whether nothing is given.
    pub fn is_none(&self) -> bool {
        *self == Grants::default()
    }
}

impl Limits {
    /// Fuel that a slow machine burns in a second: about half of what an empty loop burned (730M/s to 900M/s)
    /// on the two shared cores that Weir was measured on. An empty loop burns slowly, since each turn costs
    /// little fuel; a loop that does something burned over 10G/s there.
    pub const SLOW_FUEL_PER_SECOND: u64 = 400_000_000;

    /// What a host allows that was told nothing else.
    ///
    /// Fuel has to end a plugin that never ends, since fuel is the same on every machine and time is not: 40G units take
    /// 55 s at 730M/s and 100 s at [`Limits::SLOW_FUEL_PER_SECOND`]. The time limit is more than four times that, so that
    /// it only ends what burns next to no fuel (bulk copies, memory that misses every cache) or what a machine is far too
    /// slow for. The largest render that was measured, a Kustomize overlay of 300 resources, takes 11.4G units, 4 s and
    /// 134 MiB; a Helm chart of 150 templates 1.4G (docs/BENCHMARKS.md).
    pub const HOST: Limits = Limits {
        fuel: Fuel(40_000_000_000),
        memory: Bytes(512 << 20),
        output: Bytes(64 << 20),
        time: Millis(480_000),
        host_calls: 200_000,
    };

    /// These limits, narrowed; a patch that asks for more gets no more.
    #[must_use]
    pub fn narrowed(self, patch: &LimitsPatch) -> Limits {
        Limits {
            fuel: patch.fuel.map_or(self.fuel, |x| x.min(self.fuel)),
            memory: patch.memory.map_or(self.memory, |x| x.min(self.memory)),
            output: patch.output.map_or(self.output, |x| x.min(self.output)),
            time: patch.time.map_or(self.time, |x| x.min(self.time)),
            host_calls: patch
                .host_calls
                .map_or(self.host_calls, |x| x.min(self.host_calls)),
        }
    }
}

impl Limits {
    /// The first of these limits that is above another's, by name: what is asked for, and what may be.
    pub fn above(&self, most: &Limits) -> Option<(&'static str, String, String)> {
        let amounts = [
            ("fuel", self.fuel.0, most.fuel.0),
            ("memory", self.memory.0, most.memory.0),
            ("output", self.output.0, most.output.0),
            ("time", self.time.0, most.time.0),
            ("hostCalls", self.host_calls, most.host_calls),
        ];
        let above = amounts.into_iter().find(|(_, asked, most)| asked > most)?;
        let text = |limits: &Limits| match above.0 {
            "fuel" => limits.fuel.to_string(),
            "memory" => limits.memory.to_string(),
            "output" => limits.output.to_string(),
            "time" => limits.time.to_string(),
            _ => limits.host_calls.to_string(),
        };
        Some((above.0, text(self), text(most)))
    }
}

impl Millis {
    /// The time as the standard library has it.
    pub fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// A text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: expected {1}")]
pub struct AmountError(String, &'static str);

/// Reads an amount as text, so that a refusal of something else says which amount is expected.
struct Amount<T>(&'static str, PhantomData<T>);

impl<T: FromStr<Err = AmountError>> Visitor<'_> for Amount<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text with {}", self.0)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

type Units = [(&'static str, u64)];
const BYTES: &Units = &[
    ("Gi", 1 << 30),
    ("G", 1_000_000_000),
    ("Mi", 1 << 20),
    ("M", 1_000_000),
    ("Ki", 1 << 10),
    ("k", 1000),
    ("", 1),
];
const FUEL: &Units = &[("G", 1_000_000_000), ("M", 1_000_000), ("k", 1000), ("", 1)];
const TIME: &Units = &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

fn read(s: &str, units: &Units, expected: &'static str) -> Result<u64, AmountError> {
    let at = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let (number, unit) = s.split_at(at);
    let factor = units.iter().find(|(u, _)| *u == unit).map(|(_, f)| *f);
    factor
        .and_then(|f| number.parse::<u64>().ok()?.checked_mul(f))
        .filter(|n| *n > 0)
        .ok_or_else(|| AmountError(s.chars().take(40).collect(), expected))
}

fn write(n: u64, units: &Units, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match units
        .iter()
        .find(|(_, size)| n >= *size && n.is_multiple_of(*size))
    {
        Some((unit, size)) => write!(f, "{}{unit}", n / size),
        None => write!(f, "{n}"),
    }
}

macro_rules! amount {
    ($type:ident, $units:ident, $expected:literal) => {
        impl FromStr for $type {
            type Err = AmountError;
            fn from_str(s: &str) -> Result<Self, AmountError> {
                read(s, $units, $expected).map($type)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(self.0, $units, f)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Amount($expected, PhantomData))
            }
        }
        impl From<$type> for String {
            fn from(x: $type) -> String {
                x.to_string()
            }
        }
    };
}
amount!(Bytes, BYTES, "bytes above zero, such as 64Mi");
amount!(Fuel, FUEL, "fuel above zero, such as 200M");
amount!(Millis, TIME, "a time above zero, such as 5s or 250ms");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!("64Mi".parse(), Ok(Bytes(64 << 20)));
        assert_eq!("200M".parse(), Ok(Fuel(200_000_000)));
        assert_eq!("250ms".parse(), Ok(Millis(250)));
        for bad in [
            "",
            "0",
            "-1",
            "1.5Gi",
            "Mi",
            "99999999999999999999",
            "20000000000Gi",
        ] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
        assert!("5".parse::<Millis>().is_err(), "a time has a unit");
        for text in ["64Mi", "3Gi", "1001"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn fuel_ends_a_call_long_before_time_does_even_on_a_slow_machine() {
        let Limits { fuel, time, .. } = Limits::HOST;
        let burned = Duration::from_millis(fuel.0 / (Limits::SLOW_FUEL_PER_SECOND / 1000));
        assert!(
            time.duration() >= 4 * burned,
            "{fuel} takes {burned:?} on a slow machine, and the time limit is only {time}"
        );
    }

    #[test]
    fn a_manifest_can_only_narrow() {
        let patch = LimitsPatch {
            memory: Some(Bytes(u64::MAX)),
            fuel: Some(Fuel(5)),
            ..Default::default()
        };
        let limits = Limits::HOST.narrowed(&patch);
        assert_eq!(limits.memory, Limits::HOST.memory);
        assert_eq!(limits.fuel, Fuel(5));
    }
}
