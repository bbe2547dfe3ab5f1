//! JSON web tokens as proof of identity (protocol.md 4.2): HS256 and nothing else.

use alloc::string::ToString;
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
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    if decode(header)?.get("alg")?.as_str() != Some("HS256") {
        return None;
    }
    let mut secret = Vec::from(password.reveal().as_bytes());
    secret.extend_from_slice(dev.0.to_string().as_bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).ok()?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let payload = decode(payload)?;
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

fn decode(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

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
