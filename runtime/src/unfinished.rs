//! Connections that have not said yet what they want: TLS not agreed, a request or a login that is not complete, an
//! answer that is not taken. Everybody may have one for a while, and nobody may have them all.
//!
//! Promise: there are never more than so many per port and shard. When one too many comes, the address that has most of
//! them loses its oldest, so whoever opens a few and finishes them is not disturbed by whoever opens many and does not.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

use comet_core::limit::Network;

use crate::rt::task::JoinHandle;

/// The unfinished connections of one port on one shard.
#[derive(Debug)]
pub(crate) struct Unfinished(RefCell<Table>);

#[derive(Debug)]
struct Table {
    max: usize,
    last: u64,
    tasks: BTreeMap<u64, (Network, Option<JoinHandle<()>>)>,
    of: BTreeMap<Network, BTreeSet<u64>>,
    /// How many, and the oldest, of each address: the last one loses first.
    by_share: BTreeSet<(usize, Reverse<u64>, Network)>,
}

/// A connection's place among them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    unfinished: Rc<Unfinished>,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.unfinished.0.borrow_mut().remove(self.number);
    }
}

/// What one shard of so many has of a bound for all: the shares of all shards are as much as the bound, or one each if it is
/// less than that. The acceptor deals connections out in turn, so none has to have more than the others.
pub(crate) fn share(max: usize, shards: usize, index: usize) -> usize {
    let shards = shards.max(1);
    (max / shards + usize::from(index < max % shards)).max(1)
}

impl Unfinished {
    /// At most `max`, and at least one.
    pub(crate) fn new(max: usize) -> Rc<Self> {
        Rc::new(Self(RefCell::new(Table {
            max: max.max(1),
            last: 0,
            tasks: BTreeMap::new(),
            of: BTreeMap::new(),
            by_share: BTreeSet::new(),
        })))
    }

    /// One more. `start` is given its ticket and starts its task. True: another one was dropped for it.
    pub(crate) fn enter(self: &Rc<Self>, peer: IpAddr, start: impl FnOnce(Ticket) -> JoinHandle<()>) -> bool {
        let number = self.0.borrow_mut().add(Network::of(peer));
        let task = start(Ticket {
            unfinished: self.clone(),
            number,
        });
        let mut table = self.0.borrow_mut();
        if let Some((_, place)) = table.tasks.get_mut(&number) {
            *place = Some(task);
        }
        let victim = table.take_surplus();
        drop(table);
        // The task's ticket comes back here when it is dropped.
        victim.inspect(|task| task.abort()).is_some()
    }
}

impl Table {
    fn add(&mut self, network: Network) -> u64 {
        self.last += 1;
        let number = self.last;
        self.tasks.insert(number, (network, None));
        self.edit(network, |of| of.insert(number));
        number
    }

    fn remove(&mut self, number: u64) -> Option<JoinHandle<()>> {
        let (network, task) = self.tasks.remove(&number)?;
        self.edit(network, |of| of.remove(&number));
        task
    }

    fn take_surplus(&mut self) -> Option<JoinHandle<()>> {
        if self.tasks.len() <= self.max {
            return None;
        }
        let &(_, Reverse(oldest), _) = self.by_share.last()?;
        self.remove(oldest)
    }

    /// Changes what an address has, and its place among the others.
    fn edit(&mut self, network: Network, change: impl FnOnce(&mut BTreeSet<u64>) -> bool) {
        let of = self.of.entry(network).or_default();
        if let Some(&oldest) = of.first() {
            self.by_share.remove(&(of.len(), Reverse(oldest), network));
        }
        change(of);
        match of.first() {
            Some(&oldest) => drop(self.by_share.insert((of.len(), Reverse(oldest), network))),
            None => drop(self.of.remove(&network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of those that stay.
    fn left(table: &Table) -> Vec<u64> {
        table.tasks.keys().copied().collect()
    }

    fn network(last: u8) -> Network {
        Network::of(IpAddr::from([192, 0, 2, last]))
    }

    fn table(max: usize) -> Table {
        let Ok(unfinished) = Rc::try_unwrap(Unfinished::new(max)) else {
            panic!("nobody else has it")
        };
        unfinished.0.into_inner()
    }

    #[test]
    fn whoever_has_most_loses_his_oldest() {
        let mut table = table(5);
        for from in [1, 2, 1, 1, 3] {
            table.add(network(from));
            table.take_surplus();
        }
        table.add(network(4));
        table.take_surplus();
        assert_eq!(left(&table), [2, 3, 4, 5, 6], "the first of address 1");
        table.add(network(4));
        table.take_surplus();
        assert_eq!(
            left(&table),
            [2, 4, 5, 6, 7],
            "of equals the one whose oldest is oldest"
        );
        for _ in 0..1000 {
            table.add(network(4));
            table.take_surplus();
        }
        assert_eq!(left(&table)[..3], [2, 4, 5], "the others are not disturbed");
        assert_eq!(table.tasks.len(), 5);
    }

    #[test]
    fn the_shares_are_the_bound() {
        for (max, shards) in [(4096, 1), (4096, 7), (512, 100), (100, 100), (8, 3)] {
            let sum: usize = (0..shards).map(|index| share(max, shards, index)).sum();
            assert_eq!(sum, max, "{shards}");
        }
        assert_eq!(
            [share(3, 8, 0), share(3, 8, 7)],
            [1, 1],
            "a shard without a place would serve nobody"
        );
    }

    #[test]
    fn whoever_finishes_makes_room_and_leaves_nothing() {
        let mut table = table(2);
        for number in 1..=100 {
            assert_eq!(table.add(network(1)), number);
            assert!(table.take_surplus().is_none());
            table.remove(number);
        }
        assert!(table.of.is_empty() && table.by_share.is_empty() && table.tasks.is_empty());
    }
}
