//! How many connections each address has open.

use alloc::collections::BTreeMap;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Network;

/// One number for each address that has a connection; nobody who has none occupies anything.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Addresses(BTreeMap<Network, u32>);

impl Addresses {
    /// Connections of this address.
    pub(crate) fn count(&self, ip: IpAddr) -> u32 {
        self.0.get(&Network::of(ip)).copied().unwrap_or(0)
    }

    /// One more.
    pub(crate) fn enter(&mut self, ip: IpAddr) {
        *self.0.entry(Network::of(ip)).or_default() += 1;
    }

    /// One less.
    pub(crate) fn leave(&mut self, ip: IpAddr) {
        let network = Network::of(ip);
        if let Some(count) = self.0.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&network);
            }
        }
    }

    /// Addresses with connections.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Connections of all addresses.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().map(|count| u64::from(*count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_connections_takes_no_memory() {
        let mut addresses = Addresses::default();
        let (here, there) = ([203, 0, 113, 7].into(), [203, 0, 113, 8].into());
        for ip in [here, here, there] {
            addresses.enter(ip);
        }
        assert_eq!(
            (addresses.count(here), addresses.count(there), addresses.total()),
            (2, 1, 3)
        );
        for ip in [here, here, there, there] {
            addresses.leave(ip);
        }
        assert_eq!((addresses.count(here), addresses.total()), (0, 0));
        assert!(addresses.0.is_empty());
    }
}
