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

/// What a browser says about itself: a server that reads or keeps it should pay for that here as well. There are 480
/// different ones, about as long as real ones are.
#[derive(Debug, Clone, Copy)]
struct Browser {
    system: &'static str,
    version: u32,
    languages: &'static str,
    origin: &'static str,
}

const SYSTEMS: [&str; 4] = [
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "Linux; Android 10; K",
];
const VERSIONS: u32 = 20;
const LANGUAGES: [&str; 3] = [
    "en-US,en;q=0.9",
    "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    "fr-FR,fr;q=0.9,en;q=0.8",
];
const ORIGINS: [&str; 2] = ["https://www.example.com", "https://chat.example.org"];

impl Browser {
    /// Always the same one for a uuid.
    fn of(uuid: &str) -> Self {
        // FNV-1a, its high bits folded into the low ones that decide.
        let hash = uuid.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        let mixed = hash ^ (hash >> 15);
        let versioned = mixed / VERSIONS;
        let pick = |list: &[&'static str], number: u32| list[number as usize % list.len()];
        Self {
            version: 120 + mixed % VERSIONS,
            system: pick(&SYSTEMS, versioned),
            languages: pick(&LANGUAGES, versioned / 4),
            origin: pick(&ORIGINS, versioned / 12),
        }
    }
}

impl std::fmt::Display for Browser {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            system,
            version,
            languages,
            origin,
        } = self;
        write!(
            out,
            "User-Agent: Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 \
             Safari/537.36\r\nOrigin: {origin}\r\nAccept-Language: {languages}\r\n"
        )
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
        let browser = Browser::of(uuid);
        format!(
            "GET /ws/sesion={key}&myid={user}&devid=0&v=4.08&uuid={uuid}&api=js HTTP/1.1\r\nHost: localhost\r\n\
             Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n{browser}Upgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nSec-WebSocket-Key: {nonce}\r\n\r\n"
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

    #[test]
    fn pages_are_many_browsers_and_each_stays_what_it_is() {
        let head = |number: usize| {
            let identity = Identity::anonymous(crate::scenario::stage::uuid_of(number));
            String::from_utf8(Nonce::new(1).request(&identity)).unwrap()
        };
        let browsers: std::collections::HashSet<String> = (0..5000)
            .map(|number| {
                let head = head(number);
                ["user-agent", "origin", "accept-language"]
                    .map(|name| header(&head, name).unwrap().to_owned())
                    .join(" ")
            })
            .collect();
        assert!(browsers.len() > 300, "{}", browsers.len());
        assert_eq!(head(7), head(7));
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
