//! What was sent, what the server acknowledged, and which private messages reached anybody. The truth the pages and the
//! final questions are compared with; knows no socket.

/// A numbered stream: the first `acknowledged` of `sent` messages were answered OK.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) sent: u32,
    pub(super) acknowledged: u32,
}

impl Stream {
    /// The number of the next message.
    pub(super) fn next(&mut self) -> u32 {
        self.sent += 1;
        self.sent - 1
    }
}

/// Rows a session rewrites with ascending numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    UserData,
    AuthKey,
    Setting,
}

pub(super) const ROWS: [Row; 3] = [Row::UserData, Row::AuthKey, Row::Setting];

/// What a statement under way wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    Channel(usize),
    Private { user: u32, count: u32 },
    Row(Row),
}

#[derive(Debug)]
pub(super) struct Ledger {
    users: usize,
    /// By channel, then publisher.
    channels: Vec<Vec<Stream>>,
    /// By session, then user.
    private: Vec<Stream>,
    /// Like `private`: which numbers reached some page.
    reached: Vec<Vec<bool>>,
    /// By session, then row.
    rows: Vec<[Stream; 3]>,
}

impl Ledger {
    pub(super) fn new(channels: usize, publishers: usize, sessions: usize, users: u32) -> Self {
        let users = users as usize;
        Self {
            users,
            channels: vec![vec![Stream::default(); publishers]; channels],
            private: vec![Stream::default(); sessions * users],
            reached: vec![Vec::new(); sessions * users],
            rows: vec![[Stream::default(); 3]; sessions],
        }
    }

    pub(super) fn channel(&mut self, channel: usize, publisher: usize) -> &mut Stream {
        &mut self.channels[channel][publisher]
    }

    /// How many messages each publisher sent to a channel.
    pub(super) fn sent_to(&self, channel: usize) -> impl Iterator<Item = (u16, u32)> {
        (0..).zip(self.channels[channel].iter().map(|stream| stream.sent))
    }

    /// The stream of a session to a user (counted from 1).
    pub(super) fn private(&mut self, session: usize, user: u32) -> &mut Stream {
        &mut self.private[session * self.users + user as usize - 1]
    }

    pub(super) fn private_sent(&self, session: usize, user: u32) -> u32 {
        self.private[session * self.users + user as usize - 1].sent
    }

    pub(super) fn private_acknowledged(&self, session: usize, user: u32) -> u32 {
        self.private[session * self.users + user as usize - 1].acknowledged
    }

    pub(super) fn row(&mut self, session: usize, row: Row) -> &mut Stream {
        &mut self.rows[session][row as usize]
    }

    pub(super) fn acknowledged(&mut self, session: usize, wrote: Wrote) {
        match wrote {
            Wrote::Channel(channel) => self.channel(channel, session).acknowledged += 1,
            Wrote::Private { user, count } => self.private(session, user).acknowledged += count,
            Wrote::Row(row) => self.row(session, row).acknowledged += 1,
        }
    }

    pub(super) fn reached(&mut self, session: usize, user: u32, number: u32) {
        let reached = &mut self.reached[session * self.users + user as usize - 1];
        let number = number as usize;
        if reached.len() <= number {
            reached.resize(number + 1, false);
        }
        reached[number] = true;
    }

    /// Acknowledged private messages that reached no page.
    pub(super) fn unreached(&self) -> u64 {
        let lost = |(stream, reached): (&Stream, &Vec<bool>)| {
            (0..stream.acknowledged as usize)
                .filter(|number| !reached.get(*number).copied().unwrap_or(false))
                .count()
        };
        self.private.iter().zip(&self.reached).map(lost).sum::<usize>() as u64
    }

    pub(super) fn totals(&self) -> [Stream; 2] {
        let add = |sum: Stream, stream: &Stream| Stream {
            sent: sum.sent + stream.sent,
            acknowledged: sum.acknowledged + stream.acknowledged,
        };
        [
            self.channels.iter().flatten().fold(Stream::default(), add),
            self.private.iter().fold(Stream::default(), add),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_must_reach_somebody() {
        let mut ledger = Ledger::new(1, 2, 2, 3);
        for _ in 0..4 {
            ledger.private(1, 3).next();
        }
        assert_eq!(ledger.unreached(), 0, "nothing acknowledged yet");
        ledger.acknowledged(1, Wrote::Private { user: 3, count: 3 });
        ledger.reached(1, 3, 0);
        ledger.reached(1, 3, 2);
        ledger.reached(0, 3, 1);
        assert_eq!(ledger.unreached(), 1);
        ledger.reached(1, 3, 1);
        assert_eq!(ledger.unreached(), 0);
        assert_eq!(
            ledger.totals()[1],
            Stream {
                sent: 4,
                acknowledged: 3
            }
        );
    }
}
