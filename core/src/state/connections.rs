//! The authorized connections of one user, and which of them are his devices: those that get private messages. Nearly
//! every user has a single connection, and that takes no memory of its own.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::id::ConnId;

/// The connections of one user, in the order of registration.
#[derive(Debug, Default)]
pub(crate) enum Connections {
    /// None.
    #[default]
    None,
    /// A single one: a device.
    One(ConnId),
    /// More than one, or one that is no device.
    Several(Box<Several>),
}

/// Connections in the order of registration.
#[derive(Debug, Default)]
pub(crate) struct Several {
    all: Vec<ConnId>,
    /// How many of the first ones are no devices any more: newer ones took their places (Q29).
    retired: usize,
}

impl Connections {
    /// All of them, in the order of registration.
    pub(crate) fn all(&self) -> &[ConnId] {
        match self {
            Self::None => &[],
            Self::One(conn) => core::slice::from_ref(conn),
            Self::Several(several) => &several.all,
        }
    }

    /// Those that get private messages, in the order of registration.
    pub(crate) fn devices(&self) -> &[ConnId] {
        match self {
            Self::None | Self::One(_) => self.all(),
            Self::Several(several) => several.all.get(several.retired..).unwrap_or_default(),
        }
    }

    /// True if there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Registers a connection as a device; the oldest of more than `max` devices retires.
    pub(crate) fn register(&mut self, conn: ConnId, max: usize) {
        let several = match self {
            Self::Several(several) => several,
            Self::One(first) => {
                let all = Vec::from([*first]);
                *self = Self::Several(Box::new(Several { all, retired: 0 }));
                return self.register(conn, max);
            }
            Self::None => {
                *self = Self::One(conn);
                return;
            }
        };
        several.all.push(conn);
        several.retired += usize::from(several.all.len() - several.retired > max);
        assert!(self.devices().len() <= max, "too many devices");
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
                several.remove(conn);
                match (several.all.as_slice(), several.retired) {
                    ([], _) => *self = Self::None,
                    (&[only], 0) => *self = Self::One(only),
                    _ => {}
                }
            }
        }
    }
}

impl Several {
    fn remove(&mut self, conn: ConnId) {
        if let Some(at) = self.all.iter().position(|&other| other == conn) {
            self.all.remove(at);
            self.retired -= usize::from(at < self.retired);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId(3);
    const B: ConnId = ConnId(1);
    const C: ConnId = ConnId(2);

    #[test]
    fn the_newest_devices_win_and_a_retired_one_does_not_come_back() {
        let mut connections = Connections::default();
        for conn in [A, B, C] {
            connections.register(conn, 2);
        }
        assert_eq!(connections.all(), [A, B, C]);
        assert_eq!(connections.devices(), [B, C]);
        connections.unregister(C);
        assert_eq!(connections.devices(), [B]);
        connections.unregister(B);
        assert_eq!((connections.all(), connections.devices()), (&[A][..], &[][..]));
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
            (connections.all(), connections.devices()),
            (&[B, C][..], &[B, C][..])
        );
        assert_eq!(size_of::<Connections>(), 16);
    }
}
