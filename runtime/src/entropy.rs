//! The only source of chance: salts of CometQL logins, the seed of the core's message ids, generated passwords.
//!
//! Promise: the bytes come from the operating system's generator, never from a clock or a counter. No descriptor is
//! needed for it, which would mean something else in the table of another thread (`descriptors`).

use std::io;

#[cfg(not(madsim))]
use rustix::io::Errno;
#[cfg(not(madsim))]
use rustix::rand::{GetRandomFlags, getrandom};

/// The operating system's random generator.
#[derive(Debug)]
pub(crate) struct Entropy(());

impl Entropy {
    /// Makes sure that there is one.
    ///
    /// # Errors
    /// The kernel has no `getrandom`, or whoever confines the process forbids it.
    pub(crate) fn open() -> io::Result<Self> {
        let entropy = Self(());
        entropy.number()?;
        Ok(entropy)
    }

    /// Fresh random bytes.
    ///
    /// # Errors
    /// As `open`.
    #[allow(clippy::unused_self, reason = "whoever has one knows that it works")]
    pub(crate) fn bytes<const N: usize>(&self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        fill(&mut bytes)?;
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

#[cfg(not(madsim))]
fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        filled += match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Err(Errno::INTR) => 0,
            count => count?,
        };
    }
    Ok(())
}

/// The system call would not ask the seed.
#[cfg(madsim)]
#[allow(clippy::unnecessary_wraps, reason = "a kernel may refuse")]
fn fill(bytes: &mut [u8]) -> io::Result<()> {
    crate::rt::fill(bytes);
    Ok(())
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
