//! The whole state as bytes: what a recording begins with, and what makes a bug report replayable.
//!
//! Promise: a core that was read back answers every later event with exactly the same actions, and writes the same
//! bytes again. Only the program that wrote a checkpoint reads it: the form of the state is no contract between
//! versions. A checkpoint is trusted to be our own; [`Core::check`] tells whether a changed one still is a state.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::Core;
use crate::recording::encode;

/// What every checkpoint begins with.
const MAGIC: &[u8; 8] = b"cometcp\n";
/// Raised whenever the form of the state or of recordings changes between two commits of one version.
const FORMAT: u32 = 9;
/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why bytes are no checkpoint for this program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckpointError {
    /// They are something else.
    NoCheckpoint,
    /// Another version wrote them.
    OtherVersion {
        /// Version of that program.
        version: String,
        /// Its form of the state.
        format: u32,
    },
    /// They end too early, or a part of them is not what it must be.
    Damaged,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCheckpoint => f.write_str("this is no checkpoint of comet-server"),
            Self::OtherVersion { version, format } => write!(
                f,
                "the checkpoint was written by version {version} (format {format}), this program is version \
                 {VERSION} (format {FORMAT})"
            ),
            Self::Damaged => f.write_str("the checkpoint is damaged"),
        }
    }
}

impl core::error::Error for CheckpointError {}

impl Core {
    /// Version and form of the state that checkpoints of this program have: only equal ones can be read back.
    pub const fn checkpoint_version() -> (&'static str, u32) {
        (VERSION, FORMAT)
    }

    /// Appends everything there is, passwords and keys included, to `out`. O(n).
    pub fn checkpoint(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        encode(&(VERSION, FORMAT), out);
        encode(self, out);
    }

    /// The core that `checkpoint` wrote.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn restore(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(CheckpointError::NoCheckpoint)?;
        let ((version, format), rest): ((&str, u32), _) =
            postcard::take_from_bytes(rest).map_err(|_| CheckpointError::Damaged)?;
        if (version, format) != (VERSION, FORMAT) {
            return Err(CheckpointError::OtherVersion {
                version: version.into(),
                format,
            });
        }
        let (core, rest): (Self, _) =
            postcard::take_from_bytes(rest).map_err(|_| CheckpointError::Damaged)?;
        if !rest.is_empty() {
            return Err(CheckpointError::Damaged);
        }
        Ok(core.shared_again())
    }

    /// Lets equal texts be one again that were written once for each of their owners.
    #[must_use]
    pub(crate) fn shared_again(mut self) -> Self {
        for (_, conn) in self.conns.iter_mut() {
            self.clients.share(&mut conn.client);
            for channel in &mut conn.channels {
                if let Some(shared) = self.tenants.channel_name(conn.dev, channel) {
                    *channel = shared.clone();
                }
            }
        }
        self
    }
}
