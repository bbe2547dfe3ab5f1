//! Who the browser really is when it comes through a proxy (protocol.md 7.11).

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderMap;

use crate::config::TrustedProxies;

/// The address shown for a browser. Headers count only if the peer is a trusted proxy: then the right-most entry of
/// `X-Forwarded-For` that is no trusted proxy itself, else `X-Real-IP`. Entries further left can be forged.
pub(crate) fn client_ip(peer: SocketAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> String {
    let peer = peer.ip().to_canonical();
    if !trusted.contains(peer) {
        return peer.to_string();
    }
    forwarded_for(headers, trusted)
        .or_else(|| real_ip(headers))
        .unwrap_or(peer)
        .to_string()
}

fn forwarded_for(headers: &HeaderMap, trusted: &TrustedProxies) -> Option<IpAddr> {
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        // Who wrote an entry that is no address is not to be believed about those before it, either.
        let ip = address(entry)?;
        if !trusted.contains(ip) {
            return Some(ip);
        }
    }
    None
}

fn real_ip(headers: &HeaderMap) -> Option<IpAddr> {
    address(headers.get("x-real-ip")?.to_str().ok()?)
}

/// An address, perhaps with a port or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
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
        client_ip(peer.parse().unwrap(), &map, &trusted)
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

    #[test]
    fn x_real_ip_only_without_the_other() {
        assert_eq!(ip("10.9.9.9:1", &[("x-real-ip", "203.0.113.7")]), "203.0.113.7");
        let both = [("x-forwarded-for", "203.0.113.5"), ("x-real-ip", "203.0.113.7")];
        assert_eq!(ip("10.9.9.9:1", &both), "203.0.113.5");
        assert_eq!(ip("10.9.9.9:1", &[]), "10.9.9.9");
    }
}
