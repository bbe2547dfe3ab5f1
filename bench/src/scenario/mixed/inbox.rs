//! The private messages one page sees over all its lives: which of them it may see, in which order (protocol.md 5, 5.1).

use std::collections::HashMap;
use std::ops::Range;

use crate::sequence::Tally;

/// What is known about a message the page has seen.
#[derive(Debug, Clone, Copy)]
struct Seen {
    life: u32,
    /// The server is known to have processed a Pong that covers it.
    paid: bool,
}

/// The messages of one session within one life of the page.
#[derive(Debug, Clone, Default)]
struct Order {
    /// Numbers sent to earlier lives of this page that it has not seen: owed to the same uuid for `reload_grace`, far
    /// longer than a page stays away. Ascending.
    owed: Vec<Range<u32>>,
    last: Option<u32>,
    /// A live message came; from then on there are no gaps.
    live: bool,
    /// Messages from this number on were sent while the page was registered.
    due_from: u32,
}

impl Order {
    fn next(&self) -> u32 {
        self.last.map_or(0, |last| last + 1)
    }

    /// Takes what was owed up to and including `number` off the list; how many before it did not come.
    fn skip_owed(&mut self, number: u32) -> u64 {
        let mut missing = 0;
        self.owed.retain_mut(|range| {
            missing += range.start.max(number.min(range.end)) - range.start;
            range.start = range.start.max(number.saturating_add(1));
            range.start < range.end
        });
        u64::from(missing)
    }
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    life: u32,
    /// F1 of this life has come.
    registered: bool,
    /// By session: what the next life is owed.
    owed: Vec<Vec<Range<u32>>>,
    /// By session.
    orders: Vec<Order>,
    seen: HashMap<u128, Seen>,
    /// Received, no Pong yet: uuid, session and number.
    fresh: Vec<(u128, usize, u32)>,
    /// Covered by a Pong that is on its way.
    ponged: Vec<u128>,
    /// Covered by the Pongs before a question that is on its way.
    asked: Vec<u128>,
    /// The server was killed after this life: what was paid in it may come again.
    killed_in: Option<u32>,
    /// Messages seen again after a reload, which 5.1 allows while they are unpaid.
    pub(super) redelivered: u64,
    tally: Tally,
}

impl Inbox {
    /// A new life begins with F1. `sent` tells how many messages each session has sent so far.
    pub(super) fn begin(&mut self, sent: impl Iterator<Item = u32>) {
        self.life += 1;
        self.registered = true;
        let mut owed = std::mem::take(&mut self.owed).into_iter();
        self.orders = sent
            .map(|due_from| Order {
                due_from,
                owed: owed.next().unwrap_or_default(),
                ..Order::default()
            })
            .collect();
        self.fresh.clear();
        self.ponged.clear();
        self.asked.clear();
    }

    /// A life ends. `acknowledged` tells how many messages of each session the server had accepted by then: it had sent
    /// all of them to this page, so what the page has not seen, or seen and not acknowledged, is owed to its next life.
    pub(super) fn end(&mut self, acknowledged: impl Iterator<Item = u32>) {
        if !std::mem::take(&mut self.registered) {
            return;
        }
        self.owed = std::mem::take(&mut self.orders)
            .into_iter()
            .zip(acknowledged)
            .enumerate()
            .map(|(session, (order, acknowledged))| {
                let next = order.next();
                // Ascending: what is owed from earlier lives comes after all that this one has seen.
                let fresh = self.fresh.iter().filter(|(_, from, _)| *from == session);
                let mut owed: Vec<Range<u32>> = fresh.map(|(_, _, number)| *number..number + 1).collect();
                owed.extend(order.owed);
                let unseen = next.max(order.due_from)..acknowledged;
                owed.extend((!unseen.is_empty()).then_some(unseen));
                owed
            })
            .collect();
    }

    /// Which device gets what after a crash depends on who comes first: nothing is owed to a certain page.
    pub(super) fn server_was_killed(&mut self) {
        self.owed.clear();
        self.killed_in = Some(self.life);
    }

    pub(super) fn receive(&mut self, uuid: u128, session: usize, number: u32, from_queue: bool) {
        match self.seen.insert(
            uuid,
            Seen {
                life: self.life,
                paid: false,
            },
        ) {
            None => {}
            Some(seen) if seen.life == self.life => {
                self.tally.duplicated += 1;
                return;
            }
            Some(seen) => {
                let forgotten = self.killed_in.is_some_and(|killed| seen.life <= killed);
                if seen.paid && !forgotten {
                    self.tally.duplicated += 1;
                }
                self.redelivered += 1;
            }
        }
        self.fresh.push((uuid, session, number));
        let Some(order) = self.orders.get_mut(session) else {
            return;
        };
        let after_last = order.next();
        let gap_allowed = from_queue || !order.live;
        if number < after_last {
            self.tally.disordered += 1;
        } else {
            // Gaps are what other devices have paid for, or from before this life.
            let due = if gap_allowed {
                after_last.max(order.due_from)
            } else {
                after_last
            };
            self.tally.lost += u64::from(number.saturating_sub(due)) + order.skip_owed(number);
            order.last = Some(number);
        }
        order.live |= !from_queue;
    }

    /// A Ping for private messages was answered.
    pub(super) fn ponged(&mut self) {
        self.ponged.extend(self.fresh.drain(..).map(|(uuid, _, _)| uuid));
    }

    /// The page sends a question.
    pub(super) fn asked(&mut self) {
        self.asked.append(&mut self.ponged);
    }

    /// The question was answered, so everything the page sent before it has been processed.
    pub(super) fn answered(&mut self) {
        for uuid in self.asked.drain(..) {
            if let Some(seen) = self.seen.get_mut(&uuid) {
                seen.paid = true;
            }
        }
    }

    /// Whether a page that is still there has got everything sent since it came.
    pub(super) fn finish(&mut self, sent: impl Iterator<Item = u32>) {
        for (order, sent) in self.orders.iter_mut().zip(sent) {
            let seen_to = order.next().max(order.due_from);
            self.tally.lost += u64::from(sent.saturating_sub(seen_to)) + order.skip_owed(u32::MAX);
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: Tally = Tally {
        lost: 0,
        duplicated: 0,
        disordered: 0,
    };

    fn inbox(sent: u32) -> Inbox {
        let mut inbox = Inbox::default();
        inbox.begin([sent].into_iter());
        inbox
    }

    fn pay(inbox: &mut Inbox) {
        inbox.ponged();
        inbox.asked();
        inbox.answered();
    }

    /// 5.1: a page that stays alive sees it exactly once.
    #[test]
    fn within_one_life_everything_comes_once_and_in_order() {
        let mut inbox = inbox(0);
        for number in 0..3 {
            inbox.receive(u128::from(number), 0, number, false);
        }
        inbox.finish([3].into_iter());
        assert_eq!(inbox.tally(), CLEAN);
        inbox.receive(1, 0, 1, false);
        inbox.receive(9, 0, 5, false);
        inbox.receive(8, 0, 4, false);
        assert_eq!(
            inbox.tally(),
            Tally {
                lost: 2,
                duplicated: 1,
                disordered: 1
            }
        );
        inbox.finish([8].into_iter());
        assert_eq!(inbox.tally().lost, 4);
    }

    /// 5.1: a page that is killed between receiving and acknowledging may see it again after the reload, and only then.
    #[test]
    fn after_a_reload_only_unpaid_messages_come_again() {
        let mut inbox = inbox(0);
        inbox.receive(0, 0, 0, false);
        pay(&mut inbox);
        inbox.receive(1, 0, 1, false);
        inbox.ponged();
        inbox.begin([2].into_iter());
        inbox.receive(1, 0, 1, true);
        assert_eq!((inbox.tally(), inbox.redelivered), (CLEAN, 1));
        inbox.begin([2].into_iter());
        inbox.receive(0, 0, 0, true);
        assert_eq!(inbox.tally().duplicated, 1);
    }

    #[test]
    fn a_gap_is_allowed_only_before_the_page_was_there() {
        let mut late = inbox(10);
        late.receive(4, 0, 4, true);
        late.receive(7, 0, 7, true);
        late.receive(10, 0, 10, false);
        assert_eq!(late.tally(), CLEAN, "5, 6, 8 and 9 went to another device");
        let mut missed = inbox(10);
        missed.receive(12, 0, 12, false);
        assert_eq!(missed.tally().lost, 2);
    }

    /// 5.1: what was sent to a page that died comes again when the same browser comes back in time.
    #[test]
    fn what_died_with_a_page_is_owed_to_its_next_life() {
        let died_after_two_of_five = || {
            let mut inbox = inbox(0);
            inbox.receive(0, 0, 0, false);
            inbox.receive(1, 0, 1, false);
            inbox.end([5].into_iter());
            inbox
        };
        let mut whole = died_after_two_of_five();
        whole.begin([9].into_iter());
        for number in 0..5 {
            whole.receive(u128::from(number), 0, number, true);
        }
        whole.receive(9, 0, 9, false);
        whole.finish([10].into_iter());
        assert_eq!(
            (whole.tally(), whole.redelivered),
            (CLEAN, 2),
            "5 to 8 were sent while it was away"
        );

        let mut holed = died_after_two_of_five();
        holed.begin([9].into_iter());
        holed.receive(3, 0, 3, true);
        holed.end([9].into_iter());
        holed.begin([9].into_iter());
        assert_eq!(holed.tally().lost, 3, "0, 1 and 2 were skipped");
        holed.finish([9].into_iter());
        assert_eq!(holed.tally().lost, 5, "3 did not come again and 4 never");

        let mut acknowledged = inbox(0);
        acknowledged.receive(0, 0, 0, false);
        acknowledged.ponged();
        acknowledged.receive(1, 0, 1, false);
        acknowledged.end([2].into_iter());
        acknowledged.begin([2].into_iter());
        acknowledged.finish([2].into_iter());
        assert_eq!(acknowledged.tally().lost, 1, "1 was seen and never acknowledged");

        let mut killed = died_after_two_of_five();
        killed.server_was_killed();
        killed.begin([5].into_iter());
        killed.finish([5].into_iter());
        assert_eq!(killed.tally(), CLEAN);
    }

    #[test]
    fn a_killed_server_may_have_forgotten_acknowledgements() {
        let mut inbox = inbox(0);
        inbox.receive(0, 0, 0, false);
        pay(&mut inbox);
        inbox.server_was_killed();
        inbox.begin([1].into_iter());
        inbox.receive(0, 0, 0, true);
        assert_eq!(inbox.tally(), CLEAN);
        pay(&mut inbox);
        inbox.begin([1].into_iter());
        inbox.receive(0, 0, 0, true);
        assert_eq!(inbox.tally().duplicated, 1, "paid again after the restart");
    }
}
