//! Who the browser really is when it comes through a proxy (protocol.md 7.11).

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::config::TrustedProxies;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of a browser, as it is shown and counted. Headers count only if the peer is a trusted proxy: then the right-most entry of
/// `X-Forwarded-For` that is no trusted proxy itself, else `X-Real-IP`. Entries further left can be forged.
pub(crate) fn client_address(peer: SocketAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let peer = peer.ip().to_canonical();
    if !trusted.contains(peer) {
        return peer;
    }
    // A line of the one that cannot be believed does not make the other better.
    let shown = if headers.contains_key(FORWARDED_FOR) {
        forwarded_for(headers, trusted)
    } else {
        real_ip(headers)
    };
    shown.unwrap_or(peer)
}

fn forwarded_for(headers: &HeaderMap, trusted: &TrustedProxies) -> Option<IpAddr> {
    let lines: Vec<&[u8]> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    // Split as bytes: what a client wrote must not hide what the proxy wrote behind it.
    for entry in lines
        .iter()
        .rev()
        .flat_map(|line| line.rsplit(|&byte| byte == b','))
    {
        // Who wrote an entry that is no address is not to be believed about those before it, either.
        let ip = address(entry)?;
        if !trusted.contains(ip) {
            return Some(ip);
        }
    }
    None
}

fn real_ip(headers: &HeaderMap) -> Option<IpAddr> {
    address(headers.get("x-real-ip")?.as_bytes())
}

/// An address, perhaps with a port or in brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let ip = bare
        .parse()
        .ok()
        .or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(IpAddr::to_canonical(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let trusted = TrustedProxies::parse(["127.0.0.1", "10.0.0.0/8"]).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn strangers_cannot_choose_their_address() {
        let headers = [("x-forwarded-for", "1.2.3.4"), ("x-real-ip", "1.2.3.4")];
        assert_eq!(ip("192.0.2.1:5000", &headers), "192.0.2.1");
        assert_eq!(ip("[::ffff:192.0.2.1]:5000", &headers), "192.0.2.1");
    }

    #[test]
    fn the_right_most_entry_that_is_no_proxy() {
        let case = |value| ip("127.0.0.1:1", &[("x-forwarded-for", value)]);
        assert_eq!(case("6.6.6.6, 203.0.113.5, 10.1.1.1"), "203.0.113.5");
        assert_eq!(case("203.0.113.5"), "203.0.113.5");
        assert_eq!(case("203.0.113.5:4711"), "203.0.113.5");
        assert_eq!(case("2001:db8::1"), "2001:db8::1");
        assert_eq!(case("[2001:db8::1]:80, 10.0.0.1"), "2001:db8::1");
        assert_eq!(case("10.0.0.1"), "127.0.0.1");
        assert_eq!(case("203.0.113.5, nonsense"), "127.0.0.1");
        let lines = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "203.0.113.9, 10.0.0.2"),
        ];
        assert_eq!(ip("127.0.0.1:1", &lines), "203.0.113.9");
    }

    /// A proxy forwards what the client wrote, byte for byte, and adds its own entry.
    #[test]
    fn bytes_that_are_no_text_hide_nothing() {
        let trusted = TrustedProxies::parse(["127.0.0.1"]).unwrap();
        let shown = |line: &[u8]| {
            let mut map = HeaderMap::new();
            map.append("x-forwarded-for", "6.6.6.6".parse().unwrap());
            map.append("x-forwarded-for", HeaderValue::from_bytes(line).unwrap());
            map.append("x-real-ip", "6.6.6.6".parse().unwrap());
            client_address("127.0.0.1:1".parse().unwrap(), &map, &trusted).to_string()
        };
        assert_eq!(shown(b"\xff, 203.0.113.5"), "203.0.113.5");
        assert_eq!(shown(b"203.0.113.5, \xff"), "127.0.0.1");
    }

    #[test]
    fn x_real_ip_only_without_the_other() {
        assert_eq!(ip("10.9.9.9:1", &[("x-real-ip", "203.0.113.7")]), "203.0.113.7");
        let both = [("x-forwarded-for", "203.0.113.5"), ("x-real-ip", "203.0.113.7")];
        assert_eq!(ip("10.9.9.9:1", &both), "203.0.113.5");
        assert_eq!(ip("10.9.9.9:1", &[]), "10.9.9.9");
    }
}
