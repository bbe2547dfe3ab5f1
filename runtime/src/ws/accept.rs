//! The WebSocket handshake (protocol.md 2.3): which upgrade requests are good, and the 101 that answers them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use sha1::{Digest as _, Sha1};

/// What a server joins to the key, to show that it means WebSockets (RFC 6455, 4.2.2).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Longest `Sec-WebSocket-Key`, bytes.
const KEY_BYTES_MAX: usize = 50;

/// Why a request on the WebSocket route is answered 400 (426 for `WrongVersion`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadUpgrade {
    NotAnUpgrade,
    NoKey,
    LongKey,
    WrongVersion,
}

/// The headers of the 101 that answers a good upgrade request.
pub(crate) fn answer(request: &HeaderMap) -> Result<Vec<(HeaderName, HeaderValue)>, BadUpgrade> {
    let key = request.get(SEC_WEBSOCKET_KEY).ok_or(BadUpgrade::NoKey)?;
    if key.len() > KEY_BYTES_MAX {
        return Err(BadUpgrade::LongKey);
    }
    if key.is_empty() {
        return Err(BadUpgrade::NoKey);
    }
    if !lists(request, &UPGRADE, "websocket") || !lists(request, &CONNECTION, "upgrade") {
        return Err(BadUpgrade::NotAnUpgrade);
    }
    if request
        .get(SEC_WEBSOCKET_VERSION)
        .is_some_and(|version| version != "13")
    {
        return Err(BadUpgrade::WrongVersion);
    }
    let digest = Sha1::new()
        .chain_update(key.as_bytes())
        .chain_update(GUID)
        .finalize();
    let accept = STANDARD.encode(digest);
    let mut headers = vec![
        (UPGRADE, HeaderValue::from_static("websocket")),
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
    ];
    headers.extend(
        HeaderValue::from_str(&accept)
            .ok()
            .map(|accept| (SEC_WEBSOCKET_ACCEPT, accept)),
    );
    headers.extend(sub_protocol(request).map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol)));
    Ok(headers)
}

/// `chat` if it was offered, else the first one offered.
fn sub_protocol(request: &HeaderMap) -> Option<HeaderValue> {
    let offered = || words(request, &SEC_WEBSOCKET_PROTOCOL);
    let chosen = offered()
        .find(|word| *word == b"chat")
        .or_else(|| offered().next())?;
    HeaderValue::from_bytes(chosen).ok()
}

fn lists(request: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    words(request, name).any(|found| found.eq_ignore_ascii_case(word.as_bytes()))
}

/// The elements of a comma-separated header, which may be spread over several lines.
fn words<'a>(request: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    request
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];

    fn value(headers: &[(HeaderName, HeaderValue)], name: HeaderName) -> Option<&str> {
        headers
            .iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.to_str().unwrap())
    }

    #[test]
    fn the_example_of_rfc_6455() {
        let headers = answer(&request(&GOOD)).unwrap();
        assert_eq!(
            value(&headers, SEC_WEBSOCKET_ACCEPT),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        assert_eq!(value(&headers, SEC_WEBSOCKET_VERSION), Some("13"));
        assert_eq!(value(&headers, SEC_WEBSOCKET_PROTOCOL), None);
    }

    #[test]
    fn chat_is_preferred_else_the_first() {
        for (offered, chosen) in [("a, chat, b", "chat"), ("a,b", "a"), (" , x", "x")] {
            let mut headers = request(&GOOD);
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(offered).unwrap());
            let answer = answer(&headers).unwrap();
            assert_eq!(value(&answer, SEC_WEBSOCKET_PROTOCOL), Some(chosen), "{offered}");
        }
    }

    #[test]
    fn bad_requests() {
        let without = |name: &str| {
            let mut headers = request(&GOOD);
            headers.remove(name);
            answer(&headers).unwrap_err()
        };
        assert_eq!(without("sec-websocket-key"), BadUpgrade::NoKey);
        assert_eq!(without("upgrade"), BadUpgrade::NotAnUpgrade);
        assert_eq!(without("connection"), BadUpgrade::NotAnUpgrade);
        for (key, good) in [("k".repeat(50), true), ("k".repeat(51), false)] {
            let mut headers = request(&GOOD);
            headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).unwrap());
            assert_eq!(answer(&headers).is_ok(), good, "{} bytes", key.len());
        }
        let mut headers = request(&GOOD);
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("8"));
        assert_eq!(answer(&headers).unwrap_err(), BadUpgrade::WrongVersion);
    }
}
