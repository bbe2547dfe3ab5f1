//! The authorized connections of one user, and which of them are his devices: those that get private messages. Nearly
//! every user has a single connection, and that takes no memory of its own.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::memory::cost;
use crate::id::ConnId;

/// The connections of one user.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) enum Connections {
    /// None.
    #[default]
    None,
    /// A single one: a device.
    One(ConnId),
    /// More than one, or one that is no device.
    Several(Box<Several>),
}

/// More than one connection. Only the number of devices has a limit.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Several {
    /// Devices no more: newer ones took their places (Q29).
    retired: BTreeSet<ConnId>,
    /// In the order of registration.
    devices: Vec<ConnId>,
}

impl Connections {
    /// All of them, in no particular order.
    pub(crate) fn all(&self) -> impl Iterator<Item = ConnId> {
        let retired = match self {
            Self::None | Self::One(_) => None,
            Self::Several(several) => Some(&several.retired),
        };
        let retired = retired.into_iter().flatten();
        retired.chain(self.devices()).copied()
    }

    /// Those that get private messages, in the order of registration.
    pub(crate) fn devices(&self) -> &[ConnId] {
        match self {
            Self::None => &[],
            Self::One(conn) => core::slice::from_ref(conn),
            Self::Several(several) => &several.devices,
        }
    }

    /// What they take on the heap.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::None | Self::One(_) => 0,
            Self::Several(several) => {
                let count = several.devices.len() + several.retired.len();
                cost::SEVERAL + cost::ONE_OF_SEVERAL * count as u64
            }
        }
    }

    /// True if there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Registers a connection as a device; the oldest of more than `max` devices retires.
    pub(crate) fn register(&mut self, conn: ConnId, max: usize) {
        let several = match self {
            Self::Several(several) => several,
            Self::One(first) => {
                let devices = Vec::from([*first]);
                let retired = BTreeSet::new();
                *self = Self::Several(Box::new(Several { retired, devices }));
                return self.register(conn, max);
            }
            Self::None => {
                *self = Self::One(conn);
                return;
            }
        };
        several.devices.push(conn);
        if several.devices.len() > max {
            several.retired.insert(several.devices.remove(0));
        }
        assert!(several.devices.len() <= max, "too many devices");
    }

    /// A connection is gone.
    pub(crate) fn unregister(&mut self, conn: ConnId) {
        match self {
            Self::None => {}
            Self::One(only) => {
                if *only == conn {
                    *self = Self::None;
                }
            }
            Self::Several(several) => {
                if !several.retired.remove(&conn) {
                    several.devices.retain(|&device| device != conn);
                }
                match (several.devices.as_slice(), several.retired.is_empty()) {
                    ([], true) => *self = Self::None,
                    (&[only], true) => *self = Self::One(only),
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId(3);
    const B: ConnId = ConnId(1);
    const C: ConnId = ConnId(2);

    /// Ascending.
    fn all(connections: &Connections) -> Vec<ConnId> {
        let mut all: Vec<_> = connections.all().collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn the_newest_devices_win_and_a_retired_one_does_not_come_back() {
        let mut connections = Connections::default();
        for conn in [A, B, C] {
            connections.register(conn, 2);
        }
        assert_eq!(all(&connections), [B, C, A]);
        assert_eq!(connections.devices(), [B, C]);
        connections.unregister(C);
        assert_eq!(connections.devices(), [B]);
        connections.unregister(B);
        assert_eq!((all(&connections), connections.devices()), (vec![A], &[][..]));
        connections.register(B, 2);
        assert_eq!(connections.devices(), [B]);
        connections.unregister(A);
        assert!(matches!(connections, Connections::One(B)));
        connections.unregister(B);
        assert!(connections.is_empty());
    }

    #[test]
    fn a_retired_connection_that_goes_leaves_the_devices_as_they_are() {
        let mut connections = Connections::default();
        for conn in [A, B, C] {
            connections.register(conn, 2);
        }
        connections.unregister(A);
        assert_eq!(
            (all(&connections), connections.devices()),
            (vec![B, C], &[B, C][..])
        );
        assert_eq!(size_of::<Connections>(), 16);
    }

    /// Nothing limits the number of retired ones: each goes without a walk over the others.
    #[test]
    fn very_many_connections_of_one_user_come_and_go() {
        const MAX: usize = 16;
        let numbers = (0..200_003).map(|n| ConnId(n * 7919 % 200_003));
        let mut connections = Connections::default();
        for conn in numbers.clone() {
            connections.register(conn, MAX);
        }
        let newest: Vec<ConnId> = numbers.skip(200_003 - MAX).collect();
        assert_eq!(connections.devices(), newest);
        let everybody = all(&connections);
        assert!(everybody.iter().copied().eq((0..200_003).map(ConnId)));
        for conn in everybody {
            connections.unregister(conn);
        }
        assert!(connections.is_empty());
    }

    /// `SHOW MEMORY`: a single device takes nothing of its own, of several each is counted, retired or not.
    #[test]
    fn each_of_several_connections_is_counted() {
        let mut connections = Connections::default();
        assert_eq!(connections.bytes(), 0);
        connections.register(A, 2);
        assert_eq!(connections.bytes(), 0);
        for (conn, count) in [(B, 2), (C, 3)] {
            connections.register(conn, 2);
            assert_eq!(connections.bytes(), cost::SEVERAL + count * cost::ONE_OF_SEVERAL);
        }
        connections.unregister(A);
        assert_eq!(connections.bytes(), cost::SEVERAL + 2 * cost::ONE_OF_SEVERAL);
        connections.unregister(B);
        assert_eq!(connections.bytes(), 0);
    }
}
