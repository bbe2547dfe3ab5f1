//! The durable changes (protocol.md, appendix B). All state that survives a restart is the fold of these records
//! through `Durable::apply`, and nothing else changes it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{DevId, MessageId, Seq, UserId};
use crate::name::{AuthHash, Body, ChannelName, EventName, Token};
use crate::time::UnixSeconds;

/// One durable change.
#[derive(Clone, PartialEq, Debug, Hash, Serialize, Deserialize)]
pub enum Record {
    /// `users_auth`: a key was set or replaced.
    KeySet {
        dev: DevId,
        user: UserId,
        hash: AuthHash,
    },
    /// `users_auth`: a key was deleted.
    KeyDeleted { dev: DevId, user: UserId },
    /// `users_data`: a text was set or replaced.
    DataSet { dev: DevId, user: UserId, data: Body },
    /// `users_data`: a text was deleted.
    DataDeleted { dev: DevId, user: UserId },
    /// `users_time`: the user came online.
    UserOnline { dev: DevId, user: UserId },
    /// `users_time`: the user went offline.
    UserOffline {
        dev: DevId,
        user: UserId,
        time: UnixSeconds,
    },
    /// `users_time`: whoever was recorded as online is offline since `time` (Q30): start and stop of the server.
    EverybodyOffline { time: UnixSeconds },
    /// `users_messages`: a private message was accepted.
    MessageQueued {
        dev: DevId,
        user: UserId,
        message: QueuedMessage,
    },
    /// `users_messages`: messages left the queue: paid, expired or deleted.
    MessagesRemoved {
        dev: DevId,
        user: UserId,
        seqs: Vec<Seq>,
        why: Removal,
    },
    /// `pipes_settings`: history length was set; messages before `keep_from` are trimmed.
    HistoryLengthSet {
        dev: DevId,
        channel: ChannelName,
        length: HistoryLength,
        keep_from: Seq,
    },
    /// `pipes_settings`: the setting and the history were deleted.
    HistorySettingDeleted { dev: DevId, channel: ChannelName },
    /// `pipe_messages`: a message was appended; those before `keep_from` are trimmed.
    HistoryAppended {
        dev: DevId,
        channel: ChannelName,
        message: HistoryMessage,
        keep_from: Seq,
    },
    /// `pipe_messages`: messages were deleted.
    HistoryRemoved {
        dev: DevId,
        channel: ChannelName,
        seqs: Vec<Seq>,
    },
    /// `revoked_tokens`: a token was revoked.
    TokenRevoked {
        dev: DevId,
        token: Token,
        time: UnixSeconds,
    },
    /// `revoked_tokens`: a token was restored.
    TokenRestored { dev: DevId, token: Token },
}

impl Record {
    /// About how much memory the record takes while it waits to be written, bytes.
    pub fn weight(&self) -> usize {
        let texts = match self {
            Self::MessageQueued { message, .. } => message.body.as_str().len(),
            Self::HistoryAppended { message, .. } => message.body.as_str().len(),
            Self::DataSet { data, .. } => data.as_str().len(),
            Self::MessagesRemoved { seqs, .. } | Self::HistoryRemoved { seqs, .. } => {
                size_of_val(seqs.as_slice())
            }
            Self::TokenRevoked { token, .. } | Self::TokenRestored { token, .. } => token.reveal().len(),
            Self::KeySet { .. }
            | Self::KeyDeleted { .. }
            | Self::DataDeleted { .. }
            | Self::UserOnline { .. }
            | Self::UserOffline { .. }
            | Self::EverybodyOffline { .. }
            | Self::HistoryLengthSet { .. }
            | Self::HistorySettingDeleted { .. } => 0,
        };
        size_of::<Self>() + texts
    }
}

/// Why a private message left the queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub enum Removal {
    /// Acknowledged as protocol.md 5.1 says.
    Paid,
    /// Older than `queue_ttl`.
    Expired,
    /// `DELETE FROM users_messages`.
    Deleted,
}

/// A private message that is owed.
#[derive(Clone, PartialEq, Debug, Hash, Serialize, Deserialize)]
pub struct QueuedMessage {
    /// Position in the order of acceptance.
    pub seq: Seq,
    /// The message's id, the same on every delivery.
    pub id: MessageId,
    /// When it was accepted.
    pub time: UnixSeconds,
    /// Its event.
    pub event: EventName,
    /// Its text.
    pub body: Body,
}

/// A message of a channel's history.
#[derive(Clone, PartialEq, Debug, Hash, Serialize, Deserialize)]
pub struct HistoryMessage {
    /// Position in the order of acceptance.
    pub seq: Seq,
    /// The message's id.
    pub id: MessageId,
    /// When it was accepted.
    pub time: UnixSeconds,
    /// Its event.
    pub event: EventName,
    /// Its text.
    pub body: Body,
    /// Who sent it from a browser; `None` for CometQL, anonymous and `@` (S51).
    pub sender: Option<UserId>,
}

/// History length of a channel: 0 … 99 (Q32).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct HistoryLength(u8);

impl HistoryLength {
    /// No history.
    pub const OFF: Self = Self(0);
    /// The longest history, also that of every `trust_*` channel (Q67).
    pub const MAX: Self = Self(99);

    /// Larger numbers are stored as 99 (protocol.md 7.12).
    pub fn clamped(n: u64) -> Self {
        Self(u8::try_from(n).unwrap_or(u8::MAX).min(Self::MAX.0))
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What waits for the disk is counted with its texts, so that a queue of long messages is not taken for a short one.
    #[test]
    fn a_record_weighs_what_it_carries() {
        let dev = DevId(0);
        let user = UserId::new(1).expect("a user id");
        let data = |text: &str| Record::DataSet {
            dev,
            user,
            data: Body::new(text),
        };
        let empty = data("").weight();
        assert!(empty >= size_of::<Record>());
        assert_eq!(data("0123456789").weight(), empty + 10);
        let seqs = alloc::vec![Seq::START; 5];
        let why = Removal::Paid;
        let removed = Record::MessagesRemoved { dev, user, seqs, why };
        assert_eq!(removed.weight(), empty + 5 * size_of::<Seq>());
    }
}
