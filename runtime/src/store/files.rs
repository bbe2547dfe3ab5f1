//! The files of the store, as far as SQLite does not reach them itself: the seam at which another disk is put under the
//! shipping code. [`SystemFiles`] is the operating system's; the other implementation is the simulated disk of
//! `comet-crash`, which loses power.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

/// What opening a store does with files, besides SQLite.
pub trait Files {
    /// The name of SQLite's file layer for the same files; `None` for its default.
    fn layer(&self) -> Option<&str>;

    /// The length of a file, bytes; `None` if there is none.
    fn length(&self, path: &Path) -> io::Result<Option<u64>>;

    /// The whole content of a file; `None` if there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// So many bytes of a file that is there, from an offset on; fewer where it ends.
    fn read_at(&self, path: &Path, at: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Brings the content of a file, if there is one, to the disk.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Has a file, if there is one, read from the disk from now on: the system may go on showing what it could not write
    /// when somebody before us synced it.
    fn forget(&self, path: &Path) -> io::Result<()>;

    /// Shortens a file that is there, if it is longer, and brings that to the disk.
    fn cut(&self, path: &Path, length: u64) -> io::Result<()>;

    /// Makes an empty file that only its owner can read, in the place of one that may be there.
    fn create(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, replacing none.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Brings the names in a directory to the disk.
    fn sync_names(&self, dir: &Path) -> io::Result<()>;
}

/// The files of the operating system.
#[derive(Debug)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn layer(&self) -> Option<&str> {
        None
    }

    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        present(fs::metadata(path).map(|found| found.len()))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        present(fs::read(path))
    }

    fn read_at(&self, path: &Path, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::with_capacity(length);
        file.take(length as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        match present(File::open(path))? {
            Some(file) => file.sync_all(),
            None => Ok(()),
        }
    }

    fn forget(&self, path: &Path) -> io::Result<()> {
        if let Some(file) = present(File::open(path))? {
            // A file system that keeps nothing to forget may refuse.
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
        }
        Ok(())
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
        }
        file.sync_all()
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        present(fs::remove_file(path))?;
        // It holds keys of users; SQLite gives its log the same mode.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map(|_| ())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_names(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// A file that is not there is an answer, not an error.
fn present<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
