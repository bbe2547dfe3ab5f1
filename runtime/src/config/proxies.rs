//! Peers whose `X-Forwarded-For` is believed (`ws.trusted_proxies`, protocol.md 7.11): addresses and networks.

use std::net::IpAddr;

/// A set of addresses and networks; empty = nobody is trusted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl TrustedProxies {
    /// What one entry may look like.
    pub(super) const ALLOWED: &str = "IP addresses and networks like 10.0.0.0/8 or fd00::/8";

    /// Reads one entry per text; `None` if one of them is neither an address nor a network.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        entries
            .into_iter()
            .map(Network::parse)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Is this peer a trusted proxy? An IPv4 address written as IPv6 counts as the IPv4 address.
    pub fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(peer))
    }

    /// True if nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= bits_max)?,
            None => bits_max,
        };
        Some(Self { address, prefix_bits })
    }

    fn contains(self, peer: IpAddr) -> bool {
        match (self.address, peer) {
            (IpAddr::V4(net), IpAddr::V4(peer)) => {
                same_prefix(net.to_bits().into(), peer.to_bits().into(), 32 - self.prefix_bits)
            }
            (IpAddr::V6(net), IpAddr::V6(peer)) => {
                same_prefix(net.to_bits(), peer.to_bits(), 128 - self.prefix_bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Equal but for the lowest `free_bits` bits?
fn same_prefix(a: u128, b: u128, free_bits: u32) -> bool {
    (a ^ b).checked_shr(free_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(entries: &[&str], peer: &str) -> bool {
        TrustedProxies::parse(entries.iter().copied())
            .unwrap()
            .contains(peer.parse().unwrap())
    }

    #[test]
    fn addresses_and_networks_are_found() {
        let entries = ["127.0.0.1", "10.0.0.0/8", "fd00::/8", "::1"];
        for peer in ["127.0.0.1", "10.255.1.2", "fdab::9", "::1", "::ffff:10.1.1.1"] {
            assert!(contains(&entries, peer), "{peer}");
        }
        for peer in ["127.0.0.2", "11.0.0.1", "fe80::1", "::2"] {
            assert!(!contains(&entries, peer), "{peer}");
        }
        assert!(!contains(&[], "127.0.0.1"));
    }

    #[test]
    fn a_prefix_of_no_bits_is_everybody_of_that_family() {
        assert!(contains(&["0.0.0.0/0"], "203.0.113.9"));
        assert!(!contains(&["0.0.0.0/0"], "2001:db8::1"));
        assert!(contains(&["::/0"], "2001:db8::1"));
    }

    #[test]
    fn anything_else_is_refused() {
        for entry in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/-1",
        ] {
            assert_eq!(TrustedProxies::parse([entry]), None, "{entry}");
        }
    }
}
