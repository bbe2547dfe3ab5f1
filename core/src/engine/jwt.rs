//! JSON web tokens as proof of identity (protocol.md 4.2): HS256 and nothing else.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::id::{DevId, UserId};
use crate::name::Secret;
use crate::time::UnixSeconds;

/// The user a token proves, if it is valid now: signed with the password followed by the decimal dev_id, not
/// expired. Whether it was revoked is the caller's question.
pub(super) fn verify(token: &str, password: &Secret, dev: DevId, now: UnixSeconds) -> Option<UserId> {
    let payload = signed_payload(token, password, dev)?;
    let exp = payload.get("exp")?.as_number()?;
    let alive = match exp.as_u64() {
        Some(exp) => now.0 <= exp,
        None => exp.as_f64().is_some_and(|exp| now.0 as f64 <= exp),
    };
    let user = payload.get("user_id")?.as_u64()?;
    if alive {
        UserId::new(u32::try_from(user).ok()?)
    } else {
        None
    }
}

/// What a token says that is signed with the password followed by the decimal dev_id.
fn signed_payload(token: &str, password: &Secret, dev: DevId) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    if decode(header)?.get("alg")?.as_str() != Some("HS256") {
        return None;
    }
    let mac = mac(signed, password, dev)?;
    mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    decode(payload)
}

fn mac(signed: &str, password: &Secret, dev: DevId) -> Option<Hmac<Sha256>> {
    let mut secret = Vec::from(password.reveal().as_bytes());
    secret.extend_from_slice(dev.0.to_string().as_bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).ok()?;
    mac.update(signed.as_bytes());
    Some(mac)
}

/// For a token that is signed with `password`, one of the same length that proves the same, as long, signed with `other`.
/// Of what else it says nothing is kept; as much of `filler` as there is room for tells it from other tokens.
pub(crate) fn resigned(
    token: &str,
    password: &Secret,
    other: &Secret,
    dev: DevId,
    filler: &str,
) -> Option<String> {
    let payload = signed_payload(token, password, dev)?;
    let number = |name| payload.get(name).filter(|value| value.is_number());
    let mut claims = String::from("{");
    for name in ["user_id", "exp"] {
        if let Some(value) = number(name) {
            let comma = if claims.len() > 1 { "," } else { "" };
            claims.push_str(&format!("{comma}\"{name}\":{value}"));
        }
    }
    claims.push('}');
    let signature = 43;
    let room = token.len().checked_sub(signature + 2)?;
    let signed = fitting(room, &claims, filler)?;
    let signature = mac(&signed, other, dev)?.finalize().into_bytes();
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Header and payload that are `room` characters long, without the dot between them. Each of them can have any length but
/// one more than a multiple of four.
fn fitting(room: usize, claims: &str, filler: &str) -> Option<String> {
    const HEADER: &str = r#"{"alg":"HS256"}"#;
    const FILLED: &str = r#","r":"""#;
    let encoded = |bytes: usize| (bytes * 4).div_ceil(3);
    for header in HEADER.len()..HEADER.len() + 3 {
        let left = room.checked_sub(encoded(header))?;
        let bytes = left * 3 / 4;
        if encoded(bytes) != left || bytes < claims.len() {
            continue;
        }
        let header = format!("{HEADER:header$}");
        let spare = bytes - claims.len();
        let payload = match spare.checked_sub(FILLED.len()) {
            Some(letters) if letters <= filler.len() && claims.len() > 2 => {
                let open = claims.trim_end_matches('}');
                format!("{open},\"r\":\"{}\"}}", filler.get(..letters)?)
            }
            Some(_) | None => format!("{claims:bytes$}"),
        };
        return Some(format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        ));
    }
    None
}

fn decode(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTOR: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjo1LCJleHAiOjk5ODMzMTEyMDB9.\
                          jXeCiNOA1eKLiLwcA2bkyaFZOhewvt81FCIfF278aO8";

    fn token(header: &str, payload: &str, secret: &str) -> String {
        let signed = alloc::format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        alloc::format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    fn check(token: &str, now: u64) -> Option<u32> {
        verify(token, &Secret::new("CometQLPassword"), DevId(1), UnixSeconds(now)).map(UserId::get)
    }

    const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

    #[test]
    fn the_vector_of_the_specification_is_valid() {
        assert_eq!(check(VECTOR, 1_700_000_000), Some(5));
    }

    #[test]
    fn expiry_has_no_leeway() {
        assert_eq!(check(VECTOR, 9_983_311_200), Some(5));
        assert_eq!(check(VECTOR, 9_983_311_201), None);
    }

    #[test]
    fn another_tenant_or_password_does_not_verify() {
        let password = Secret::new("CometQLPassword");
        assert_eq!(verify(VECTOR, &password, DevId(0), UnixSeconds(1)), None);
        assert_eq!(
            verify(VECTOR, &Secret::new("other"), DevId(1), UnixSeconds(1)),
            None
        );
    }

    #[test]
    fn what_a_token_must_have() {
        let secret = "CometQLPassword1";
        assert_eq!(
            check(&token(HEADER, r#"{"user_id":5,"exp":9}"#, secret), 1),
            Some(5)
        );
        assert_eq!(
            check(&token(HEADER, r#"{"user_id":5,"exp":9.5}"#, secret), 9),
            Some(5)
        );
        assert_eq!(
            check(&token(HEADER, r#"{"user_id":"5","exp":9}"#, secret), 1),
            None,
            "text user id"
        );
        assert_eq!(
            check(&token(HEADER, r#"{"user_id":5}"#, secret), 1),
            None,
            "no exp"
        );
        assert_eq!(
            check(&token(HEADER, r#"{"user_id":5,"exp":"9"}"#, secret), 1),
            None,
            "text exp"
        );
        assert_eq!(
            check(&token(HEADER, r#"{"user_id":0,"exp":9}"#, secret), 1),
            None,
            "user 0"
        );
        assert_eq!(
            check(&token(HEADER, r#"{"user_id":2147483648,"exp":9}"#, secret), 1),
            None,
            "too large"
        );
        for alg in ["none", "HS512", "hs256", "RS256"] {
            let header = alloc::format!(r#"{{"alg":"{alg}"}}"#);
            assert_eq!(
                check(&token(&header, r#"{"user_id":5,"exp":9}"#, secret), 1),
                None,
                "{alg}"
            );
        }
    }

    /// For redacted recordings.
    #[test]
    fn a_token_is_signed_anew_at_the_same_length_and_proves_the_same() {
        let (old, new) = (Secret::new("CometQLPassword"), Secret::new("other"));
        let long: String = core::iter::repeat_n('q', 600).collect();
        for extra in 0..80 {
            let name: String = core::iter::repeat_n('n', extra).collect();
            for payload in [
                format!(r#"{{"user_id":5,"exp":900,"name":"{name}"}}"#),
                format!(r#"{{"user_id":5,"exp":900}}{name:extra$}"#).replace('n', " "),
            ] {
                let token = token(HEADER, &payload, "CometQLPassword1");
                let other = resigned(&token, &old, &new, DevId(1), &long).unwrap();
                assert_eq!(other.len(), token.len(), "{payload}");
                let proves = |token: &str, password, now| verify(token, password, DevId(1), UnixSeconds(now));
                assert_eq!(proves(&other, &new, 900), proves(&token, &old, 900));
                assert!(proves(&other, &new, 900).is_some());
                assert_eq!(proves(&other, &new, 901), None);
                assert_eq!(proves(&other, &old, 1), None);
            }
        }
        assert_eq!(
            resigned(VECTOR, &new, &old, DevId(1), &long),
            None,
            "not signed so"
        );
        assert_eq!(resigned("no token", &old, &new, DevId(1), &long), None);
    }

    #[test]
    fn damaged_tokens_are_refused() {
        let mut bytes = VECTOR.as_bytes().to_vec();
        for at in 0..bytes.len() {
            let original = bytes[at];
            bytes[at] = if original == b'A' { b'B' } else { b'A' };
            let text = core::str::from_utf8(&bytes).unwrap();
            if text != VECTOR {
                assert_eq!(check(text, 1), None, "byte {at}");
            }
            bytes[at] = original;
        }
        for text in ["", ".", "..", "...", "a.b.c", &VECTOR[..VECTOR.len() - 1]] {
            assert_eq!(check(text, 1), None, "{text:?}");
        }
    }
}
