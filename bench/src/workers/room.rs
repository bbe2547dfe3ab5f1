//! The messages of a room as one page sees them, over the lives of that page: live ones without gaps, and a history that
//! closes the gap of its absence (protocol.md 6).

use crate::sequence::Tally;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    /// The number after the newest live message of all lives; nothing below is missing, but for absences.
    next: u32,
    /// A live message came in this life.
    live: bool,
    /// The page came back: the next live message may skip some.
    returned: bool,
    /// What was missed by being away: from here to before the first live message.
    away: Option<(u32, u32)>,
    /// What the history told: from here to before there.
    history: Option<(u32, u32)>,
}

/// What judging all pages of a process has found so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Verdict {
    pub(super) live: u64,
    pub(super) replayed: u64,
    pub(super) tally: Tally,
}

impl Room {
    pub(super) fn end_life(&mut self) {
        // All of the absence counts, also over several lives in which nothing came.
        *self = Self {
            next: self.next,
            returned: true,
            ..Self::default()
        };
    }

    pub(super) fn receive(&mut self, number: u32, verdict: &mut Verdict) {
        verdict.live += 1;
        if number < self.next {
            verdict.tally.duplicated += 1;
            return;
        }
        if self.returned && !self.live {
            self.away = Some((self.next, number));
        } else {
            verdict.tally.lost += u64::from(number - self.next);
        }
        self.live = true;
        self.next = number + 1;
    }

    pub(super) fn replay(&mut self, number: u32, verdict: &mut Verdict) {
        verdict.replayed += 1;
        let from = match self.history {
            None => number,
            Some((from, due)) => {
                verdict.tally.lost += u64::from(number.saturating_sub(due));
                verdict.tally.disordered += u64::from(number < due);
                from
            }
        };
        self.history = Some((from, number + 1));
    }

    pub(super) fn has_returned(&self) -> bool {
        self.returned
    }

    /// What is missing when everything `sent` has had its time. A page that asked for the history knows its absence too.
    pub(super) fn missing(&self, sent: u32, asked: bool) -> u32 {
        let live = if self.live || !self.returned {
            sent.saturating_sub(self.next)
        } else {
            // Back since before the last messages, and heard nothing.
            u32::from(sent > 0)
        };
        let Some((from, to)) = self.away.filter(|_| asked) else {
            return live;
        };
        let told = self
            .history
            .map_or(0, |(first, end)| end.min(to).saturating_sub(first.max(from)));
        live + (to - from) - told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(live: &[u32]) -> (Room, Verdict) {
        let (mut room, mut verdict) = (Room::default(), Verdict::default());
        for number in live {
            room.receive(*number, &mut verdict);
        }
        (room, verdict)
    }

    #[test]
    fn live_messages_have_no_gap() {
        let (whole, verdict) = room(&[0, 1, 2]);
        assert!(verdict.tally.is_clean());
        assert_eq!((whole.missing(3, false), whole.missing(5, false)), (0, 2));
        assert_eq!(room(&[0, 2]).1.tally.lost, 1);
        assert_eq!(room(&[0, 0]).1.tally.duplicated, 1);
    }

    #[test]
    fn history_closes_the_gap_of_an_absence() {
        let (mut room, mut verdict) = room(&[0, 1]);
        room.end_life();
        assert_eq!(room.missing(9, true), 1, "it has not heard of anything yet");
        room.receive(5, &mut verdict);
        assert_eq!(room.missing(6, false), 0, "it did not ask");
        assert_eq!(room.missing(6, true), 3, "2, 3 and 4");
        for number in [1, 2, 3] {
            room.replay(number, &mut verdict);
        }
        assert_eq!(room.missing(6, true), 1);
        room.replay(4, &mut verdict);
        assert_eq!(room.missing(6, true), 0);
        assert!(verdict.tally.is_clean());
        room.replay(4, &mut verdict);
        assert_eq!(verdict.tally.disordered, 1);
    }
}
