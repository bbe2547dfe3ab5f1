//! The WebSocket URL (protocol.md 2.1, 2.2): which requests are WebSocket requests, and what their parameters say.
//!
//! The target comes from anybody, so nothing here fails in another way than the fatal errors of protocol.md 2.2, and
//! nothing is kept that is longer than its limit.

mod origin;

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

pub use origin::origin_allowed;

use super::{Dialect, Hello, Refusal, RefusalReason};
use crate::id::{DevId, UserId};
use crate::name::{ClientUuid, Token};

/// The path as routes know it: one leading slash, without the optional first segment `comet-server` under which
/// reverse proxies mount the server (protocol.md 2.1). A path without leading slash stays as it is.
pub fn normalise_path(path: &str) -> &str {
    // The cut falls before a slash, so it is between characters.
    match path.get(route_start(path.as_bytes())..) {
        Some("/comet-server") => "/",
        Some(route) => route,
        None => path,
    }
}

/// True if the path, in any of its spellings, is that of a WebSocket request.
pub fn is_ws_route(path: &str) -> bool {
    normalise_path(path).starts_with("/ws/")
}

/// Where the normalised path begins: at the last of its leading slashes.
fn route_start(path: &[u8]) -> usize {
    let start = last_leading_slash(path, 0);
    let segment = b"/comet-server";
    let Some(behind) = path.get(start..).and_then(|rest| rest.strip_prefix(segment)) else {
        return start;
    };
    if behind.first() == Some(&b'/') {
        last_leading_slash(path, start + segment.len())
    } else {
        start
    }
}

fn last_leading_slash(path: &[u8], from: usize) -> usize {
    let slashes = path.iter().skip(from).take_while(|b| **b == b'/').count();
    from + slashes.saturating_sub(1)
}

/// Reads the request target of a WebSocket request, for instance `/ws/sesion=…&myid=…`. `origin` is the Origin
/// header, `origins` the allow-list, `dev_index_size` the number of tenants.
///
/// Of several errors the first in the order 401, 406, 418, 423 is told. Of several values the first counts. The user
/// id is a text (S6), tenant, user and key come as the page's `start` got them (S21), and both may be missing (S23).
pub fn hello(
    target: &[u8],
    origin: Option<&[u8]>,
    origins: &[String],
    dev_index_size: u32,
) -> Result<Hello, Refusal> {
    hello_to(target, origin, |_| origins, dev_index_size)
}

/// As [`hello`], where every tenant has an allow-list of its own.
pub fn hello_to<'a>(
    target: &[u8],
    origin: Option<&[u8]>,
    origins: impl FnOnce(DevId) -> &'a [String],
    dev_index_size: u32,
) -> Result<Hello, Refusal> {
    let parameters = Parameters::read(target);
    let dialect = parameters.version.as_deref().and_then(parse_version);
    let refuse = |reason| Refusal {
        dialect: dialect.unwrap_or(Dialect::V3),
        reason,
    };
    let (Some(key), Some(user)) = (&parameters.key, &parameters.user) else {
        return Err(refuse(RefusalReason::NoCredentials));
    };
    let Some(dev) = &parameters.dev else {
        return Err(refuse(RefusalReason::NoDevId));
    };
    let Some(dialect) = dialect else {
        return Err(refuse(RefusalReason::BadVersion));
    };
    let dev = parse_dev(dev, dev_index_size);
    if !origin_allowed(origin, origins(dev)) {
        return Err(refuse(RefusalReason::OriginRefused));
    }
    Ok(Hello {
        dev,
        user: core::str::from_utf8(user).ok().and_then(UserId::parse),
        key: parse_key(key),
        dialect,
        uuid: ClientUuid::parse(&String::from_utf8_lossy(
            parameters.uuid.as_deref().unwrap_or_default(),
        )),
    })
}

/// The decoded values of the known parameters.
#[derive(Default)]
struct Parameters<'a> {
    key: Option<Cow<'a, [u8]>>,
    user: Option<Cow<'a, [u8]>>,
    dev: Option<Cow<'a, [u8]>>,
    version: Option<Cow<'a, [u8]>>,
    uuid: Option<Cow<'a, [u8]>>,
}

impl<'a> Parameters<'a> {
    /// By name, in any order (Q5). A target that is no WebSocket route has no parameters.
    fn read(target: &'a [u8]) -> Self {
        let path = target.get(route_start(target)..).unwrap_or_default();
        let text = path.strip_prefix(b"/ws/").unwrap_or_default();
        let text = text.split(|b| *b == b' ').next().unwrap_or_default();
        let text = text.strip_prefix(b"?").unwrap_or(text);
        let mut found = Self::default();
        for part in text.split(|b| *b == b'&') {
            let mut halves = part.splitn(2, |b| *b == b'=');
            let name = percent_decode(halves.next().unwrap_or_default());
            let slot = match &*name {
                b"sesion" | b"session" => &mut found.key,
                b"myid" => &mut found.user,
                b"devid" => &mut found.dev,
                b"v" => &mut found.version,
                b"uuid" => &mut found.uuid,
                _ => continue,
            };
            if slot.is_none() {
                *slot = Some(percent_decode(halves.next().unwrap_or_default()));
            }
        }
        found
    }
}

/// Decodes `%41`; `+` and incomplete sequences are left alone.
fn percent_decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        match (first, escaped_byte(tail)) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                decoded.push(first);
                rest = tail;
            }
        }
    }
    Cow::Owned(decoded)
}

fn escaped_byte(tail: &[u8]) -> Option<u8> {
    let hex = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
    u8::try_from(hex(0)? << 4 | hex(1)?).ok()
}

/// `digits.digits` or `digits`; only whether it is 4, or 5 and more, matters, so a number of any length is fine.
fn parse_version(text: &[u8]) -> Option<Dialect> {
    let mut numbers = text.splitn(2, |b| *b == b'.');
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let major = numbers.next()?;
    let minor = numbers.next().unwrap_or(b"0");
    if !is_number(major) || !is_number(minor) {
        return None;
    }
    let significant: Vec<u8> = major.iter().copied().skip_while(|b| *b == b'0').collect();
    Some(match significant.as_slice() {
        [] | [b'1'..=b'3'] => Dialect::V3,
        [b'4'] => Dialect::V4,
        _ => Dialect::V5,
    })
}

/// Anything that is no number of a tenant is tenant 0 (protocol.md 2.2).
fn parse_dev(text: &[u8], dev_index_size: u32) -> DevId {
    let digits = core::str::from_utf8(text).ok();
    let digits = digits.filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let number = digits.and_then(|text| text.parse().ok());
    DevId(number.filter(|n| *n < dev_index_size).unwrap_or_default())
}

/// What the JavaScript clients send without a key is no key, nor is a text that could not be one (Q6).
fn parse_key(text: &[u8]) -> Option<Token> {
    if matches!(text, b"undefined" | b"null") {
        return None;
    }
    Token::parse(&String::from_utf8_lossy(text)).ok()
}

#[cfg(test)]
mod tests;
