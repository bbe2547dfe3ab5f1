//! Who may see the console and the demonstration, and whose page a request really comes from (protocol.md 2.1).
//!
//! Promise: left to itself, a server shows them to browsers on its own machine only: not to the network, not through a
//! proxy, not to a page of somebody else whose name suddenly means 127.0.0.1. Pure.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::{Uri, Version};

use crate::config::Switch;

/// What a request said about itself and where it came from.
pub(crate) struct Asked {
    pub(crate) version: Version,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: SocketAddr,
}

/// To whom something is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Audience {
    Everybody,
    ThisMachine,
    Nobody,
}

impl Audience {
    /// `is_private`: the port is bound to a loopback address and no proxy is known to be in front of it.
    pub(super) fn of(switch: Switch, is_private: bool) -> Self {
        match switch {
            Switch::On => Self::Everybody,
            Switch::Auto if is_private => Self::ThisMachine,
            Switch::Auto | Switch::Off => Self::Nobody,
        }
    }

    pub(super) fn includes(self, asked: &Asked) -> bool {
        match self {
            Self::Everybody => true,
            Self::ThisMachine => asked.is_from_this_machine(),
            Self::Nobody => false,
        }
    }
}

impl Asked {
    pub(super) fn is_from_this_machine(&self) -> bool {
        let mut names = self.headers.get_all(HOST).iter();
        let host = names.next().filter(|_| names.next().is_none());
        // A name of somebody else that leads here is how strange pages get in.
        let is_host_ours = host.is_some_and(|host| is_loopback_name(host.as_bytes()));
        let authority = self.uri.authority();
        is_host_ours
            && authority.is_none_or(|authority| is_loopback_name(authority.as_str().as_bytes()))
            && self.peer.ip().to_canonical().is_loopback()
            && !self.headers.keys().any(is_of_a_proxy)
            && !self.is_as_nginx_forwards()
    }

    /// nginx adds no header of its own accord. But it speaks HTTP/1.0 then, or has been told to ask for an upgrade with
    /// every request. No browser does either where a page is meant.
    fn is_as_nginx_forwards(&self) -> bool {
        let asks_upgrade = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"upgrade");
        self.version < Version::HTTP_11 || self.headers.get_all(CONNECTION).iter().any(asks_upgrade)
    }

    /// False if a page of somebody else's site asks. Programs that are no browsers name no origin.
    pub(super) fn is_of_our_own_page(&self) -> bool {
        let mut origins = self.headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => is_same_site(origin, self.headers.get(HOST)),
            (Some(_), Some(_)) => false,
        }
    }

    /// True if the body is said to be JSON: no form of a strange page can say that without asking first.
    pub(super) fn brings_json(&self) -> bool {
        let value = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let kind = value.and_then(|value| value.split(';').next());
        kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    }
}

/// Behind a proxy on the same machine everybody seems to be here.
fn is_of_a_proxy(name: &HeaderName) -> bool {
    matches!(name.as_str(), "forwarded" | "via" | "x-real-ip") || name.as_str().starts_with("x-forwarded-")
}

/// `localhost`, or a loopback address, with or without a port.
fn is_loopback_name(authority: &[u8]) -> bool {
    let Ok(authority) = str::from_utf8(authority) else {
        return false;
    };
    let (host, port) = split_port(authority);
    let host_is_ours = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inside) => inside
            .parse()
            .is_ok_and(|ip: IpAddr| ip.is_ipv6() && ip.is_loopback()),
        None => {
            host.eq_ignore_ascii_case("localhost")
                || host
                    .parse()
                    .is_ok_and(|ip: IpAddr| ip.is_ipv4() && ip.is_loopback())
        }
    };
    host_is_ours && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Host and port of `host:port`; the colons inside of brackets belong to the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    }
}

/// Compares `scheme://host:port` with `host:port`; the port of the scheme need not be written.
fn is_same_site(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let (Ok(origin), Some(Ok(host))) = (origin.to_str(), host.map(HeaderValue::to_str)) else {
        return false;
    };
    let (port_of_scheme, site) = match origin.split_once("://") {
        Some(("http", site)) => ("80", site),
        Some(("https", site)) => ("443", site),
        // `null`: a page that hides where it is from.
        Some(_) | None => return false,
    };
    let (site, site_port) = split_port(site);
    let (host, host_port) = split_port(host);
    site.eq_ignore_ascii_case(host)
        && site_port.unwrap_or(port_of_scheme) == host_port.unwrap_or(port_of_scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(peer: &str, headers: &[(&'static str, &str)]) -> Asked {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Asked {
            version: Version::HTTP_11,
            uri: Uri::from_static("/demo"),
            headers: map,
            peer: peer.parse().unwrap(),
        }
    }

    #[test]
    fn switches() {
        let local = asked("127.0.0.1:1", &[("host", "localhost:8087")]);
        let remote = asked("192.0.2.1:1", &[("host", "example.com")]);
        for (switch, is_private, to_local, to_remote) in [
            (Switch::Auto, true, true, false),
            (Switch::Auto, false, false, false),
            (Switch::On, true, true, true),
            (Switch::On, false, true, true),
            (Switch::Off, true, false, false),
        ] {
            let audience = Audience::of(switch, is_private);
            assert_eq!(audience.includes(&local), to_local, "{switch:?} {is_private}");
            assert_eq!(audience.includes(&remote), to_remote, "{switch:?} {is_private}");
        }
    }

    #[test]
    fn hosts_that_are_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:8087",
            "127.0.0.1",
            "127.0.0.1:8087",
            "127.1.2.3",
            "[::1]",
            "[::1]:8087",
        ] {
            assert!(
                asked("127.0.0.1:1", &[("host", host)]).is_from_this_machine(),
                "{host}"
            );
        }
    }

    /// DNS rebinding: the name is the attacker's, the address is ours.
    #[test]
    fn hosts_that_are_not() {
        for host in [
            "",
            "evil.example",
            "evil.example:8087",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost:evil",
            "localhost:8087:1",
            "localhost@evil.example",
            "::1",
            "[127.0.0.1]",
            "[::2]",
            "192.0.2.1",
            "0.0.0.0",
            "localhost,evil.example",
        ] {
            assert!(
                !asked("127.0.0.1:1", &[("host", host)]).is_from_this_machine(),
                "{host}"
            );
        }
        assert!(!asked("127.0.0.1:1", &[]).is_from_this_machine());
        let two = [("host", "localhost"), ("host", "localhost")];
        assert!(!asked("127.0.0.1:1", &two).is_from_this_machine());
        let mut absolute = asked("127.0.0.1:1", &[("host", "localhost")]);
        absolute.uri = Uri::from_static("http://evil.example/demo");
        assert!(!absolute.is_from_this_machine());
    }

    #[test]
    fn strangers_and_proxies_are_elsewhere() {
        for peer in ["192.0.2.1:1", "[2001:db8::1]:1"] {
            assert!(
                !asked(peer, &[("host", "localhost")]).is_from_this_machine(),
                "{peer}"
            );
        }
        for peer in ["[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(
                asked(peer, &[("host", "localhost")]).is_from_this_machine(),
                "{peer}"
            );
        }
        for name in [
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "forwarded",
            "x-real-ip",
            "via",
        ] {
            let headers = [("host", "localhost"), (name, "")];
            assert!(!asked("127.0.0.1:1", &headers).is_from_this_machine(), "{name}");
        }
        for (value, here) in [("keep-alive", true), ("close", true), ("Upgrade", false)] {
            let headers = [("host", "localhost"), ("connection", value)];
            assert_eq!(
                asked("127.0.0.1:1", &headers).is_from_this_machine(),
                here,
                "{value}"
            );
        }
        let mut old = asked("127.0.0.1:1", &[("host", "localhost")]);
        old.version = Version::HTTP_10;
        assert!(!old.is_from_this_machine());
    }

    #[test]
    fn origins() {
        for (origin, host, ours) in [
            ("http://localhost:8087", "localhost:8087", true),
            ("http://LOCALHOST:8087", "localhost:8087", true),
            ("https://a.example", "a.example", true),
            ("https://a.example", "a.example:443", true),
            ("http://a.example:80", "a.example", true),
            ("http://[::1]:8087", "[::1]:8087", true),
            ("https://a.example", "a.example:80", false),
            ("http://localhost:3000", "localhost:8087", false),
            ("http://127.0.0.1:8087", "localhost:8087", false),
            ("https://evil.example", "a.example", false),
            ("https://a.example.evil.example", "a.example", false),
            ("null", "null", false),
            ("", "", false),
            ("ftp://a.example", "a.example", false),
        ] {
            let asked = asked("127.0.0.1:1", &[("host", host), ("origin", origin)]);
            assert_eq!(asked.is_of_our_own_page(), ours, "{origin} {host}");
        }
        assert!(asked("127.0.0.1:1", &[("host", "a")]).is_of_our_own_page());
        let twice = [("host", "a"), ("origin", "http://a"), ("origin", "http://a")];
        assert!(!asked("127.0.0.1:1", &twice).is_of_our_own_page());
        assert!(!asked("127.0.0.1:1", &[("origin", "http://a")]).is_of_our_own_page());
    }

    #[test]
    fn json_says_so() {
        for (value, is) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("application/jsonx", false),
            ("text/plain; application/json", false),
        ] {
            assert_eq!(
                asked("127.0.0.1:1", &[("content-type", value)]).brings_json(),
                is,
                "{value}"
            );
        }
        assert!(!asked("127.0.0.1:1", &[]).brings_json());
    }
}
