//! Message ids: UUIDs of version 7. The first 48 bits are the time, the rest comes from a generator seeded once per
//! server run, so the core needs no random source. Ids ascend within a run. They are names, not secrets.
//!
//! A message with a send key has an id of version 8, made from what identifies it and nothing else (protocol-v5.md 3).

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::{DevId, MessageId, UserId};
use crate::name::{ChannelName, ClientUuid, SendKey};
use crate::time::UnixMillis;

/// Makes message ids.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MessageIds {
    state: u64,
    last: u128,
}

impl MessageIds {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed, last: 0 }
    }

    /// A new id, larger than every one before.
    pub(crate) fn next(&mut self, now: UnixMillis) -> MessageId {
        let time = u128::from(now.0 & 0xffff_ffff_ffff) << 80;
        let random = u128::from(self.random()) << 64 | u128::from(self.random());
        let made = stamp(time | (random & !(0xffff_ffff_ffff << 80)));
        // A wall clock that stands still or goes backwards must not break the order.
        self.last = if made > self.last {
            made
        } else {
            stamp(self.last + 1)
        };
        MessageId(self.last)
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What identifies a message that a page may send more than once.
pub(super) struct Keyed<'a> {
    pub(super) dev: DevId,
    /// The proven sender, also of a message sent with `@`.
    pub(super) user: Option<UserId>,
    pub(super) uuid: &'a ClientUuid,
    pub(super) channel: &'a ChannelName,
    pub(super) key: &'a SendKey,
}

impl Keyed<'_> {
    /// The same id on every attempt and in every run of the server.
    pub(super) fn id(&self) -> MessageId {
        let numbers = [self.dev.0, self.user.map_or(0, UserId::get)].map(u32::to_be_bytes);
        let digest = Sha256::new()
            .chain_update(b"comet-server message")
            .chain_update(numbers.concat())
            .chain_update(self.uuid.as_str())
            // No name contains it, so no two messages are the same text.
            .chain_update(b"/")
            .chain_update(self.channel.as_str())
            .chain_update(b"/")
            .chain_update(self.key.as_str())
            .finalize();
        let value = digest
            .iter()
            .take(16)
            .fold(0, |value: u128, byte| value << 8 | u128::from(*byte));
        MessageId((stamp(value) & !(0xf << 76)) | 8 << 76)
    }
}

/// Sets the version and variant bits. A carry out of the 62 low bits would land in the variant and be overwritten;
/// it cannot happen twice in one millisecond, since the low bits are drawn anew.
fn stamp(value: u128) -> u128 {
    let versioned = (value & !(0xf << 76)) | 7 << 76;
    (versioned & !(0x3 << 62)) | 0x2 << 62
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn ids_ascend_even_if_the_clock_does_not() {
        let mut ids = MessageIds::new(1);
        let mut previous = ids.next(UnixMillis(1_700_000_000_000));
        for step in 0..10_000u64 {
            let id = ids.next(UnixMillis(1_700_000_000_000 - step % 7));
            assert!(id > previous);
            previous = id;
        }
    }

    #[test]
    fn ids_are_version_7_and_round_trip_in_36_characters() {
        let mut ids = MessageIds::new(7);
        let id = ids.next(UnixMillis(0x0123_4567_89ab));
        let text = id.to_string();
        assert_eq!(text.len(), 36);
        assert!(text.starts_with("01234567-89ab-7"), "{text}");
        assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
        assert_eq!(MessageId::parse(&text), Some(id));
    }

    /// Ids are the same on every machine and in every version: recordings, kept scripts and send keys that live in
    /// stored histories count on it.
    #[test]
    fn ids_never_change() {
        let mut ids = MessageIds::new(42);
        let made: Vec<_> = (0..3)
            .map(|_| ids.next(UnixMillis(1_700_000_000_000)).to_string())
            .collect();
        assert_eq!(
            made,
            [
                "018bcfe5-6800-7e95-a8ef-e333b266f103",
                "018bcfe5-6800-7f52-981c-e1ff0e4ae394",
                // Drawn smaller than the one before it, in the same millisecond: the one after that instead.
                "018bcfe5-6800-7f52-981c-e1ff0e4ae395",
            ]
        );
        let keyed = Keyed {
            dev: DevId(3),
            user: UserId::new(5),
            uuid: &ClientUuid::parse("a-page"),
            channel: &ChannelName::from_browser("web_chat").unwrap(),
            key: &SendKey::parse("0123456789abcdef").unwrap(),
        };
        assert_eq!(keyed.id().to_string(), "6be3988e-2a35-884a-87ca-a5c45a6d5822");
    }
}
