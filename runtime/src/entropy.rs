//! The only source of chance: salts of CometQL logins, the seed of the core's message ids, generated passwords.
//!
//! Promise: the bytes come from the operating system's generator, never from a clock or a counter.

use std::fs::File;
use std::io::{self, Read};

/// The operating system's random generator, opened once.
#[derive(Debug)]
pub(crate) struct Entropy {
    source: File,
}

impl Entropy {
    /// Opens the generator.
    ///
    /// # Errors
    /// The machine has no `/dev/urandom`, for instance in a bare chroot.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            source: File::open("/dev/urandom")?,
        })
    }

    /// Fresh random bytes.
    ///
    /// # Errors
    /// As `open`.
    pub(crate) fn bytes<const N: usize>(&self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        (&self.source).read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A fresh random number.
    ///
    /// # Errors
    /// As `open`.
    pub(crate) fn number(&self) -> io::Result<u64> {
        Ok(u64::from_ne_bytes(self.bytes()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let entropy = Entropy::open().unwrap();
        assert_ne!(entropy.bytes::<20>().unwrap(), entropy.bytes::<20>().unwrap());
    }
}
