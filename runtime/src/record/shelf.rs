//! The directory of a recording: one file per segment, `<recording>-<number>.cometrec`, so that names in order are
//! segments in order. Files are for their owner alone (mode 0600), as they hold what users said, and keys.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comet_core::recording::redact::Redactor;
use comet_core::recording::{Head, block_head};

use crate::config::RecordSettings;
use crate::metrics::Metrics;

const EXTENSION: &str = "cometrec";

/// Where segments are kept.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    /// Files kept.
    segments: usize,
    file: Option<File>,
    redactor: Option<Box<Redactor>>,
    metrics: Arc<Metrics>,
}

impl Shelf {
    /// Makes the directory if it is missing.
    pub(super) fn open(settings: &RecordSettings, key: [u8; 32], metrics: Arc<Metrics>) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.dir)?;
        Ok(Self {
            dir: settings.dir.clone(),
            segments: settings.segments,
            file: None,
            redactor: settings.redact.then(|| Box::new(Redactor::new(key))),
            metrics,
        })
    }

    /// Begins a segment; the oldest of too many goes.
    pub(super) fn begin(&mut self, head: &Head, checkpoint: &[u8]) -> io::Result<()> {
        let name = format!("{:013}-{:06}.{EXTENSION}", head.recording.0, head.number);
        let path = self.dir.join(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let head = head.bytes();
        file.write_all(&head)?;
        self.metrics.recording_bytes.inc_by(head.len() as u64);
        self.file = Some(file);
        match &mut self.redactor {
            Some(redactor) => {
                let redacted = redactor.checkpoint(checkpoint).map_err(io::Error::other)?;
                self.block(&redacted)?;
            }
            None => self.block(checkpoint)?,
        }
        self.tidy()
    }

    /// Adds entries to the segment.
    pub(super) fn add(&mut self, entries: &[u8]) -> io::Result<()> {
        match &mut self.redactor {
            Some(redactor) => {
                let unreadable = || io::Error::other("what was to be redacted cannot be read");
                let redacted = redactor.entries(entries).ok_or_else(unreadable)?;
                self.block(&redacted)
            }
            None => self.block(entries),
        }
    }

    fn block(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let head = block_head(bytes);
        file.write_all(&head)?;
        file.write_all(bytes)?;
        self.metrics
            .recording_bytes
            .inc_by((head.len() + bytes.len()) as u64);
        Ok(())
    }

    fn tidy(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in self.dir.read_dir()? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                files.push(path);
            }
        }
        files.sort();
        let too_many = files.len().saturating_sub(self.segments);
        files.iter().take(too_many).try_for_each(|path| remove(path))
    }
}

/// Somebody else may have been faster.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
