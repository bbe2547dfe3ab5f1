//! The private messages of a user with one page, over the lives of that page (protocol.md 5, 5.1): within a life each
//! comes once and in order; a new life begins where the last one ended, or before that with messages of which the server
//! may not have known that they had arrived.

use crate::sequence::Tally;

/// Twenty bytes a user, so that hundreds of thousands of them fit into a load generator.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inbox {
    /// All numbers below have come in some life.
    next: u32,
    /// The same for this life; `None` until something came.
    here: Option<u32>,
    /// Covered by a Pong that has left.
    ponged: u32,
    /// Covered by the Pongs before a question that has left.
    asked: u32,
    /// Covered by Pongs the server is known to have processed, because it answered a question that came after them.
    paid: u32,
}

/// What judging all inboxes of a process has found so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Verdict {
    /// Different messages that came.
    pub(super) unique: u64,
    /// Messages that came again in a new life, as 5.1 allows.
    pub(super) redelivered: u64,
    pub(super) tally: Tally,
}

impl Inbox {
    /// The page was cut off; its next connection is a new life.
    pub(super) fn end_life(&mut self) {
        self.here = None;
    }

    pub(super) fn receive(&mut self, number: u32, verdict: &mut Verdict) {
        match self.here {
            Some(due) if number == due => {}
            Some(due) if number > due => verdict.tally.lost += u64::from(number - due),
            Some(_) => {
                verdict.tally.duplicated += 1;
                return;
            }
            None if number < self.paid => verdict.tally.duplicated += 1,
            None => verdict.tally.lost += u64::from(number.saturating_sub(self.next)),
        }
        self.here = Some(number + 1);
        if number < self.next {
            verdict.redelivered += 1;
        } else {
            verdict.unique += 1;
            self.next = number + 1;
        }
    }

    /// A Ping for private messages was answered.
    pub(super) fn pong(&mut self) {
        self.ponged = self.ponged.max(self.here.unwrap_or(0));
    }

    /// The page asks a question.
    pub(super) fn ask(&mut self) {
        self.asked = self.ponged;
    }

    /// The question was answered, so everything the page sent before it has been processed.
    pub(super) fn answered(&mut self) {
        self.paid = self.asked;
    }

    /// Messages that never came, of so many that were acknowledged to their sender.
    pub(super) fn missing(&self, acknowledged: u32) -> u32 {
        acknowledged.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(inbox: &mut Inbox, numbers: &[u32]) -> Verdict {
        let mut verdict = Verdict::default();
        for number in numbers {
            inbox.receive(*number, &mut verdict);
        }
        verdict
    }

    /// 5.1: a page that stays alive sees it exactly once.
    #[test]
    fn within_a_life_each_number_comes_once_and_in_order() {
        let mut inbox = Inbox::default();
        assert!(receive(&mut inbox, &[0, 1, 2]).tally.is_clean());
        assert_eq!(receive(&mut inbox, &[2]).tally.duplicated, 1);
        assert_eq!(receive(&mut inbox, &[5]).tally.lost, 2);
        assert_eq!(inbox.missing(8), 2);
    }

    /// 5.1: a page that is killed between receiving and acknowledging may see it again after the reload, and only then.
    #[test]
    fn a_new_life_may_repeat_only_what_is_not_known_to_be_paid() {
        let mut inbox = Inbox::default();
        receive(&mut inbox, &[0, 1]);
        inbox.pong();
        inbox.ask();
        receive(&mut inbox, &[2]);
        inbox.pong();
        inbox.answered();
        inbox.end_life();
        let mut allowed = inbox;
        let verdict = receive(&mut allowed, &[2, 3]);
        assert!(verdict.tally.is_clean());
        assert_eq!((verdict.redelivered, verdict.unique), (1, 1));
        let mut repeated = inbox;
        assert_eq!(
            receive(&mut repeated, &[1, 2, 3]).tally.duplicated,
            1,
            "1 was paid before the cut"
        );
        let mut holed = inbox;
        assert_eq!(receive(&mut holed, &[4]).tally.lost, 1, "3 never came");
    }
}
