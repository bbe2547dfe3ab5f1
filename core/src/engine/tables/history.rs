//! `pipes_messages`: channel messages and their history (protocol.md 7.10).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::{Core, Outcome, RowId};
use crate::action::{Action, Delivered, Done};
use crate::cometql::{Cell, Keys, NewMessage, Row};
use crate::engine::channel::Publication;
use crate::id::{DevId, MessageId, OpId, Seq, SessionId, UserId};
use crate::name::ChannelName;
use crate::record::{HistoryMessage, Record};
use crate::state::{Author, Published};

impl Core {
    /// Sends into any channel (S44): history, then everybody who is subscribed.
    pub(super) fn insert_messages(
        &mut self,
        (dev, by): (DevId, SessionId),
        rows: Vec<NewMessage>,
        out: &mut Vec<Action>,
    ) -> Outcome {
        let mut delivered = Delivered::default();
        let mut affected = 0;
        let mut last = None;
        for NewMessage { channel, event, body } in &rows {
            let message = Publication {
                dev,
                channel,
                event,
                body,
                sender: None,
                from: None,
                author: Author::Session(by),
                id: None,
            };
            let Published { receivers, op, id } = self.publish(&message, out);
            self.remember_last(by, id);
            last = op.or(last);
            affected += 1;
            delivered.connections += receivers;
        }
        Outcome::after(
            last,
            Done {
                affected,
                insert_id: 0,
                delivered: Some(delivered),
            },
        )
    }

    /// The stored messages of the listed channels, oldest first; `index` counts over the whole result.
    pub(super) fn rows_of_pipes_messages(&self, dev: DevId, keys: &Keys) -> Vec<(RowId, Row)> {
        let mut rows = Vec::new();
        let mut add = |channel: &ChannelName, message: &HistoryMessage| {
            let index = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            rows.push((
                RowId::History(channel.clone(), message.seq),
                history_row(channel, message, index),
            ));
        };
        match keys {
            Keys::Channels(channels) => {
                for channel in channels {
                    let stored = self.durable.channel(dev, channel);
                    stored
                        .into_iter()
                        .flat_map(|stored| &stored.history)
                        .for_each(|m| add(channel, m));
                }
            }
            Keys::Messages(ids) => self.find_messages(dev, ids, add),
            Keys::All | Keys::Users(_) | Keys::Tokens(_) => {}
        }
        rows
    }

    /// Messages of any channel by their id, in key order. Looks at every history: DELETE by id is rare.
    fn find_messages(
        &self,
        dev: DevId,
        ids: &[MessageId],
        mut add: impl FnMut(&ChannelName, &HistoryMessage),
    ) {
        let ids: BTreeSet<MessageId> = ids.iter().copied().collect();
        let channels = self
            .durable
            .tenant(dev)
            .into_iter()
            .flat_map(|tenant| &tenant.channels);
        for (channel, stored) in channels {
            stored
                .history
                .iter()
                .filter(|message| ids.contains(&message.id))
                .for_each(|m| add(channel, m));
        }
    }

    pub(super) fn delete_messages(
        &mut self,
        (dev, by): (DevId, SessionId),
        ids: Vec<RowId>,
        out: &mut Vec<Action>,
    ) -> Option<OpId> {
        let mut by_channel: BTreeMap<ChannelName, Vec<Seq>> = BTreeMap::new();
        for id in ids {
            if let RowId::History(channel, seq) = id {
                by_channel.entry(channel).or_default().push(seq);
            }
        }
        let mut last = None;
        for (channel, seqs) in by_channel {
            self.note_deleted(dev, &channel, by, |seq| seqs.contains(&seq));
            last = Some(self.commit(Record::HistoryRemoved { dev, channel, seqs }, out));
        }
        last
    }
}

fn history_row(channel: &ChannelName, message: &HistoryMessage, index: i64) -> Row {
    vec![
        Cell::text(&message.id.to_string()),
        Cell::Int(i64::try_from(message.time.0).unwrap_or(i64::MAX)),
        Cell::text(channel.as_str()),
        Cell::Int(index),
        Cell::text(message.event.as_str()),
        Cell::Text(message.body.shared()),
        Cell::Int(message.sender.map_or(0, UserId::get).into()),
    ]
}
