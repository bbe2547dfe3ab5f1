//! The directory of a recording: one file per segment, `<recording>-<number>.cometrec`. Files are for their owner alone
//! (mode 0600), as they hold what users said, and keys.
//!
//! The oldest file of too many becomes the next one and is written over, which costs the system a fraction of what a new
//! file costs. Only files of the same recording: what was written in clear must not be found behind what is redacted. And
//! only files without another name: with one, somebody keeps them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comet_core::UnixMillis;
use comet_core::recording::redact::Redactor;
use comet_core::recording::{self, Head};

use crate::config::RecordSettings;
use crate::metrics::Metrics;

const EXTENSION: &str = "cometrec";

/// Where segments are kept.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    /// Files kept.
    segments: usize,
    open: Option<Open>,
    redactor: Option<Box<Redactor>>,
    metrics: Arc<Metrics>,
}

/// The segment that is written.
#[derive(Debug)]
struct Open {
    file: File,
    head: Head,
    /// Bytes of it; what is behind them is older.
    length: u64,
}

impl Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Nothing more comes.
    fn end(&self) -> io::Result<()> {
        self.file.set_len(self.length)
    }
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
            open: None,
            redactor: settings.redact.then(|| Box::new(Redactor::new(key))),
            metrics,
        })
    }

    /// Ends the segment, if there is one, and begins the next.
    pub(super) fn begin(&mut self, head: Head, checkpoint: &[u8]) -> io::Result<()> {
        self.end()?;
        let path = self.dir.join(head.name()).with_extension(EXTENSION);
        let mut reused = false;
        for (recording, old) in self.too_many()? {
            if !reused && recording == head.recording {
                reused = reuse(&old, &path)?;
            }
            remove(&old)?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(!reused)
            .mode(0o600)
            .open(path)?;
        let bytes = head.bytes();
        let mut open = Open {
            file,
            head,
            length: 0,
        };
        open.write(&bytes)?;
        self.open = Some(open);
        self.metrics.recording_bytes.inc_by(bytes.len() as u64);
        match &mut self.redactor {
            Some(redactor) => {
                let redacted = redactor.checkpoint(checkpoint).map_err(io::Error::other)?;
                self.block(&redacted)
            }
            None => self.block(checkpoint),
        }
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

    /// The segment has no more entries.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.open.take().map_or(Ok(()), |open| open.end())
    }

    fn block(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let head = open.head.block(bytes);
        open.write(&head)?;
        open.write(bytes)?;
        self.metrics
            .recording_bytes
            .inc_by((head.len() + bytes.len()) as u64);
        Ok(())
    }

    /// The oldest files, so many that there is room for one more, and the recordings they are of.
    fn too_many(&self) -> io::Result<Vec<(UnixMillis, PathBuf)>> {
        let mut files = Vec::new();
        for entry in self.dir.read_dir()? {
            let path = entry?.path();
            if let Some(place) = place(&path) {
                files.push((place, path));
            }
        }
        files.sort();
        files.truncate((files.len() + 1).saturating_sub(self.segments));
        let oldest = files.into_iter();
        Ok(oldest.map(|((recording, _), path)| (recording, path)).collect())
    }
}

/// The recording and the number of a file whose name is one that we give. What somebody has saved beside it under a name of
/// his own is his.
fn place(path: &Path) -> Option<(UnixMillis, u64)> {
    let is_ours = path.extension().is_some_and(|extension| extension == EXTENSION);
    let name = path.file_stem().filter(|_| is_ours)?;
    recording::place(name.to_str()?)
}

/// Gives an old file the next name. Not if somebody has saved it under a name of his own, which would be written over, too,
/// or was faster.
fn reuse(old: &Path, next: &Path) -> io::Result<bool> {
    // Under its next name nobody can link it any more as the old one.
    match std::fs::rename(old, next).and_then(|()| std::fs::metadata(next)) {
        Ok(found) if found.nlink() > 1 => remove(next).map(|()| false),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Somebody else may have been faster.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
