//! Where browsers are: several behind one address, some in one IPv6 network, some whose address nobody knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of simulated browsers. The second is the first, written as IPv6; the next two are one network, and
/// all of IPv6 is one site; the last is of a private network, which may be a proxy's.
const ADDRESSES: [Option<IpAddr>; 7] = [
    Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
    Some(IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped())),
    Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1))),
    Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 2))),
    Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1))),
    None,
    Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))),
];

/// The address of a browser.
pub fn of_browser(number: usize) -> Option<IpAddr> {
    ADDRESSES[number % ADDRESSES.len()]
}

/// What the server takes for one party (protocol.md 4.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// One IPv4 address.
    Four([u8; 4]),
    /// So many 16-bit parts of an IPv6 address, the rest is 0.
    Six(usize, [u16; 4]),
}

impl Network {
    /// The smallest one around an address.
    pub const fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::Four(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Self::Six(4, [a, b, c, d])
            }
        }
    }

    /// The site around a network of IPv6.
    pub const fn site(self) -> Option<Self> {
        match self {
            Self::Six(4, [a, b, c, _]) => Some(Self::Six(3, [a, b, c, 0])),
            Self::Six(..) | Self::Four(_) => None,
        }
    }

    /// Of those that are used here only one is private.
    pub const fn is_private(self) -> bool {
        matches!(self, Self::Four([10, ..]))
    }
}
