//! What is known of the way of a message (protocol.md 7.17): from the journal what happened, from queue and history what is.
//! EXPLAIN DELIVERY tells it of one message, the table `messages_delivery` of many.

mod found;
mod line;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::Core;
use crate::cometql::{self, Keys, Rows};
use crate::error::{ErrorCode, QueryError};
use crate::id::{ConnId, DevId, MessageId, Seq, UserId};
use crate::state::{Address, Fact, Held, LastSeen};
use crate::time::{UnixMillis, UnixSeconds};

use found::{Asked, Found, Gathered};
pub(super) use line::{Line, PRIVATE};

/// An answer about several messages has at most so many rows …
const ROWS_MAX: usize = 20_000;
/// … and compares at most so many readings of histories with messages: some ten milliseconds.
const COMPARISONS_MAX: usize = 5_000_000;

/// What a statement is told that asks for more.
const TOO_MANY: QueryError = QueryError::new(ErrorCode::TooLong, "too much to tell; ask for fewer messages");

/// All that is known of a message, in the order in which it happened.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) id: MessageId,
    pub(super) to: Address,
    pub(super) lines: Vec<Line>,
}

impl Core {
    /// EXPLAIN DELIVERY: always says something.
    pub(super) fn explain(&self, dev: DevId, message: Option<MessageId>) -> Result<Rows, QueryError> {
        let stories = self.stories(dev, &Keys::Messages(message.into_iter().collect()))?;
        let mut rows: Vec<_> = stories
            .iter()
            .flat_map(|story| &story.lines)
            .map(Line::told)
            .collect();
        if rows.is_empty() {
            rows.push(Line::new(self.now.unix, "unknown", self.nothing_known()).told());
        }
        let columns = cometql::explain_columns();
        Ok(Rows { columns, rows })
    }

    fn nothing_known(&self) -> String {
        let since = self.journal.since();
        if self.journal.is_on() {
            format!("in no queue and no history, and nothing happened to it since {since}")
        } else {
            "in no queue and no history; what happens is not remembered (main.delivery_window = 0)".into()
        }
    }

    /// What is known of the messages that the keys mean, in the order listed, else in that of their ids. Walks once over the
    /// journal, and over queues and histories where messages can be that the journal does not know.
    ///
    /// # Errors
    /// [`ErrorCode::TooLong`] if it is about more than one message and more than `ROWS_MAX` or `COMPARISONS_MAX`.
    pub(super) fn stories(&self, dev: DevId, keys: &Keys) -> Result<Vec<Story>, QueryError> {
        let own = self.journal.entries().filter(|entry| entry.dev == dev);
        let asked = Asked::new(keys, own);
        let mut gathered = self.gather(dev, &asked);
        self.find_kept(dev, &asked, &mut gathered)?;
        let ids: Vec<MessageId> = match keys {
            Keys::Messages(ids) => ids.clone(),
            Keys::All | Keys::Users(_) | Keys::Channels(_) | Keys::Tokens(_) => {
                gathered.found.keys().copied().collect()
            }
        };
        let (mut rows, mut comparisons) = (0, 0);
        let mut stories = Vec::new();
        for id in ids {
            let Some(found) = gathered.found.get(&id) else {
                continue;
            };
            comparisons += gathered.comparisons(found);
            if comparisons > COMPARISONS_MAX && !stories.is_empty() {
                return Err(TOO_MANY);
            }
            let lines = self.lines(dev, found, &gathered);
            rows += lines.len();
            if rows > ROWS_MAX && !stories.is_empty() {
                return Err(TOO_MANY);
            }
            let to = found.to.clone();
            stories.push(Story { id, to, lines });
        }
        Ok(stories)
    }

    /// The facts about the messages that are asked for.
    fn gather(&self, dev: DevId, asked: &Asked<'_>) -> Gathered<'_> {
        let mut gathered = Gathered::default();
        for (place, entry) in self.journal.entries().enumerate() {
            let is_own = entry.dev == dev;
            match &entry.fact {
                Fact::Stored { upto } => gathered.wrote(place, entry.at, *upto, true),
                Fact::NotStored { upto } => gathered.wrote(place, entry.at, *upto, false),
                Fact::Message { message, what } if is_own && asked.wants(message, what) => {
                    gathered.happened(place, entry.at, message, what);
                }
                Fact::Read {
                    channel,
                    by,
                    first,
                    last,
                } if is_own => gathered.was_read(channel, place, entry.at, by, *first..=*last),
                Fact::Message { .. } | Fact::Read { .. } => {}
            }
        }
        gathered
    }

    /// The messages that are in queue or history at present, whether the journal knows them or not.
    fn find_kept(
        &self,
        dev: DevId,
        asked: &Asked<'_>,
        gathered: &mut Gathered<'_>,
    ) -> Result<(), QueryError> {
        let Some(tenant) = self.durable.tenant(dev) else {
            return Ok(());
        };
        let anywhere = asked.is_anywhere(gathered);
        for (&user, stored) in &tenant.users {
            let to = Address::User(user);
            if anywhere || asked.means_all_of(&to) || gathered.mentions(&to) {
                for kept in &stored.queue {
                    gathered.is_kept(asked, &to, (kept.id, kept.seq, kept.time));
                }
                if gathered.found.len() > ROWS_MAX {
                    return Err(TOO_MANY);
                }
            }
        }
        for (channel, stored) in &tenant.channels {
            let to = Address::Channel(channel.clone());
            if anywhere || asked.means_all_of(&to) || gathered.mentions(&to) {
                for kept in &stored.history {
                    gathered.is_kept(asked, &to, (kept.id, kept.seq, kept.time));
                }
                if gathered.found.len() > ROWS_MAX {
                    return Err(TOO_MANY);
                }
            }
        }
        Ok(())
    }

    /// What is known of one message.
    fn lines(&self, dev: DevId, found: &Found<'_>, gathered: &Gathered<'_>) -> Vec<Line> {
        let mut lines = Vec::new();
        if !found.begins() {
            lines.push(self.beginning(found));
        }
        lines.extend(gathered.tell(found));
        if found.kept.is_some() {
            lines.extend(self.present(dev, found));
        }
        if let Address::User(user) = found.to {
            for line in &mut lines {
                line.user = Some(user);
            }
        }
        lines
    }

    /// The journal does not know any more how it began.
    fn beginning(&self, found: &Found<'_>) -> Line {
        match found.kept.filter(|_| !found.was_accepted()) {
            Some(time) => {
                let detail = format!("for {}; by whom is forgotten", line::destination(&found.to));
                Line::new(millis(time), "accepted", detail)
            }
            None => Line::new(self.journal.since(), "forgotten", "what happened before"),
        }
    }

    /// Where a message is that is in queue or history.
    fn present(&self, dev: DevId, found: &Found<'_>) -> Vec<Line> {
        match &found.to {
            Address::User(user) => self.why_it_waits(dev, *user, found.seq),
            Address::Channel(channel) => {
                let stored = self.durable.channel(dev, channel);
                let newer = stored.map_or(0, |stored| stored.newer_than(found.seq));
                let length = self.history_length(dev, channel);
                let detail = format!("in the history of {length} messages; newer ones: {newer}");
                vec![Line::new(self.now.unix, "kept", detail)]
            }
        }
    }

    /// Who or what an unpaid message waits for: a line for each device that holds it.
    fn why_it_waits(&self, dev: DevId, user: UserId, seq: Seq) -> Vec<Line> {
        let live = self.tenants.user(dev, user);
        let others = live.is_some_and(|live| live.owed().debts.is_acknowledged(seq));
        let held = live.into_iter().flat_map(|live| live.owed().debts.holders(seq));
        let mut lines: Vec<Line> = held
            .map(|held| match held {
                Held::Alive(conn) => self.why_a_device_waits(conn, seq),
                Held::Gone { uuid, until } => {
                    let left_ms = until.micros_since(self.now.mono) / 1000;
                    let until = self.now.unix.plus_ms(left_ms);
                    let detail = format!("for a browser that was sent it and went away, until {until}");
                    Line::new(self.now.unix, "waiting", detail).of_browser(uuid)
                }
            })
            .collect();
        if lines.is_empty() {
            lines.push(Line::new(
                self.now.unix,
                "waiting",
                self.why_nobody_gets_it(dev, user),
            ));
        }
        for line in lines.iter_mut().filter(|_| others) {
            line.detail.push_str("; another device has it");
        }
        lines
    }

    fn why_a_device_waits(&self, conn: ConnId, seq: Seq) -> Line {
        let state = self.conns.get(conn);
        let sent = state.is_some_and(|state| state.pending().in_flight.seqs().any(|sent| sent == seq));
        let detail = if sent {
            "sent, not acknowledged yet"
        } else {
            "to be sent when what was sent before is acknowledged"
        };
        let line = Line::new(self.now.unix, "waiting", detail);
        match state {
            Some(state) => line.about(&state.device(conn)),
            None => line,
        }
    }

    fn why_nobody_gets_it(&self, dev: DevId, user: UserId) -> String {
        match self.durable.user(dev, user).and_then(|stored| stored.last_seen) {
            Some(LastSeen::Offline(time)) => {
                format!("the user has had no authorized connection since {}", millis(time))
            }
            Some(LastSeen::Online) | None => "the user has never had an authorized connection".into(),
        }
    }
}

const fn millis(time: UnixSeconds) -> UnixMillis {
    UnixMillis(time.0.saturating_mul(1000))
}
