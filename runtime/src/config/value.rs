//! One setting: what a source wrote, what kind of value the key wants, and the value that comes out. The error is
//! always the sentence "it must be …" of the kind.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use comet_core::Secret;

use super::{Switch, TrustedProxies};
use crate::logging::LogLevel;

/// What a source wrote.
#[derive(Clone, PartialEq)]
pub(super) enum Raw {
    /// `key = text` of comet.ini.
    Ini(String),
    /// `key = []text` of comet.ini: appended to a list.
    IniAppend(String),
    /// Environment and command line.
    Plain(String),
    /// A TOML string.
    Text(String),
    /// A TOML boolean.
    Flag(bool),
    /// A TOML integer.
    Number(i64),
    /// A TOML array of strings.
    List(Vec<String>),
    /// A TOML value no key wants, by the name of its type.
    Other(&'static str),
}

/// What a key wants.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// Any text; never shown.
    Secret,
    /// True or false.
    Flag,
    /// A whole number inside bounds.
    Number { min: u64, max: u64 },
    /// A number of bytes, with K, M or G behind it for the powers of 1024.
    Bytes { max: u64 },
    /// An IP address to listen on.
    Ip,
    /// An address and port, or `off`.
    Listen,
    /// Texts: commas between them, `[]` lines of comet.ini, a TOML array.
    List,
    /// A list of IP addresses and networks.
    Networks,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `auto`, `on` or `off`; true and false are on and off.
    Switch,
    /// A log level.
    Level,
}

/// A checked value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Text(String),
    Secret(Secret),
    Flag(bool),
    Switch(Switch),
    Number(u64),
    Ip(IpAddr),
    Listen(Option<SocketAddr>),
    List(Vec<String>),
    Level(LogLevel),
}

impl Raw {
    /// The text of every source that only knows texts, and of TOML strings.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Ini(text) | Self::Plain(text) | Self::Text(text) => Some(text),
            Self::IniAppend(_) | Self::Flag(_) | Self::Number(_) | Self::List(_) | Self::Other(_) => None,
        }
    }
}

/// For error messages; whoever prints it makes sure that the key is no secret.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ini(text) | Self::Plain(text) => write!(f, "{text}"),
            Self::IniAppend(text) => write!(f, "[]{text}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::List(list) => write!(f, "{list:?}"),
            Self::Other(kind) => write!(f, "({kind})"),
        }
    }
}

impl Kind {
    /// Checks what a source wrote; `None` if the key cannot have it.
    pub(super) fn parse(self, raw: &Raw) -> Option<Value> {
        let text = raw.text().map(str::trim);
        match self {
            Self::Text => text.map(|text| Value::Text(text.to_owned())),
            // Blanks belong to a password unless comet.ini has cut them off. An empty one is a mistake; in comet.ini it
            // has an error of its own, unless another source sets it.
            Self::Secret => raw
                .text()
                .filter(|text| !text.is_empty() || matches!(raw, Raw::Ini(_)))
                .map(|text| Value::Secret(Secret::new(text))),
            Self::Flag => flag(raw).map(Value::Flag),
            Self::Number { min, max } => {
                let number = match raw {
                    Raw::Number(number) => u64::try_from(*number).ok(),
                    Raw::Ini(text) | Raw::Plain(text) => digits(text.trim()),
                    Raw::IniAppend(_) | Raw::Text(_) | Raw::Flag(_) | Raw::List(_) | Raw::Other(_) => None,
                };
                number
                    .filter(|number| (min..=max).contains(number))
                    .map(Value::Number)
            }
            Self::Bytes { max } => {
                let bytes = match raw {
                    Raw::Number(number) => u64::try_from(*number).ok(),
                    Raw::Ini(_) | Raw::Plain(_) | Raw::Text(_) => text.and_then(bytes),
                    Raw::IniAppend(_) | Raw::Flag(_) | Raw::List(_) | Raw::Other(_) => None,
                };
                bytes.filter(|bytes| *bytes <= max).map(Value::Number)
            }
            Self::Ip => text.and_then(ip).map(Value::Ip),
            Self::Listen => text.and_then(listen).map(Value::Listen),
            Self::List => list(raw).map(Value::List),
            Self::Networks => list(raw)
                .filter(|entries| TrustedProxies::parse(entries.iter().map(String::as_str)).is_some())
                .map(Value::List),
            Self::Word(words) => text
                .filter(|text| words.contains(text))
                .map(|text| Value::Text(text.to_owned())),
            Self::Switch => switch(raw).map(Value::Switch),
            Self::Level => {
                let number = if let Raw::Number(number) = raw {
                    Some(number.to_string())
                } else {
                    None
                };
                number
                    .as_deref()
                    .or(text)
                    .and_then(LogLevel::parse)
                    .map(Value::Level)
            }
        }
    }

    /// What the key accepts, to be read after "it must be".
    pub(super) fn allowed(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Secret => "a text, and not an empty one".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Number { min, max } => format!("a whole number from {min} to {max}"),
            Self::Bytes { max } => format!("a number of bytes up to {max}, like 0, 67108864, 64M or 2G"),
            Self::Ip => "an IP address of this machine, like 127.0.0.1 or 0.0.0.0 for all of them".to_owned(),
            Self::Listen => "ADDR:PORT, like 127.0.0.1:8087 or [::]:8087".to_owned(),
            Self::List => "texts with commas between them, or in TOML an array of texts".to_owned(),
            Self::Networks => format!("{}, with commas between them", TrustedProxies::ALLOWED),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Switch => "one of auto, on, off".to_owned(),
            Self::Level => LogLevel::ALLOWED.to_owned(),
        }
    }
}

/// Decimal digits only: no sign, no blank.
fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// `1536`, `64K`, `64M`, `2G`.
fn bytes(text: &str) -> Option<u64> {
    let shift = match text.as_bytes().last()? {
        b'K' | b'k' => 10,
        b'M' | b'm' => 20,
        b'G' | b'g' => 30,
        _ => 0,
    };
    let number = if shift == 0 {
        text
    } else {
        text.get(..text.len() - 1)?
    };
    let number = digits(number).filter(|_| !number.is_empty())?;
    number.checked_mul(1 << shift)
}

/// In comet.ini everything but three spellings of true is false (protocol.md 8.2); elsewhere it must be said.
fn flag(raw: &Raw) -> Option<bool> {
    match raw {
        Raw::Flag(flag) => Some(*flag),
        Raw::Ini(text) => Some(matches!(text.as_str(), "true" | "True" | "TRUE")),
        Raw::Plain(text) => match text.trim() {
            "true" | "True" | "TRUE" | "1" => Some(true),
            "false" | "False" | "FALSE" | "0" => Some(false),
            _ => None,
        },
        Raw::IniAppend(_) | Raw::Text(_) | Raw::Number(_) | Raw::List(_) | Raw::Other(_) => None,
    }
}

fn switch(raw: &Raw) -> Option<Switch> {
    match raw {
        Raw::Flag(true) => Some(Switch::On),
        Raw::Flag(false) => Some(Switch::Off),
        Raw::Ini(text) | Raw::Plain(text) | Raw::Text(text) => match text.trim() {
            "auto" => Some(Switch::Auto),
            "on" | "true" => Some(Switch::On),
            "off" | "false" => Some(Switch::Off),
            _ => None,
        },
        Raw::IniAppend(_) | Raw::Number(_) | Raw::List(_) | Raw::Other(_) => None,
    }
}

fn ip(text: &str) -> Option<IpAddr> {
    match text {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        "*" => Some(Ipv4Addr::UNSPECIFIED.into()),
        _ => text.parse().ok(),
    }
}

/// The inner `None` is `off`.
fn listen(text: &str) -> Option<Option<SocketAddr>> {
    if text == "off" {
        return Some(None);
    }
    if let Ok(address) = text.parse() {
        return Some(Some(address));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = digits(port).and_then(|port| u16::try_from(port).ok())?;
    let host = ip(host).filter(IpAddr::is_ipv4)?;
    Some(Some(SocketAddr::new(host, port)))
}

fn list(raw: &Raw) -> Option<Vec<String>> {
    let split = |text: &str| {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect()
    };
    match raw {
        Raw::Ini(text) | Raw::IniAppend(text) | Raw::Plain(text) | Raw::Text(text) => Some(split(text)),
        Raw::List(entries) => Some(entries.clone()),
        Raw::Flag(_) | Raw::Number(_) | Raw::Other(_) => None,
    }
}

/// For `check-config`. Secrets stay secret.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) if text.is_empty() => f.write_str("(empty)"),
            Self::Text(text) => f.write_str(text),
            Self::Secret(_) => f.write_str("(set, not shown)"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Switch(switch) => f.write_str(switch.word()),
            Self::Number(number) => write!(f, "{number}"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Listen(Some(address)) => write!(f, "{address}"),
            Self::Listen(None) => f.write_str("off"),
            Self::List(entries) if entries.is_empty() => f.write_str("(empty)"),
            Self::List(entries) => f.write_str(&entries.join(", ")),
            Self::Level(level) => write!(f, "{level}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_suffixes_and_a_largest_value() {
        let kind = Kind::Bytes { max: 1 << 40 };
        for (text, bytes) in [
            ("0", Some(0)),
            ("67108864", Some(64 << 20)),
            ("64K", Some(64 << 10)),
            ("64M", Some(64 << 20)),
            ("64m", Some(64 << 20)),
            ("2G", Some(2 << 30)),
            ("1024G", Some(1 << 40)),
            ("1025G", None),
            ("99999999999999999999", None),
            ("18446744073709551615G", None),
            ("M", None),
            ("", None),
            ("-1", None),
            ("6 4M", None),
            ("64MB", None),
            ("1.5G", None),
        ] {
            let expected = bytes.map(Value::Number);
            assert_eq!(kind.parse(&Raw::Plain(text.to_owned())), expected, "{text}");
            assert_eq!(kind.parse(&Raw::Text(text.to_owned())), expected, "{text}");
        }
        assert_eq!(kind.parse(&Raw::Number(5)), Some(Value::Number(5)));
        assert_eq!(kind.parse(&Raw::Number(-5)), None);
    }

    fn plain(kind: Kind, text: &str) -> Option<Value> {
        kind.parse(&Raw::Plain(text.to_owned()))
    }

    #[test]
    fn numbers_obey_their_bounds() {
        let kind = Kind::Number { min: 1, max: 65535 };
        assert_eq!(plain(kind, "1"), Some(Value::Number(1)));
        assert_eq!(plain(kind, " 65535 "), Some(Value::Number(65535)));
        for wrong in [
            "0",
            "65536",
            "-1",
            "+1",
            "",
            "1.5",
            "0x10",
            "99999999999999999999",
        ] {
            assert_eq!(plain(kind, wrong), None, "{wrong}");
        }
        assert_eq!(
            kind.parse(&Raw::Text("1".into())),
            None,
            "TOML tells numbers from texts"
        );
        assert_eq!(kind.parse(&Raw::Number(-1)), None);
    }

    #[test]
    fn flags_are_strict_but_in_comet_ini() {
        for text in ["true", "True", "TRUE"] {
            assert_eq!(Kind::Flag.parse(&Raw::Ini(text.into())), Some(Value::Flag(true)));
        }
        for text in ["yes", "1", "tRUE", "on", "false"] {
            assert_eq!(
                Kind::Flag.parse(&Raw::Ini(text.into())),
                Some(Value::Flag(false)),
                "{text}"
            );
        }
        assert_eq!(plain(Kind::Flag, "1"), Some(Value::Flag(true)));
        assert_eq!(plain(Kind::Flag, "yes"), None);
        assert_eq!(Kind::Flag.parse(&Raw::Text("true".into())), None);
    }

    #[test]
    fn switches_are_words_or_flags() {
        for (raw, expected) in [
            (Raw::Plain("auto".into()), Some(Switch::Auto)),
            (Raw::Ini("on".into()), Some(Switch::On)),
            (Raw::Text(" off ".into()), Some(Switch::Off)),
            (Raw::Plain("true".into()), Some(Switch::On)),
            (Raw::Flag(false), Some(Switch::Off)),
            (Raw::Plain("yes".into()), None),
            (Raw::Plain(String::new()), None),
            (Raw::Number(1), None),
        ] {
            assert_eq!(Kind::Switch.parse(&raw), expected.map(Value::Switch), "{raw}");
        }
    }

    #[test]
    fn addresses_with_port_and_off() {
        let address = |text| plain(Kind::Listen, text);
        assert_eq!(
            address("127.0.0.1:80"),
            Some(Value::Listen(Some(([127, 0, 0, 1], 80).into())))
        );
        assert_eq!(address("localhost:80"), address("127.0.0.1:80"));
        assert_eq!(address("*:0"), address("0.0.0.0:0"));
        assert!(address("[::1]:80").is_some());
        assert_eq!(address("off"), Some(Value::Listen(None)));
        for wrong in [
            "",
            "80",
            "127.0.0.1",
            "127.0.0.1:65536",
            "::1:80",
            "example.com:80",
            "1.2.3.4:",
        ] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_password_keeps_its_blanks_and_is_never_shown() {
        let value = plain(Kind::Secret, " a b ");
        assert_eq!(value, Some(Value::Secret(Secret::new(" a b "))));
        let value = value.unwrap();
        assert!(!format!("{value} {value:?}").contains("a b"));
    }
}
