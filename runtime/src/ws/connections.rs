//! The connections of one shard, by their number.
//!
//! Promise: whatever is to be done for all of them from time to time can be done slice by slice, at the cost of the
//! slice alone; connections that were opened together are in different slices. One connection costs a pointer and a byte
//! here.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::rc::Rc;

use comet_core::ConnId;

use super::conn::Conn;

/// Number of slices.
pub(crate) const SLICES: usize = 256;

/// The numbers are ours and ascending: spreading them needs no secret.
#[derive(Default)]
pub(crate) struct SerialHasher(u64);

/// Hashes by a number of ours.
pub(crate) type BySerial = BuildHasherDefault<SerialHasher>;

impl Hasher for SerialHasher {
    fn finish(&self) -> u64 {
        // The low bits of a product know nothing of the high bits of its factors, and are the same in all of a slice.
        self.0.rotate_left(32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// A connection that is found by its number, without a copy of it.
struct Entry(Rc<Conn>);

impl Borrow<ConnId> for Entry {
    fn borrow(&self) -> &ConnId {
        &self.0.id
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Entry {}

/// The connections that are open.
pub(crate) struct Connections {
    slices: Vec<HashSet<Entry, BySerial>>,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            slices: (0..SLICES).map(|_| HashSet::default()).collect(),
        }
    }
}

/// Numbers are given in turn, and so are slices.
fn slice_of(id: ConnId) -> usize {
    (id.0 % SLICES as u64) as usize
}

impl Connections {
    pub(crate) fn insert(&mut self, conn: Rc<Conn>) {
        self.slices[slice_of(conn.id)].insert(Entry(conn));
    }

    pub(crate) fn get(&self, id: &ConnId) -> Option<&Rc<Conn>> {
        self.slices[slice_of(*id)].get(id).map(|entry| &entry.0)
    }

    /// True if it was there.
    #[expect(clippy::mutable_key_type, reason = "a connection's number never changes")]
    pub(crate) fn remove(&mut self, id: ConnId) -> bool {
        let slice = &mut self.slices[slice_of(id)];
        let was_there = slice.remove(&id);
        // What a crowd needed is given back when it has gone.
        if slice.len() < slice.capacity() / 4 {
            slice.shrink_to(slice.len() * 2);
        }
        was_there
    }

    /// The connections of one slice, in no order.
    pub(crate) fn slice(&self, slice: usize) -> impl Iterator<Item = &Rc<Conn>> {
        self.slices[slice].iter().map(|entry| &entry.0)
    }

    /// All connections, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rc<Conn>> {
        self.slices.iter().flatten().map(|entry| &entry.0)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    /// A crowd that connected at once is pinged evenly (Q12).
    #[test]
    fn numbers_in_turn_are_in_slices_in_turn() {
        let mut counts = [0; SLICES];
        for serial in 1..=4 * SLICES as u64 {
            counts[slice_of(ConnId::new(3, serial))] += 1;
        }
        assert_eq!(counts, [4; SLICES]);
    }

    /// The numbers of one slice have much in common; their hashes must not.
    #[test]
    fn the_numbers_of_a_slice_are_spread() {
        let hasher = BySerial::default();
        let buckets: HashSet<u64> = (0..1024)
            .map(|turn| hasher.hash_one(ConnId::new(1, 7 + turn * SLICES as u64)) % 1024)
            .collect();
        assert!(buckets.len() > 600, "{} of 1024 buckets", buckets.len());
    }
}
