//! Static files (protocol.md 2.1, Q3), the client file among them (S62): off without a base directory, and never a file
//! outside of it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::OFlags;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Larger files are not served: an answer is held in memory while it is sent.
const FILE_BYTES_MAX: u32 = 32 << 20;
/// Bytes of all files that are being sent. Clients may take a minute to receive one.
const SENDING_BYTES_MAX: usize = 256 << 20;

/// The directory that is served.
#[derive(Clone, Debug)]
pub(crate) struct StaticFiles {
    base: PathBuf,
    content_types: BTreeMap<String, String>,
    /// Bytes that may still be read.
    room: Arc<Semaphore>,
}

/// A file to answer with.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Served {
    pub(crate) content_type: String,
    pub(crate) content: Bytes,
}

/// Why there is no file to answer with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotServed {
    /// 404.
    Missing,
    /// 503: too much is being sent at the moment.
    Busy,
}

/// A content whose room is free again when the last reference to it is gone.
struct Sending {
    content: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Sending {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

impl StaticFiles {
    pub(crate) fn new(base: &Path, content_types: BTreeMap<String, String>) -> Self {
        Self {
            base: base.to_owned(),
            content_types,
            room: Arc::new(Semaphore::new(SENDING_BYTES_MAX)),
        }
    }

    /// Reads the file of a request path, which is not decoded yet. Touches the disk.
    pub(crate) fn read(&self, path: &str) -> Result<Served, NotServed> {
        let (content_type, found) = self.find(path).ok_or(NotServed::Missing)?;
        Ok(Served {
            content_type,
            content: self.content(&found)?,
        })
    }

    /// The Content-Type and the file itself, which is inside of the base directory.
    fn find(&self, path: &str) -> Option<(String, PathBuf)> {
        let name = relative_path(path)?;
        let content_type = format!("{}; charset=UTF-8", self.content_types.get(extension(&name)?)?);
        let base = self.base.canonicalize().ok()?;
        let found = base.join(&name).canonicalize().ok()?;
        found.starts_with(&base).then_some((content_type, found))
    }

    fn content(&self, path: &Path) -> Result<Bytes, NotServed> {
        let missing = |_| NotServed::Missing;
        // Whoever opens a pipe waits for its other end otherwise.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = file.map_err(missing)?;
        let metadata = file.metadata().map_err(missing)?;
        let length = u32::try_from(metadata.len()).unwrap_or(u32::MAX);
        if !metadata.is_file() || length > FILE_BYTES_MAX {
            return Err(NotServed::Missing);
        }
        let room = self.room.clone().try_acquire_many_owned(length);
        let room = room.map_err(|_| NotServed::Busy)?;
        let mut content = Vec::new();
        file.take(length.into())
            .read_to_end(&mut content)
            .map_err(missing)?;
        Ok(Bytes::from_owner(Sending { content, _room: room }))
    }
}

/// The text after the last dot of the last segment.
fn extension(name: &str) -> Option<&str> {
    let last = name.rsplit('/').next()?;
    Some(last.rsplit_once('.')?.1)
}

/// Decodes a request path once and refuses what could lead elsewhere.
pub(super) fn relative_path(path: &str) -> Option<String> {
    let decoded = percent_decode(path.strip_prefix('/')?)?;
    let evil =
        decoded.contains(['\0', '\\']) || decoded.starts_with('/') || decoded.split('/').any(|s| s == "..");
    (!evil).then_some(decoded)
}

/// `None`: a `%` without two hexadecimal digits, or no UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
            decoded.push(u8::try_from(value).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Disk {
        _dir: tempfile::TempDir,
        files: StaticFiles,
    }

    fn disk() -> Disk {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("www");
        std::fs::create_dir_all(base.join("sub dir")).unwrap();
        std::fs::create_dir(base.join("folder.js")).unwrap();
        std::fs::write(base.join("a.js"), "A").unwrap();
        std::fs::write(base.join("a%2ejs.js"), "percent").unwrap();
        std::fs::write(base.join("sub dir/ü.js"), "U").unwrap();
        std::fs::write(base.join("secret.key"), "S").unwrap();
        std::fs::write(base.join("noextension"), "N").unwrap();
        std::fs::write(dir.path().join("outside.js"), "O").unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, base.join("pipe.js"), fifo, mode, 0).unwrap();
        symlink("../outside.js", base.join("out.js")).unwrap();
        symlink("a.js", base.join("in.js")).unwrap();
        let types = BTreeMap::from([("js".to_owned(), "text/javascript".to_owned())]);
        let files = StaticFiles::new(&base, types);
        Disk { _dir: dir, files }
    }

    /// Q3.
    #[test]
    fn files_inside_are_served() {
        let disk = disk();
        for (path, content) in [
            ("/a.js", "A"),
            ("/%61.js", "A"),
            ("/in.js", "A"),
            ("/sub%20dir/%C3%BC.js", "U"),
            ("/sub%20dir/ü.js", "U"),
            ("/./a.js", "A"),
            ("/a%252ejs.js", "percent"),
        ] {
            let served = disk.files.read(path).unwrap_or_else(|_| panic!("{path}"));
            assert_eq!(served.content, content.as_bytes(), "{path}");
            assert_eq!(served.content_type, "text/javascript; charset=UTF-8");
        }
    }

    #[test]
    fn nothing_else_is() {
        let disk = disk();
        for path in [
            "/out.js",
            "/../outside.js",
            "/%2e%2e/outside.js",
            "/sub%20dir/../a.js",
            "/..%2foutside.js",
            "/sub%20dir%5c..%5ca.js",
            "/a.js%00",
            "/a.js%",
            "/a.js%4",
            "/%ff.js",
            "//a.js",
            "/secret.key",
            "/noextension",
            "/missing.js",
            "/folder.js",
            "/pipe.js",
            "/a.JS",
            "/",
            "",
        ] {
            assert_eq!(disk.files.read(path), Err(NotServed::Missing), "{path}");
        }
    }

    /// Clients that ask and do not read hold what they asked for.
    #[test]
    fn what_is_being_sent_is_bounded() {
        let disk = disk();
        let large = vec![b' '; FILE_BYTES_MAX as usize];
        std::fs::write(disk.files.base.join("large.js"), large).unwrap();
        let mut sending: Vec<Served> = (0..SENDING_BYTES_MAX / FILE_BYTES_MAX as usize)
            .map(|_| disk.files.read("/large.js").unwrap())
            .collect();
        assert_eq!(disk.files.read("/a.js"), Err(NotServed::Busy));
        sending.pop();
        assert!(disk.files.read("/a.js").is_ok());
    }
}
