//! Identifiers. Each is issued ascending and never used twice (Q65), so that a late event about a dead connection
//! can never hit a living one.

use alloc::string::String;
use core::fmt;
use core::num::NonZeroU32;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One browser connection. Issued by the runtime, ascending within a shard; the shard is in the high bits, so a
/// sorted list of connections splits into one slice per shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct ConnId(pub u64);

impl ConnId {
    /// Bits below the shard number: 2^48 connections per shard and server run.
    pub const SHARD_SHIFT: u32 = 48;

    /// The `serial`-th connection of a shard, from 1: where connections are told of, 0 is nobody (protocol.md 7.17).
    pub const fn new(shard: u16, serial: u64) -> Self {
        assert!(serial < 1 << Self::SHARD_SHIFT);
        Self(((shard as u64) << Self::SHARD_SHIFT) | serial)
    }

    /// The shard that owns the socket.
    pub const fn shard(self) -> usize {
        (self.0 >> Self::SHARD_SHIFT) as usize
    }
}

/// One CometQL session (MySQL connection).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

/// One CometQL statement; its reply carries the same number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

/// One durable change, numbered by the core from 1 without gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default, Serialize, Deserialize)]
pub struct OpId(pub u64);

/// Tenant number (protocol.md 1). Everything is separated by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default, Serialize, Deserialize)]
pub struct DevId(pub u32);

/// A user of one tenant: 1 … 2147483647 (protocol.md 1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct UserId(NonZeroU32);

impl UserId {
    /// Largest user id; nine digits are promised (S4).
    pub const MAX: u32 = i32::MAX as u32;

    /// A user id, if `n` is inside the bounds.
    pub const fn new(n: u32) -> Option<Self> {
        match NonZeroU32::new(n) {
            Some(number) if n <= Self::MAX => Some(Self(number)),
            Some(_) | None => None,
        }
    }

    /// Parses decimal digits only: no sign, no blank, no overflow (Q56). Leading zeros are allowed.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Self::new(text.parse().ok()?)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// Position in a user's queue or a channel's history, ascending in the order of acceptance. After a restart it goes on
/// behind what is stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// Before every message.
    pub const START: Self = Self(0);
    /// After every message. Fits a signed 64-bit column.
    pub const END: Self = Self(i64::MAX as u64);
}

/// The id of a message: a time-based UUID (version 7), printed in 36 characters (protocol.md 2.5.2 F4, 6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u128);

impl MessageId {
    /// Parses the 36-character form, upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return None;
        }
        let mut value = 0u128;
        for (at, &byte) in bytes.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            value = value << 4 | u128::from((byte as char).to_digit(16)?);
        }
        Some(Self(value))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            v >> 96,
            v >> 80 & 0xffff,
            v >> 64 & 0xffff,
            v >> 48 & 0xffff,
            v & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For people as it is printed, for machines as a number.
impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.collect_str(self)
        } else {
            self.0.serialize(to)
        }
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if !from.is_human_readable() {
            return u128::deserialize(from).map(Self);
        }
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a message id"))
    }
}
