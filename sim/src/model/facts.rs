//! What the store must hold, as flat lists that are scanned. Kept twice: as the model concludes it from what was
//! asked (`told`), and as the fold of the records the core wrote (`written`). Both must be the same.

use comet_core::{HistoryMessage, OpId, QueuedMessage, Record};

/// A message of a history.
#[derive(Clone, PartialEq, Debug)]
pub struct Kept {
    pub seq: u64,
    pub dev: u32,
    pub channel: String,
    pub event: String,
    pub body: String,
    pub sender: u32,
    pub time: u64,
    pub id: String,
    /// The record that keeps it, if it was made in this life of the server; only the model's own conclusions know it.
    pub op: Option<OpId>,
}

/// A private message in the store.
#[derive(Clone, PartialEq, Debug)]
pub struct Queued {
    pub seq: u64,
    pub dev: u32,
    pub user: u32,
    pub event: String,
    pub body: String,
    pub time: u64,
}

/// All durable facts.
#[derive(Clone, Default, Debug)]
pub struct Facts {
    pub keys: Vec<(u32, u32, String)>,
    pub data: Vec<(u32, u32, String)>,
    pub times: Vec<(u32, u32, u64)>,
    pub lengths: Vec<(u32, String, u64)>,
    pub history: Vec<Kept>,
    pub queue: Vec<Queued>,
    pub revoked: Vec<(u32, String)>,
}

/// Sets a row of a flat table.
pub fn set<K: PartialEq, V>(table: &mut Vec<(u32, K, V)>, dev: u32, key: K, value: V) {
    unset(table, dev, &key);
    table.push((dev, key, value));
}

/// Deletes a row of a flat table; how many there were.
pub fn unset<K: PartialEq, V>(table: &mut Vec<(u32, K, V)>, dev: u32, key: &K) -> u64 {
    let before = table.len();
    table.retain(|(d, k, _)| !(*d == dev && k == key));
    (before - table.len()) as u64
}

/// A row of a flat table.
pub fn get<'a, K, Q, V>(table: &'a [(u32, K, V)], dev: u32, key: &Q) -> Option<&'a V>
where
    K: PartialEq<Q>,
    Q: ?Sized,
{
    table
        .iter()
        .find(|(d, k, _)| *d == dev && k == key)
        .map(|(_, _, value)| value)
}

impl Facts {
    /// How many messages a channel keeps (protocol.md 6).
    pub fn length(&self, dev: u32, channel: &str) -> u64 {
        match get(&self.lengths, dev, channel) {
            Some(length) => *length,
            None if channel.starts_with("trust_") => 99,
            None => 0,
        }
        .max(if channel.starts_with("trust_") { 99 } else { 0 })
    }

    /// Drops all but the newest `length` messages of a channel.
    pub fn trim(&mut self, dev: u32, channel: &str) {
        let length = self.length(dev, channel);
        let of = |kept: &Kept| kept.dev == dev && kept.channel == channel;
        let mut surplus = (self.history.iter().filter(|kept| of(kept)).count() as u64).saturating_sub(length);
        self.history.retain(|kept| {
            let drop = of(kept) && surplus > 0;
            surplus -= u64::from(drop);
            !drop
        });
    }

    /// The history of a channel, oldest first.
    pub fn history_of<'a>(&'a self, dev: u32, channel: &'a str) -> impl Iterator<Item = &'a Kept> {
        self.history
            .iter()
            .filter(move |kept| kept.dev == dev && kept.channel == channel)
    }

    /// Whoever is online is offline since `time` (Q30).
    pub fn everybody_offline(&mut self, time: u64) {
        for row in &mut self.times {
            if row.2 == 0 {
                row.2 = time;
            }
        }
    }

    /// Folds one record, written without a look at the core's `apply`.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::KeySet { dev, user, hash } => {
                set(&mut self.keys, dev.0, user.get(), hash.reveal().to_owned());
            }
            Record::KeyDeleted { dev, user } => {
                unset(&mut self.keys, dev.0, &user.get());
            }
            Record::DataSet { dev, user, data } => {
                set(&mut self.data, dev.0, user.get(), data.as_str().to_owned());
            }
            Record::DataDeleted { dev, user } => {
                unset(&mut self.data, dev.0, &user.get());
            }
            Record::UserOnline { dev, user } => set(&mut self.times, dev.0, user.get(), 0),
            Record::UserOffline { dev, user, time } => set(&mut self.times, dev.0, user.get(), time.0),
            Record::EverybodyOffline { time } => self.everybody_offline(time.0),
            Record::MessageQueued { dev, user, message } => self.enqueue(dev.0, user.get(), message),
            Record::MessagesRemoved {
                dev,
                user,
                seqs,
                why: _,
            } => self.queue.retain(|queued| {
                !(queued.dev == dev.0
                    && queued.user == user.get()
                    && seqs.iter().any(|seq| seq.0 == queued.seq))
            }),
            Record::HistoryLengthSet {
                dev,
                channel,
                length,
                keep_from,
            } => {
                set(
                    &mut self.lengths,
                    dev.0,
                    channel.as_str().to_owned(),
                    u64::from(length.get()),
                );
                self.drop_before(dev.0, channel.as_str(), keep_from.0);
            }
            Record::HistorySettingDeleted { dev, channel } => {
                unset(&mut self.lengths, dev.0, &channel.as_str().to_owned());
                self.drop_before(dev.0, channel.as_str(), u64::MAX);
            }
            Record::HistoryAppended {
                dev,
                channel,
                message,
                keep_from,
            } => {
                self.append(dev.0, channel.as_str(), message, keep_from.0);
            }
            Record::HistoryRemoved { dev, channel, seqs } => self.history.retain(|kept| {
                !(kept.dev == dev.0
                    && kept.channel == channel.as_str()
                    && seqs.iter().any(|seq| seq.0 == kept.seq))
            }),
            Record::TokenRevoked { dev, token, time: _ } => {
                let row = (dev.0, token.reveal().to_owned());
                if !self.revoked.contains(&row) {
                    self.revoked.push(row);
                }
            }
            Record::TokenRestored { dev, token } => {
                self.revoked
                    .retain(|(d, t)| !(*d == dev.0 && t == token.reveal()));
            }
        }
    }

    fn enqueue(&mut self, dev: u32, user: u32, message: &QueuedMessage) {
        self.queue.push(Queued {
            seq: message.seq.0,
            dev,
            user,
            event: message.event.as_str().to_owned(),
            body: message.body.as_str().to_owned(),
            time: message.time.0,
        });
    }

    fn append(&mut self, dev: u32, channel: &str, message: &HistoryMessage, keep_from: u64) {
        self.history.push(Kept {
            seq: message.seq.0,
            dev,
            channel: channel.to_owned(),
            event: message.event.as_str().to_owned(),
            body: message.body.as_str().to_owned(),
            sender: message.sender.map_or(0, comet_core::UserId::get),
            time: message.time.0,
            id: message.id.to_string(),
            op: None,
        });
        self.drop_before(dev, channel, keep_from);
    }

    fn drop_before(&mut self, dev: u32, channel: &str, keep_from: u64) {
        self.history
            .retain(|kept| !(kept.dev == dev && kept.channel == channel && kept.seq < keep_from));
    }

    /// The first difference to what was written, apart from the queue, whose payments only the core decides. While
    /// the disk fails, nobody's coming and going is written.
    pub fn difference(&self, written: &Self, times: bool) -> Option<String> {
        fn sorted<T: Clone + Ord>(rows: &[T]) -> Vec<T> {
            let mut rows = rows.to_vec();
            rows.sort();
            rows
        }
        fn differ<T: Clone + Ord + std::fmt::Debug>(what: &str, model: &[T], core: &[T]) -> Option<String> {
            let (model, core) = (sorted(model), sorted(core));
            (model != core).then(|| format!("{what}: the model has {model:?}, the records give {core:?}"))
        }
        let history = |facts: &Self| {
            let mut rows: Vec<_> = facts
                .history
                .iter()
                .map(|k| {
                    (
                        k.dev,
                        k.channel.clone(),
                        k.event.clone(),
                        k.body.clone(),
                        k.sender,
                        k.time,
                        k.id.clone(),
                    )
                })
                .collect();
            rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            rows
        };
        differ("users_auth", &self.keys, &written.keys)
            .or_else(|| differ("users_data", &self.data, &written.data))
            .or_else(|| {
                times
                    .then(|| differ("users_time", &self.times, &written.times))
                    .flatten()
            })
            .or_else(|| differ("pipes_settings", &self.lengths, &written.lengths))
            .or_else(|| differ("revoked_tokens", &self.revoked, &written.revoked))
            .or_else(|| {
                let (model, core) = (history(self), history(written));
                (model != core)
                    .then(|| format!("history: the model has {model:?}, the records give {core:?}"))
            })
    }
}
