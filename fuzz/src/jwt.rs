//! Tokens as proof of identity (protocol.md 4.2): well-made, stale, of another tenant, of another algorithm, cut,
//! spelled strangely, forged. A page is who it says exactly if a second implementation of the rules agrees.

use std::net::Ipv4Addr;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use comet_core::wire::{self, RequestHeaders};
use comet_core::{Action, ConnId, Core, Durable, Event, Mono, Now, UnixMillis};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::config;

const NOW_S: u64 = 1_700_000_000;
const DEV: u32 = 1;
/// The password of [`config`] and the tenant.
const SECRET: &str = "CometQLPassword1";

const HEADERS: [&str; 10] = [
    r#"{"alg":"HS256","typ":"JWT"}"#,
    r#"{"alg":"HS256"}"#,
    r#"{"typ":"JWT","alg":"none"}"#,
    r#"{"alg":"none"}"#,
    r#"{"alg":"HS512"}"#,
    r#"{"alg":"RS256"}"#,
    r#"{"alg":"hs256"}"#,
    r#"{"alg":["HS256"]}"#,
    r#"{"alg":"none","alg":"HS256"}"#,
    "[]",
];
const SECRETS: [&str; 7] = [
    SECRET,
    SECRET,
    "CometQLPassword",
    "CometQLPassword0",
    "CometQLPassword11",
    "",
    "cometqlpassword1",
];
const EXPIRIES: [&str; 12] = [
    "1700000000",
    "1700000001",
    "1699999999",
    "1700000000.5",
    "1699999999.9",
    "1e300",
    "-1",
    "18446744073709551615",
    "18446744073709551616",
    "\"1700000001\"",
    "null",
    "true",
];
const USERS: [&str; 9] = [
    "5",
    "5",
    "5.0",
    "\"5\"",
    "0",
    "-5",
    "2147483648",
    "4294967301",
    "18446744073709551621",
];

/// `data` is a list of choices: a token and who it is presented as.
pub fn jwt(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let Ok(token) = token(&mut choices) else {
        return;
    };
    let user = if choices.ratio(7, 8).unwrap_or(true) { 5 } else { 6 };
    let accepted = is_authorized(&token, user);
    let right = proves(&token) == Some(user);
    assert_eq!(accepted, right, "as user {user}: {token:?}");
}

fn token(choices: &mut Unstructured<'_>) -> Result<String> {
    let header = match choices.ratio(7, 8)? {
        true => choices.choose(&HEADERS)?.to_string(),
        false => any_text(choices)?,
    };
    let payload = match choices.ratio(7, 8)? {
        true => payload(choices)?,
        false => any_text(choices)?,
    };
    let mut signed = format!("{}.{}", encoded(choices, &header)?, encoded(choices, &payload)?);
    let secret = choices.choose(&SECRETS)?;
    let mac = hmac_sha256(secret.as_bytes(), signed.as_bytes());
    let signature = match choices.int_in_range(0..=11u8)? {
        0 => String::new(),
        1 => any_text(choices)?,
        2 => BASE64_URL_SAFE_NO_PAD.encode(&mac[..31]),
        3 => BASE64_URL_SAFE_NO_PAD.encode([&mac[..], &[0]].concat()),
        4 => BASE64_URL_SAFE.encode(mac),
        5 => BASE64_STANDARD.encode(mac),
        _ => BASE64_URL_SAFE_NO_PAD.encode(mac),
    };
    signed.push('.');
    signed.push_str(&signature);
    mutated(choices, signed)
}

fn payload(choices: &mut Unstructured<'_>) -> Result<String> {
    let user = choices.choose(&USERS)?;
    let exp = choices.choose(&EXPIRIES)?;
    Ok(match choices.int_in_range(0..=7u8)? {
        0 => format!(r#"{{"exp":{exp}}}"#),
        1 => format!(r#"{{"user_id":{user}}}"#),
        2 => format!(r#"{{"user_id":6,"exp":{exp},"user_id":{user}}}"#),
        3 => format!(r#" {{ "user_id" : {user} , "exp" : {exp} , "x" : [{{}}] }} "#),
        _ => format!(r#"{{"user_id":{user},"exp":{exp}}}"#),
    })
}

fn encoded(choices: &mut Unstructured<'_>, part: &str) -> Result<String> {
    Ok(match choices.int_in_range(0..=11u8)? {
        0 => BASE64_URL_SAFE.encode(part),
        1 => BASE64_STANDARD.encode(part),
        2 => part.to_owned(),
        _ => BASE64_URL_SAFE_NO_PAD.encode(part),
    })
}

/// Changes nothing, most of the time; else one character, which may be the one that carries unused bits.
fn mutated(choices: &mut Unstructured<'_>, token: String) -> Result<String> {
    let mut chars: Vec<char> = token.chars().collect();
    let at = choices.int_in_range(0..=chars.len() - 1)?;
    match choices.int_in_range(0..=11u8)? {
        0 => chars[at] = choices.arbitrary()?,
        1 => {
            chars.remove(at);
        }
        2 => chars.insert(at, *choices.choose(&['.', '=', 'A', '-', '+', '/', '\u{e9}'])?),
        3 => {
            let last = chars.len() - 1;
            chars[last] = choices.arbitrary::<u8>()?.into();
        }
        _ => {}
    }
    Ok(chars.into_iter().collect())
}

fn any_text(choices: &mut Unstructured<'_>) -> Result<String> {
    let length = choices.int_in_range(0..=40)?;
    Ok(String::from_utf8_lossy(choices.bytes(choices.len().min(length))?).into_owned())
}

/// What the server makes of it: a page presents the token, and is told whether it is authorized.
fn is_authorized(token: &str, user: u32) -> bool {
    let mut target = format!("/ws/sesion=&myid={user}&devid={DEV}&v=5.0&uuid=u").into_bytes();
    // Every byte escaped: the token arrives as it is.
    let escaped: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    target.splice(11..11, escaped.into_bytes());
    let config = config();
    let hello = wire::hello(&target, None, &[], config.dev_index_size);
    let client = Arc::new(RequestHeaders::default().client_info(Ipv4Addr::LOCALHOST.into()));
    let now = Now {
        mono: Mono::ZERO,
        unix: UnixMillis(NOW_S * 1000),
    };
    let mut actions = Vec::new();
    let mut core = Core::start(config, Durable::default(), 1, now, &mut actions);
    let conn = ConnId(1);
    core.handle(now, Event::Opened { conn, hello, client }, &mut actions);
    core.check();
    let told = actions.iter().find_map(|action| {
        let Action::Send { frame, .. } = action else {
            return None;
        };
        let text = frame.as_str();
        text.contains(r#""event":"serverInfo""#).then_some(text)
    });
    told.expect("F1 is the first frame")
        .contains(r#""authorized":true"#)
}

/// The rules of protocol.md 4.2 once more, written from the text.
fn proves(token: &str) -> Option<u32> {
    // Longer ones are no keys at all (Q6), nor is a text with a NUL.
    if token.len() > 600 || token.contains('\0') {
        return None;
    }
    let parts: Vec<&str> = token.split('.').collect();
    let &[header, payload, signature] = &parts[..] else {
        return None;
    };
    let read = |part: &str| -> Option<Value> {
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    if read(header)?.get("alg")? != "HS256" {
        return None;
    }
    let signed = format!("{header}.{payload}");
    let mac = hmac_sha256(SECRET.as_bytes(), signed.as_bytes());
    if BASE64_URL_SAFE_NO_PAD.decode(signature).ok()? != mac {
        return None;
    }
    let payload = read(payload)?;
    let exp = payload.get("exp")?.as_f64()?;
    if exp < NOW_S as f64 {
        return None;
    }
    let user = payload.get("user_id")?.as_u64()?;
    u32::try_from(user)
        .ok()
        .filter(|user| (1..=0x7fff_ffff).contains(user))
}

/// RFC 2104.
fn hmac_sha256(secret: &[u8], text: &[u8]) -> [u8; 32] {
    let mut key = [0; 64];
    key[..secret.len()].copy_from_slice(secret);
    let inner = Sha256::new()
        .chain_update(key.map(|byte| byte ^ 0x36))
        .chain_update(text)
        .finalize();
    Sha256::new()
        .chain_update(key.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}
