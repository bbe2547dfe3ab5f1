//! Whose an address is: one machine has one IPv4 address, but 2^64 of IPv6; and a site has 2^16 such networks.

use core::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// What one party certainly has for itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Network {
    /// One IPv4 address, also if it is written as IPv6.
    Address(u32),
    /// The first 64 bits of an IPv6 address: one link.
    Link(u64),
    /// The first 48 bits of an IPv6 address: one site.
    Site(u64),
}

impl Network {
    /// The smallest network that is counted.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::Address(ip.to_bits()),
            IpAddr::V6(ip) => Self::Link((ip.to_bits() >> 64) as u64),
        }
    }

    /// The larger network it belongs to, if there is one.
    pub const fn site(self) -> Option<Self> {
        match self {
            Self::Link(bits) => Some(Self::Site(bits >> 16)),
            Self::Address(_) | Self::Site(_) => None,
        }
    }
}

/// Whether an address belongs to everybody's own networks: this machine, a private network, a link. Many people may be
/// behind it that a proxy did not tell apart.
pub(crate) fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || is_shared(ip)
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified()
        }
    }
}

/// 100.64.0.0/10, between a provider and its customers (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    a == 100 && (64..128).contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn neighbours_share_a_network() {
        let of = |text| Network::of(ip(text));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("2001:db8:0:1::1").site(), of("2001:db8:0:2::1").site());
        assert_ne!(of("2001:db8:0:1::1").site(), of("2001:db8:1:1::1").site());
        assert_eq!(of("192.0.2.1").site(), None);
    }

    #[test]
    fn private_networks() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(ip(text)), "{text}");
        }
        for text in [
            "192.0.2.1",
            "172.32.0.1",
            "100.128.0.1",
            "100.63.0.1",
            "2001:db8::1",
            "8.8.8.8",
        ] {
            assert!(!is_private(ip(text)), "{text}");
        }
    }
}
