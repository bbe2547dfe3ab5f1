//! Who read the messages of a history. The only thing that is told of messages times pages, so it has a budget.
//!
//! Promise: the work is proportional to messages, readers and rows told, but for a logarithm; never to messages times readers.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::id::Seq;
use crate::state::Device;
use crate::time::UnixMillis;

/// Pages that read a message are told one by one, the newest so many of them …
pub(super) const READERS_MAX: usize = 100;
/// … and so many in one answer.
pub(super) const ROWS_MAX: usize = 1_000;

/// A page that was sent a part of a history.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) place: usize,
    pub(super) at: UnixMillis,
    pub(super) by: &'a Device,
    pub(super) seqs: RangeInclusive<Seq>,
}

/// A message of a history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) seq: Seq,
    /// Where in the journal it left the history: who read later did not get it. `usize::MAX` = it has not left.
    pub(super) left: usize,
}

/// The readers of one message.
#[derive(Clone, Default, Debug)]
pub(super) struct Readers<'a> {
    /// Newest first.
    pub(super) told: Vec<&'a Reader<'a>>,
    /// The newest of the others, and how many they are.
    pub(super) others: Option<(&'a Reader<'a>, usize)>,
}

/// The readers of each message; `kept` ascends by `seq`, `readers` by place. `budget`: how many may be told.
pub(super) fn readers_of<'a>(
    kept: &[Kept],
    readers: &'a [Reader<'a>],
    budget: &mut usize,
) -> Vec<Readers<'a>> {
    let mut by_leaving: Vec<usize> = (0..kept.len()).collect();
    by_leaving.sort_by_key(|at| kept[*at].left);
    let counts = counts(kept, readers, &by_leaving);
    let mut all = vec![Readers::default(); kept.len()];
    // Messages of which another reader may be told or is to be counted, and were there when that reader came.
    let mut open = BTreeSet::new();
    for reader in readers.iter().rev() {
        while let Some(at) = by_leaving.pop_if(|at| kept[*at].left > reader.place) {
            open.insert(at);
        }
        let (first, end) = range(kept, reader);
        let mut settled = Vec::new();
        for &at in open.range(first..end) {
            let of: &mut Readers<'a> = &mut all[at];
            if of.told.len() < READERS_MAX && *budget > 0 {
                *budget -= 1;
                of.told.push(reader);
            } else {
                of.others = Some((reader, counts[at] - of.told.len()));
                settled.push(at);
            }
        }
        for at in settled {
            open.remove(&at);
        }
    }
    all
}

/// How many readers each message has.
fn counts(kept: &[Kept], readers: &[Reader<'_>], by_leaving: &[usize]) -> Vec<usize> {
    let mut counts = vec![0; kept.len()];
    let mut sums = Sums(vec![0; kept.len() + 2]);
    let mut leaving = by_leaving.iter().peekable();
    for reader in readers {
        while let Some(&at) = leaving.next_if(|at| kept[**at].left < reader.place) {
            counts[at] = sums.upto(at);
        }
        let (first, end) = range(kept, reader);
        sums.add(first, 1);
        sums.add(end, -1);
    }
    for &at in leaving {
        counts[at] = sums.upto(at);
    }
    counts
}

/// The messages a reader got, if they were there.
fn range(kept: &[Kept], reader: &Reader<'_>) -> (usize, usize) {
    let (first, last) = (*reader.seqs.start(), *reader.seqs.end());
    let at = kept.partition_point(|kept| kept.seq < first);
    (at, at.max(kept.partition_point(|kept| kept.seq <= last)))
}

/// Sums of the beginnings of a list (a Fenwick tree).
struct Sums(Vec<isize>);

impl Sums {
    fn add(&mut self, at: usize, change: isize) {
        let mut at = at + 1;
        while let Some(sum) = self.0.get_mut(at) {
            *sum += change;
            at += at & at.wrapping_neg();
        }
    }

    fn upto(&self, at: usize) -> usize {
        let (mut at, mut sum) = (at + 1, 0);
        while at > 0 {
            sum += self.0[at];
            at &= at - 1;
        }
        usize::try_from(sum).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ConnId;
    use crate::name::ClientUuid;

    fn device() -> Device {
        Device {
            conn: ConnId(1),
            user: None,
            uuid: ClientUuid::default(),
        }
    }

    fn reader(by: &Device, place: usize, first: u64, last: u64) -> Reader<'_> {
        let (at, seqs) = (UnixMillis(place as u64), Seq(first)..=Seq(last));
        Reader { place, at, by, seqs }
    }

    #[test]
    fn everybody_who_read_a_message_is_told_or_counted() {
        let by = device();
        // Message n has place 10 n and, but for every fifth, leaves seven messages later; a page reads between two of them.
        let message = |n: u64| Kept {
            seq: Seq(n),
            left: if n.is_multiple_of(5) {
                usize::MAX
            } else {
                10 * (n as usize + 7)
            },
        };
        let kept: Vec<Kept> = (1..=300).map(message).collect();
        let reads = (1u64..=300).map(|n| reader(&by, 10 * n as usize + 5, n.saturating_sub(n * 13 % 40), n));
        let readers: Vec<Reader<'_>> = reads.collect();
        for budget in [0, 1, 50, 1_000, 1_000_000] {
            let mut left = budget;
            let all = readers_of(&kept, &readers, &mut left);
            let told: usize = all.iter().map(|of| of.told.len()).sum();
            assert_eq!(told, budget - left);
            for (kept, of) in kept.iter().zip(&all) {
                let got = readers
                    .iter()
                    .rev()
                    .filter(|reader| reader.seqs.contains(&kept.seq) && reader.place < kept.left);
                let places: Vec<usize> = got.map(|reader| reader.place).collect();
                let told: Vec<usize> = of.told.iter().map(|reader| reader.place).collect();
                assert!(places.starts_with(&told), "the newest");
                let others = of.others.map(|(reader, count)| (reader.place, count));
                let left_out = places
                    .get(told.len())
                    .map(|place| (*place, places.len() - told.len()));
                assert_eq!(others, left_out);
                assert!(left_out.is_none() || told.len() == READERS_MAX || left == 0);
            }
        }
    }
}
