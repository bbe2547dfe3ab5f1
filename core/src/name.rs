//! Checked texts: channel and event names, markers, keys, bodies. A value of these types obeys the table of name
//! rules in protocol.md 1, so nothing behind the decoders has to look again.

use alloc::string::String;
use alloc::sync::Arc;
use core::{fmt, str};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// `A-Z a-z 0-9 _ -`: the name characters of protocol.md.
pub const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Why a text is not a valid name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    /// Under the minimum length.
    TooShort,
    /// Over the maximum length.
    TooLong,
    /// Contains a character outside the alphabet.
    BadCharacter,
}

fn check(text: &str, min: usize, max: usize, allowed: fn(u8) -> bool) -> Result<(), NameError> {
    if text.len() < min {
        Err(NameError::TooShort)
    } else if text.len() > max {
        Err(NameError::TooLong)
    } else if !text.bytes().all(allowed) {
        Err(NameError::BadCharacter)
    } else {
        Ok(())
    }
}

/// A text kept in place, at most 32 bytes without NUL. What every connection and every stored user has would cost more
/// in a block of its own than the text is long.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
struct Short {
    /// Filled up with NUL, so that the order is that of the texts.
    bytes: [u8; 32],
    len: u8,
}

impl Short {
    const MAX: usize = 32;

    /// `None` if the text is too long.
    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).ok()?;
        Some(Self { bytes, len })
    }

    fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.len.into()).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }
}

impl Serialize for Short {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.as_str().serialize(to)
    }
}

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(&text).ok_or_else(|| D::Error::custom("a text is too long to be kept in place"))
    }
}

/// A channel (protocol.md 1): 2 to 64 name characters; CometQL demands at least 3.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelName(Arc<str>);

/// What protocol.md 3 says about a channel, decided by its name alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelKind {
    /// No rule of its own; also every reserved prefix that has no meaning (S34).
    Plain,
    /// `web_*`: anyone may send.
    Web,
    /// `webauth_*`: authorized connections may send.
    WebAuth,
    /// `track_*`: joins and leaves are announced.
    Track,
    /// `private_*`: authorized connections may subscribe and read history.
    Private,
    /// `trust_*`: always has history.
    Trust,
    /// `msg`: the pseudo-channel of private messages (Q27).
    Msg,
    /// `sys` and `_answer*`: pseudo-channels of server answers (Q27).
    Answer,
}

impl ChannelName {
    /// Shortest name a browser may use, bytes.
    pub const BROWSER_MIN: usize = 2;
    /// Shortest name CometQL may use, bytes.
    pub const COMETQL_MIN: usize = 3;
    /// Longest name, bytes (Q59); 31 are promised (S27).
    pub const MAX: usize = 64;

    /// Checks a name sent by a browser.
    pub fn from_browser(text: &str) -> Result<Self, NameError> {
        check(text, Self::BROWSER_MIN, Self::MAX, is_name_byte).map(|()| Self(text.into()))
    }

    /// Checks a name written in CometQL.
    pub fn from_cometql(text: &str) -> Result<Self, NameError> {
        check(text, Self::COMETQL_MIN, Self::MAX, is_name_byte).map(|()| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The rules that come with the name.
    pub fn kind(&self) -> ChannelKind {
        let name = &*self.0;
        if name == "msg" {
            ChannelKind::Msg
        } else if name == "sys" || name.starts_with("_answer") {
            ChannelKind::Answer
        } else if name.starts_with("web_") {
            ChannelKind::Web
        } else if name.starts_with("webauth_") {
            ChannelKind::WebAuth
        } else if name.starts_with("track_") {
            ChannelKind::Track
        } else if name.starts_with("private_") {
            ChannelKind::Private
        } else if name.starts_with("trust_") {
            ChannelKind::Trust
        } else {
            ChannelKind::Plain
        }
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The event of a message: 0 to 64 name characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EventName(Arc<str>);

impl EventName {
    /// Longest event, bytes.
    pub const MAX: usize = 64;

    /// Checks an event name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, 0, Self::MAX, is_name_byte).map(|()| Self(text.into()))
    }

    /// The name, may be empty (S49).
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The token a browser puts into a request to recognise the answer: 0 to 64 name characters.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Marker(Arc<str>);

impl Marker {
    /// Longest marker, bytes.
    pub const MAX: usize = 64;

    /// Checks a marker.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, 0, Self::MAX, is_name_byte).map(|()| Self(text.into()))
    }

    /// The marker, may be empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a page gives to a message so that it is accepted once however often it is sent: 8 to 64 name characters, never
/// used for another message of the same browser (protocol-v5.md 3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SendKey(Arc<str>);

impl SendKey {
    /// Shortest key, bytes.
    pub const MIN: usize = 8;
    /// Longest key, bytes.
    pub const MAX: usize = 64;

    /// Checks a key.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, Self::MIN, Self::MAX, is_name_byte).map(|()| Self(text.into()))
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The identifier a browser chose for itself, 0 to 32 name characters; not a credential (protocol.md 1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct ClientUuid(Short);

impl ClientUuid {
    /// Longest uuid, bytes.
    pub const MAX: usize = Short::MAX;

    /// Never fails: longer texts are cut, texts with other characters count as empty (protocol.md 1).
    pub fn parse(text: &str) -> Self {
        let mut end = text.len().min(Self::MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let cut = text.get(..end).unwrap_or_default();
        let usable = cut.bytes().all(is_name_byte);
        Self(Short::new(cut).filter(|_| usable).unwrap_or_default())
    }

    /// The uuid, may be empty.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// True if the browser told no usable uuid.
    pub const fn is_empty(&self) -> bool {
        self.0.len == 0
    }
}

impl fmt::Debug for ClientUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientUuid").field(&self.as_str()).finish()
    }
}

/// A key of `users_auth`: 1 to 32 characters of `A-Z a-z 0-9 = + / _`. Never printed.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuthHash(Short);

impl AuthHash {
    /// Longest hash, bytes.
    pub const MAX: usize = Short::MAX;

    /// Checks a hash: any text of the alphabet, the site chooses (S3; Q46: an empty one is refused).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'+' | b'/' | b'_');
        check(text, 1, Self::MAX, allowed)?;
        Short::new(text).map(Self).ok_or(NameError::TooLong)
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        self.0.as_str()
    }
}

/// A token of `revoked_tokens`, or the key of a browser's URL: 1 to 600 bytes without NUL. Never printed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token(Arc<str>);

impl Token {
    /// Longest token, bytes (Q6, Q79).
    pub const MAX: usize = 600;

    /// Checks a token.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, 1, Self::MAX, |b| b != 0).map(|()| Self(text.into()))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The secret itself, shared.
    pub fn reveal_shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

/// The server's password. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether somebody presents this secret. See [`same_secret`].
    pub fn is(&self, presented: &[u8]) -> bool {
        same_secret(self.0.as_bytes(), presented)
    }
}

/// Compares secrets in a time that tells nothing of ours, not even its length: digests are compared, which have one length.
pub fn same_secret(ours: &[u8], presented: &[u8]) -> bool {
    Sha256::digest(ours).ct_eq(&Sha256::digest(presented)).into()
}

macro_rules! redacted {
    ($($type:ident),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(redacted)"))
            }
        }
    )*};
}

redacted!(AuthHash, Token, Secret);

/// Text of a message or of `users_data`: opaque UTF-8, shared instead of copied.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Body(Arc<str>);

impl Body {
    /// Wraps a text; the limit (`body_bytes_max`) is the decoder's business.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// protocol.md 1: cut at 32 bytes, but never within a character; what then has other characters counts as empty.
    #[test]
    fn uuids_are_cut_between_characters() {
        for (text, expected) in [
            ("a".repeat(33), "a".repeat(32)),
            ("a".repeat(31) + "é", "a".repeat(31)),
            ("a".repeat(30) + "éa", String::new()),
            ("é".repeat(17), String::new()),
        ] {
            assert_eq!(ClientUuid::parse(&text).as_str(), expected, "{text}");
        }
    }
}
