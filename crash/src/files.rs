//! The shipping store's view of a simulated disk: its few file operations besides SQLite's, on the same files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use comet_server::store::Files;

use crate::disk::{Disk, Error};
use crate::vfs;

/// A disk that SQLite and the store can reach until this is dropped.
#[derive(Debug)]
pub(crate) struct Mounted {
    pub(crate) disk: Arc<Disk>,
    number: u64,
}

impl Mounted {
    pub(crate) fn new(disk: Disk) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Relaxed);
        let disk = Arc::new(disk);
        vfs::mount(number, Arc::clone(&disk));
        Self { disk, number }
    }

    /// The directory of the store.
    pub(crate) fn dir(&self) -> PathBuf {
        PathBuf::from(format!("/{}", self.number))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        vfs::unmount(self.number);
    }
}

/// The store's paths are all files in one directory, which is the disk.
fn name(path: &Path) -> io::Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn system(error: Error) -> io::Error {
    match error {
        Error::Io => io::Error::other("simulated I/O error"),
        Error::Full => io::ErrorKind::StorageFull.into(),
        Error::Missing => io::ErrorKind::NotFound.into(),
    }
}

impl Files for Mounted {
    fn layer(&self) -> Option<&str> {
        Some(vfs::NAME)
    }

    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        let Some(inode) = self.disk.find(name(path)?).map_err(system)? else {
            return Ok(None);
        };
        let length = self.disk.len(inode).map_err(system)?;
        Ok(Some(length as u64))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let Some(inode) = self.disk.find(name(path)?).map_err(system)? else {
            return Ok(None);
        };
        self.disk.read_all(inode).map(Some).map_err(system)
    }

    fn read_at(&self, path: &Path, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let inode = self.disk.open(name(path)?, false).map_err(system)?;
        let mut bytes = vec![0; length];
        let count = self.disk.read(inode, at as usize, &mut bytes).map_err(system)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        match self.disk.find(name(path)?).map_err(system)? {
            Some(inode) => self.disk.sync(inode).map_err(system),
            None => Ok(()),
        }
    }

    fn forget(&self, path: &Path) -> io::Result<()> {
        match self.disk.find(name(path)?).map_err(system)? {
            Some(inode) => self.disk.reread(inode).map_err(system),
            None => Ok(()),
        }
    }

    fn cut(&self, path: &Path, length: u64) -> io::Result<()> {
        let name = name(path)?;
        let inode = self.disk.open(name, false).map_err(system)?;
        if self.disk.len(inode).map_err(system)? as u64 > length {
            self.disk.truncate(inode, length as usize).map_err(system)?;
        }
        self.disk.sync(inode).map_err(system)
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        let name = name(path)?;
        match self.disk.delete(name) {
            Ok(()) | Err(Error::Missing) => {}
            Err(error) => return Err(system(error)),
        }
        self.disk.open(name, true).map(|_| ()).map_err(system)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(name(from)?, name(to)?).map_err(system)
    }

    fn sync_names(&self, _dir: &Path) -> io::Result<()> {
        self.disk.sync_dir().map_err(system)
    }
}
