//! The Origin allow-list (protocol.md 2.2, Q7).
//!
//! Everything that is not understood is refused: an Origin that is no `scheme://host[:port]`, an entry that is no
//! host. There is no prefix or suffix test but the one an entry `*.example.com` asks for, and that one includes the
//! dot.

use alloc::string::String;
use core::net::Ipv6Addr;

/// The entry for programs that are no browsers and say no Origin. No name of a host can be this.
const NO_ORIGIN: &str = "-";
/// What pages say whose browser hides where they are from: sandboxed frames, files, `data:` URLs; and the entry for them.
const HIDDEN: &str = "null";

/// True if a browser of this Origin may connect (Q7).
///
/// An empty list, and one with an entry that is exactly `*`, means everybody. `*.example.com` is an ordinary entry, and
/// a misspelt one such as `*example.com` admits nobody.
pub fn origin_allowed(origin: Option<&[u8]>, origins: &[String]) -> bool {
    let mut entries = origins
        .iter()
        .map(|entry| entry.trim())
        .filter(|entry| !entry.is_empty());
    let is_empty = entries.clone().next().is_none();
    if is_empty || entries.clone().any(|entry| entry == "*") {
        return true;
    }
    let Some(origin) = origin else {
        return entries.any(|entry| entry == NO_ORIGIN);
    };
    if origin == HIDDEN.as_bytes() {
        return entries.any(|entry| entry == HIDDEN);
    }
    let Ok(origin) = core::str::from_utf8(origin) else {
        return false;
    };
    let Some(origin) = Site::parse(origin).filter(|site| site.scheme.is_some()) else {
        return false;
    };
    let mut hosts = entries.filter(|entry| !matches!(*entry, NO_ORIGIN | HIDDEN));
    hosts.any(|entry| Site::parse(entry.trim_end_matches('/')).is_some_and(|entry| entry.admits(&origin)))
}

/// `[scheme://]host[:port]`, of an Origin or of an entry.
struct Site<'a> {
    scheme: Option<&'a str>,
    /// Without the brackets of an IPv6 address.
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Site<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, place) = match text.split_once("://") {
            Some((scheme, place)) => (Some(scheme), place),
            None => (None, text),
        };
        let (host, port) = split_port(place)?;
        let printable =
            |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b'@' | b'?' | b'#' | b'\\' | b',');
        if host.is_empty() || !host.bytes().all(printable) {
            return None;
        }
        Some(Self { scheme, host, port })
    }

    /// `self` is an entry of the list, `origin` an Origin.
    fn admits(&self, origin: &Self) -> bool {
        let scheme = self.scheme.zip(origin.scheme);
        scheme.is_none_or(|(wanted, given)| wanted.eq_ignore_ascii_case(given))
            && self.port.is_none_or(|port| origin.effective_port() == Some(port))
            && self.admits_host(origin.host)
    }

    fn admits_host(&self, host: &str) -> bool {
        if let Some(domain) = self.host.strip_prefix("*.") {
            return is_sub_domain(host, domain);
        }
        let addresses = (self.host.parse::<Ipv6Addr>(), host.parse::<Ipv6Addr>());
        if let (Ok(wanted), Ok(given)) = addresses {
            return wanted == given;
        }
        self.host.eq_ignore_ascii_case(host)
    }

    /// Browsers leave out the usual port of a scheme.
    fn effective_port(&self) -> Option<u16> {
        let usual = match self.scheme {
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => Some(80),
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => Some(443),
            _ => None,
        };
        self.port.or(usual)
    }
}

fn is_sub_domain(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.as_bytes(), domain.as_bytes());
    let Some(front) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    let (front, back) = host.split_at(front);
    !domain.is_empty() && back.eq_ignore_ascii_case(domain) && front.len() >= 2 && front.ends_with(b".")
}

/// Host without brackets, and port. A text with several colons and no brackets is an IPv6 address.
fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, behind) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match behind.strip_prefix(':') {
            Some(port) => Some((host, Some(parse_port(port)?))),
            None => behind.is_empty().then_some((host, None)),
        };
    }
    match place.split_once(':') {
        None => Some((place, None)),
        Some((_, rest)) if rest.contains(':') => {
            place.parse::<Ipv6Addr>().ok()?;
            Some((place, None))
        }
        Some((host, port)) => Some((host, Some(parse_port(port)?))),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origin: &str, entries: &[&str]) -> bool {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        origin_allowed(Some(origin.as_bytes()), &entries)
    }

    #[test]
    fn an_empty_list_means_everybody() {
        for list in [
            vec![],
            vec![String::new()],
            vec!["*".to_owned()],
            vec!["*".to_owned(), "example.com".to_owned()],
        ] {
            for origin in [
                None,
                Some(b"null".as_slice()),
                Some(b"https://example.com"),
                Some(b"\xff"),
            ] {
                assert!(origin_allowed(origin, &list), "{origin:?} {list:?}");
            }
        }
    }

    #[test]
    fn a_misspelt_wildcard_admits_nobody() {
        for entry in ["*example.com", "**", "*.", "*:80"] {
            assert!(!allowed("https://example.com", &[entry]), "{entry}");
            assert!(!allowed("https://evil.org", &[entry]), "{entry}");
        }
    }

    #[test]
    fn a_list_wants_an_origin() {
        let list = ["example.com".to_owned()];
        for origin in [
            None,
            Some(b"".as_slice()),
            Some(b"null"),
            Some(b"\xff"),
            Some(b"example.com"),
            Some(b"https://"),
        ] {
            assert!(!origin_allowed(origin, &list), "{origin:?}");
        }
    }

    #[test]
    fn no_origin_and_a_hidden_one_have_entries_of_their_own() {
        let programs = ["-".to_owned(), "example.com".to_owned()];
        let hidden = ["null".to_owned()];
        assert!(origin_allowed(None, &programs) && !origin_allowed(None, &hidden));
        assert!(origin_allowed(Some(b"null"), &hidden) && !origin_allowed(Some(b"null"), &programs));
        for origin in [&b"-"[..], b"https://-", b"https://null", b"NULL", b"", b"null "] {
            assert!(!origin_allowed(Some(origin), &programs), "{origin:?}");
        }
        assert!(!origin_allowed(Some(b""), &hidden) && !origin_allowed(Some(b"NULL"), &hidden));
        assert!(origin_allowed(Some(b"https://example.com"), &programs));
    }

    #[test]
    fn hosts_are_compared_whole() {
        // Q7
        for origin in [
            "http://example.com",
            "https://example.com:8443",
            "HTTPS://EXAMPLE.Com",
            "app://example.com",
        ] {
            assert!(allowed(origin, &["other.org", " Example.COM "]), "{origin}");
        }
        for origin in [
            "https://example.com.evil.org",
            "https://evilexample.com",
            "https://www.example.com",
            "https://example.co",
            "https://example.com.",
            "https://example.com@evil.org",
            "https://evil.org/example.com",
            "https://example.com/",
            "https://evil.org#example.com",
            "https://example.com https://evil.org",
            "https://example.com,https://evil.org",
            "https://example.com:",
            "https://example.com:x",
            "https://example.com:99999",
            "https://example.com\\.evil.org",
            "://",
            "https://:443",
        ] {
            assert!(!allowed(origin, &["example.com"]), "{origin}");
        }
    }

    #[test]
    fn scheme_and_port_count_only_if_named() {
        assert!(allowed("https://a.org", &["https://a.org"]));
        assert!(allowed("https://a.org:1", &["https://a.org/"]));
        assert!(!allowed("http://a.org", &["https://a.org"]));
        assert!(allowed("http://a.org:81", &["a.org:81"]));
        assert!(!allowed("http://a.org:82", &["a.org:81"]));
        assert!(!allowed("http://a.org", &["a.org:81"]));
        // Browsers leave out the usual port.
        assert!(allowed("https://a.org", &["a.org:443"]));
        assert!(!allowed("http://a.org", &["a.org:443"]));
        assert!(allowed("http://a.org", &["http://a.org:80"]));
        assert!(!allowed("https://a.org:8443", &["https://a.org:443"]));
        assert!(
            !allowed("app://a.org", &["a.org:443"]),
            "only https has that port"
        );
        for port in ["+443", "", "443x", "-1"] {
            assert!(!allowed(&format!("https://a.org:{port}"), &["a.org"]), "{port}");
        }
    }

    #[test]
    fn sub_domains_only_behind_a_dot() {
        let list = &["*.example.com"];
        for origin in ["https://a.example.com", "https://a.b.EXAMPLE.com:1"] {
            assert!(allowed(origin, list), "{origin}");
        }
        for origin in [
            "https://example.com",
            "https://.example.com",
            "https://aexample.com",
            "https://a.example.com.evil.org",
            // What is no host ends in one.
            "https://evil.org/a.example.com",
            "https://evil.org#a.example.com",
            "https://evil.org?a.example.com",
            "https://evil.org@a.example.com",
            "https://evil.org\\a.example.com",
            "https://evil.org,a.example.com",
            "https://evil.org a.example.com",
            "https://evil.org\u{7f}a.example.com",
        ] {
            assert!(!allowed(origin, list), "{origin}");
        }
        assert!(allowed("https://a.b.org:1", &["https://*.b.org:1"]));
        assert!(!allowed("http://a.b.org:1", &["https://*.b.org:1"]));
    }

    #[test]
    fn ipv6_hosts_are_addresses() {
        for entry in ["[::1]", "::1", "[0:0:0:0:0:0:0:1]", "http://[::1]:80"] {
            assert!(allowed("http://[::1]", &[entry]), "{entry}");
        }
        assert!(allowed("http://[::1]:8087", &["[::1]"]));
        assert!(!allowed("http://[::1]:8087", &["[::1]:80"]));
        for origin in [
            "http://[::2]",
            "http://[::1",
            "http://[::1]x",
            "http://[::1].evil.org",
            "http://[evil]",
        ] {
            assert!(!allowed(origin, &["[::1]"]), "{origin}");
        }
        // Brackets and colons are for addresses only.
        assert!(!allowed("http://[evil.org]", &["evil.org"]));
        assert!(!allowed("http://a:b:c", &["a:b:c"]));
    }
}
