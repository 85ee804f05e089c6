//! Which addresses a name may lead to: asked of the very addresses that are connected to, each time anew.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Where a request may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Addresses {
    /// Anywhere: whoever runs this host has named the very host.
    All,
    /// Anywhere but this machine and its own link, where clouds hand out their secrets.
    Network,
    /// The public internet.
    Public,
    /// This machine.
    Loopback,
}

impl Addresses {
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        let address = meant(address);
        match self {
            Addresses::All => true,
            Addresses::Network => !is_own(address),
            Addresses::Public => !is_own(address) && is_public(address),
            Addresses::Loopback => address.is_loopback(),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Addresses::All => "any address",
            Addresses::Network => {
                "an address that is not this machine's own or its link's: name the very host under `hosts` of the host's \
                 externals"
            }
            Addresses::Public => {
                "an address of the public internet: name the host under `hosts` of the host's externals"
            }
            Addresses::Loopback => "an address of this machine",
        }
    }
}

/// A resolver that leaves out what a name may not lead to.
#[derive(Debug)]
pub(super) struct Guarded<R> {
    pub(super) inner: R,
    pub(super) addresses: Addresses,
}

impl<R: Resolver> Resolver for Guarded<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut left = self.empty();
        for address in found.iter() {
            if self.addresses.allows(address.ip()) {
                left.push(*address);
            }
        }
        if !left.is_empty() || found.is_empty() {
            return Ok(left);
        }
        let first = found.first().map_or(String::new(), |a| a.ip().to_string());
        let why = format!(
            "it leads to {first}; expected {}",
            self.addresses.expected()
        );
        Err(ureq::Error::Io(io::Error::new(
            io::ErrorKind::PermissionDenied,
            why,
        )))
    }
}

/// An IPv6 address that stands for an IPv4 one is that one.
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let bits = u32::from(high) << 16 | u32::from(low);
        IpAddr::V4(Ipv4Addr::from_bits(bits))
    };
    match [a, b, c, d, e, f] {
        // `::ffff:a.b.c.d`, and what a NAT64 takes for an IPv4 address.
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(g, h),
        // 6to4 has it in front.
        [0x2002, high, low, ..] => v4(high, low),
        // `::a.b.c.d`, but not `::` and `::1`.
        [0, 0, 0, 0, 0, 0] if (g, h) != (0, 0) && (g, h) != (0, 1) => v4(g, h),
        _ => address,
    }
}

/// This machine, or its own link; and what is no single machine.
fn is_own(address: IpAddr) -> bool {
    let link = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80 || v6 == Ipv6Addr::UNSPECIFIED,
    };
    link || address.is_loopback() || address.is_multicast()
}

/// Not set aside for networks of one's own, for tests, for books or for nothing.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_documentation()
                || (a == 100 && b & 0xc0 == 64)
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && b & 0xfe == 18)
                || a >= 240)
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            // What is given out at all, without what is for books.
            a & 0xe000 == 0x2000 && (a, b) != (0x2001, 0xdb8)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_address_is_where_it_is() {
        use Addresses::{All, Loopback, Network, Public};
        for (address, allowed) in [
            ("93.184.216.34", &[All, Network, Public][..]),
            ("2606:2800:220:1::1", &[All, Network, Public]),
            ("10.96.0.1", &[All, Network]),
            ("172.16.0.1", &[All, Network]),
            ("172.31.255.255", &[All, Network]),
            ("192.168.1.1", &[All, Network]),
            ("100.64.0.1", &[All, Network]),
            ("198.18.0.1", &[All, Network]),
            ("192.0.2.1", &[All, Network]),
            ("fd00::1", &[All, Network]),
            ("fc00::1", &[All, Network]),
            ("2001:db8::1", &[All, Network]),
            ("127.0.0.1", &[All, Loopback]),
            ("127.9.9.9", &[All, Loopback]),
            ("::1", &[All, Loopback]),
            ("::ffff:127.0.0.1", &[All, Loopback]),
            ("64:ff9b::7f00:1", &[All, Loopback]),
            ("2002:7f00:1::", &[All, Loopback]),
            ("::127.0.0.1", &[All, Loopback]),
            ("169.254.169.254", &[All]),
            ("::ffff:169.254.169.254", &[All]),
            ("64:ff9b::a9fe:a9fe", &[All]),
            ("2002:a9fe:a9fe::", &[All]),
            ("fe80::1", &[All]),
            ("0.0.0.0", &[All]),
            ("::", &[All]),
            ("255.255.255.255", &[All]),
            ("224.0.0.1", &[All]),
            ("ff02::1", &[All]),
            ("::ffff:10.0.0.1", &[All, Network]),
            ("172.32.0.1", &[All, Network, Public]),
            ("100.128.0.1", &[All, Network, Public]),
        ] {
            for addresses in [All, Network, Public, Loopback] {
                let found = addresses.allows(address.parse().unwrap());
                assert_eq!(
                    found,
                    allowed.contains(&addresses),
                    "{address} {addresses:?}"
                );
            }
        }
    }

    /// A name server that answers something else each time.
    #[derive(Debug)]
    struct Changing(Mutex<Vec<Vec<&'static str>>>);

    impl Resolver for Changing {
        fn resolve(
            &self,
            _: &Uri,
            _: &Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let mut found = self.empty();
            for address in self.0.lock().unwrap().remove(0) {
                found.push(SocketAddr::new(address.parse().unwrap(), 443));
            }
            Ok(found)
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_the_second_time_is_refused_the_second_time() {
        let answers = vec![
            vec!["93.184.216.34"],
            vec!["169.254.169.254"],
            vec!["127.0.0.1", "93.184.216.34", "10.0.0.1"],
            vec!["10.0.0.1", "::1"],
        ];
        let resolver = Guarded {
            inner: Changing(Mutex::new(answers)),
            addresses: Addresses::Public,
        };
        let agent = ureq::agent();
        let resolve = || {
            let timeout = NextTimeout {
                after: ureq::unversioned::transport::time::Duration::NotHappening,
                reason: ureq::Timeout::Resolve,
                per_read: None,
                per_write: None,
            };
            let found = resolver.resolve(
                &"https://a.example/".parse().unwrap(),
                agent.config(),
                timeout,
            );
            found.map(|found| found.iter().map(|a| a.ip().to_string()).collect::<Vec<_>>())
        };
        assert_eq!(resolve().unwrap(), ["93.184.216.34"]);
        let error = resolve().unwrap_err().to_string();
        assert!(
            error.contains("169.254.169.254") && error.contains("`hosts`"),
            "{error}"
        );
        assert_eq!(resolve().unwrap(), ["93.184.216.34"]);
        assert!(resolve().unwrap_err().to_string().contains("10.0.0.1"));
    }
}
