//! What the simulated site calls things: channels, users, keys, tokens, bodies. All of them are made from numbers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The server's password.
pub const PASSWORD: &str = "CometQLPassword";
/// `main.max_message_body` in every simulated world.
pub const BODY_MAX: usize = 4096;
/// Seconds since 1970 at which every run begins.
pub const EPOCH_S: u64 = 1_700_000_000;
/// Channels of every tenant.
pub const CHANNELS: [&str; 12] = [
    "web_a",
    "web_b",
    "track_a",
    "track_b",
    "private_a",
    "trust_a",
    "plain-1",
    "webauth_a",
    "user_status_1",
    "user_status_2",
    "user_status_3",
    "_answer_to_web_a",
];

/// How many of the channels may be written by CometQL without being mistaken for automatic frames.
pub const WRITABLE: u64 = 8;

/// The name of a channel.
pub fn channel(index: u64) -> &'static str {
    CHANNELS[(index % CHANNELS.len() as u64) as usize]
}

/// The key of a user in a version.
pub fn hash(dev: u32, user: u32, version: u64) -> String {
    format!("hash_{dev}_{user}_{}", version % 3)
}

/// Tokens have thirteen versions: the third expires early, the fourth at a fraction of a second, and the others are broken,
/// each in a way of its own.
pub const TOKENS: u64 = 13;
/// Those of them that prove something.
pub const TRUE_TOKENS: u64 = 4;

/// When a version of a token expires.
pub const fn token_expires(version: u64) -> u64 {
    if matches!(version % TOKENS, 2 | 3) {
        EPOCH_S + 60
    } else {
        EPOCH_S + 1_000_000_000
    }
}

/// The token of a user in a version (protocol.md 4.2).
pub fn token(dev: u32, user: u32, version: u64) -> String {
    let version = version % TOKENS;
    let alg = if version == 4 { "none" } else { "HS256" };
    let header = match version {
        10 => "no JSON".to_owned(),
        11 => r#"{"typ":"JWT"}"#.to_owned(),
        _ => format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#),
    };
    let header = URL_SAFE_NO_PAD.encode(header);
    let fraction = if version == 3 { ".5" } else { "" };
    let exp = token_expires(version);
    let payload = match version {
        5 => format!(r#"{{"exp":{exp},"v":5}}"#),
        6 => format!(r#"{{"user_id":{user},"v":6}}"#),
        7 => format!("no JSON of {user}"),
        _ => format!(r#"{{"user_id":{user},"exp":{exp}{fraction},"v":{version}}}"#),
    };
    let payload = URL_SAFE_NO_PAD.encode(payload);
    let mut mac = Hmac::<Sha256>::new_from_slice(format!("{PASSWORD}{dev}").as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(format!("{header}.{payload}").as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    match version {
        8 => format!("{header}.{signature}"),
        9 => format!(
            "{header}.{payload}.{}",
            signature.replace(|c: char| c.is_lowercase(), "A")
        ),
        12 => format!("{header}.{payload}.+{signature}"),
        _ => format!("{header}.{payload}.{signature}"),
    }
}

/// The text of message number `n`. Every kind contains the number as its first run of digits.
pub fn body(kind: u64, n: u64) -> String {
    match kind % 7 {
        0 => format!(r#"{{"n":{n},"text":"it's \"here\" \u0444\n"}}"#),
        1 => format!("m{n} it's \\ and \"q\""),
        2 => format!("{n}"),
        3 => format!("m{n} \u{1f600} текст\nline"),
        4 => format!("m{n} {}", "x".repeat(300 + (n as usize % 9) * 150)),
        5 => format!("A::{n};forged"),
        _ => format!("\"m{n}\""),
    }
}

/// The event of message number `n`; sometimes there is none.
pub fn event(kind: u64) -> &'static str {
    ["ev1", "", "ev-2", "event_3"][(kind % 4) as usize]
}

/// What an application sees of a text: JSON is parsed, everything else is text (protocol.md 2.5.1).
pub fn view(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::String(inner)) => inner,
        Ok(value) => format!("json {value}"),
        Err(_) => text.to_owned(),
    }
}

/// The first number in a text.
pub fn number_in(text: &str) -> Option<u64> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits = text.get(start..)?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    /// The vector of protocol.md 4.2 differs from our tokens by the claim `v` only, so the signing is compared.
    #[test]
    fn a_body_contains_its_number() {
        for kind in 0..7 {
            let text = super::body(kind, 4711);
            assert_eq!(super::number_in(&super::view(&text)), Some(4711), "{text}");
        }
    }
}
