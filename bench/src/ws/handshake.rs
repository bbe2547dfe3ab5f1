//! The opening handshake of protocol.md 2.2 and 2.3, both ends: the request a page sends, and the few lines of answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// What a page says about itself in the URL.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    /// 0 for an anonymous page.
    pub(crate) user: u32,
    /// Auth hash or JWT; empty for an anonymous page.
    pub(crate) key: String,
    pub(crate) uuid: String,
}

impl Identity {
    pub(crate) fn anonymous(uuid: String) -> Self {
        Self {
            uuid,
            ..Self::default()
        }
    }
}

/// The nonce of a whole run. RFC 6455 asks for one per connection so that caches cannot answer; none sits between us
/// and a loopback server, and a shared one costs no memory per connection.
#[derive(Debug)]
pub(crate) struct Nonce {
    key: String,
    accept: String,
}

impl Nonce {
    pub(crate) fn new(seed: u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        bytes[8..].copy_from_slice(&(!seed).to_be_bytes());
        let key = STANDARD.encode(bytes);
        let accept = accept_for(&key);
        Self { key, accept }
    }

    pub(crate) fn request(&self, identity: &Identity) -> Vec<u8> {
        let Identity { user, key, uuid } = identity;
        let nonce = &self.key;
        format!(
            "GET /ws/sesion={key}&myid={user}&devid=0&v=4.08&uuid={uuid}&api=js HTTP/1.1\r\nHost: localhost\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {nonce}\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n"
        )
        .into_bytes()
    }

    /// Reads the answer: the number of its bytes once it is complete and right.
    pub(crate) fn check(&self, answer: &[u8]) -> Result<Option<usize>, String> {
        let Some(end) = head_end(answer) else {
            return if answer.len() > 16 * 1024 {
                Err("endless answer to the upgrade".into())
            } else {
                Ok(None)
            };
        };
        let head = String::from_utf8_lossy(&answer[..end]);
        let status = head.lines().next().unwrap_or_default();
        if status.split(' ').nth(1) != Some("101") {
            return Err(format!("upgrade refused: {status}"));
        }
        match header(&head, "sec-websocket-accept") {
            Some(accept) if accept == self.accept => Ok(Some(end)),
            Some(_) | None => Err("wrong Sec-WebSocket-Accept".into()),
        }
    }
}

/// Where the bytes after a header block begin.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The value of a header, its name given in lower case.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

pub(crate) fn accept_for(key: &str) -> String {
    STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_that_of_the_rfc() {
        assert_eq!(
            accept_for("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn only_a_right_answer_opens() {
        let nonce = Nonce::new(7);
        let right = format!(
            "HTTP/1.1 101 Switching\r\nUPGRADE: websocket\r\nSEC-WebSocket-Accept:{}\r\n\r\n",
            nonce.accept
        );
        assert_eq!(nonce.check(right.as_bytes()), Ok(Some(right.len())));
        assert_eq!(nonce.check(&right.as_bytes()[..right.len() - 1]), Ok(None));
        assert!(nonce.check(right.replace("101", "403").as_bytes()).is_err());
        assert!(
            nonce
                .check(right.replace("Accept:", "Accept:x").as_bytes())
                .is_err()
        );
    }

    /// 2.2: the URL is the one unmodified clients send, names and order included.
    #[test]
    fn the_url_is_that_of_the_clients() {
        let identity = Identity {
            user: 7,
            key: "abc".into(),
            uuid: "u".repeat(32),
        };
        let request = String::from_utf8(Nonce::new(1).request(&identity)).unwrap();
        let uuid = "u".repeat(32);
        assert!(request.starts_with(&format!(
            "GET /ws/sesion=abc&myid=7&devid=0&v=4.08&uuid={uuid}&api=js HTTP/1.1\r\n"
        )));
    }
}
