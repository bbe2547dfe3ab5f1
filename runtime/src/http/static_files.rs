//! Static files (protocol.md 2.1, Q3), the client file among them (S62): off without a base directory, and never a file
//! outside of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Larger files are not served: an answer is held in memory while it is sent.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// The directory that is served.
#[derive(Clone, Debug)]
pub(crate) struct StaticFiles {
    base: PathBuf,
    content_types: BTreeMap<String, String>,
}

/// A file to answer with.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Served {
    pub(crate) content_type: String,
    pub(crate) content: Vec<u8>,
}

impl StaticFiles {
    pub(crate) fn new(base: &Path, content_types: BTreeMap<String, String>) -> Self {
        Self {
            base: base.to_owned(),
            content_types,
        }
    }

    /// Reads the file of a request path, which is not decoded yet. `None` is a 404. Touches the disk.
    pub(crate) fn read(&self, path: &str) -> Option<Served> {
        let name = relative_path(path)?;
        let content_type = format!("{}; charset=UTF-8", self.content_types.get(extension(&name)?)?);
        let base = self.base.canonicalize().ok()?;
        let found = base.join(&name).canonicalize().ok()?;
        if !found.starts_with(&base) {
            return None;
        }
        let file = File::open(found).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            return None;
        }
        let mut content = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut content).ok()?;
        Some(Served {
            content_type,
            content,
        })
    }
}

/// The text after the last dot of the last segment.
fn extension(name: &str) -> Option<&str> {
    let last = name.rsplit('/').next()?;
    Some(last.rsplit_once('.')?.1)
}

/// Decodes a request path once and refuses what could lead elsewhere.
fn relative_path(path: &str) -> Option<String> {
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
            let served = disk.files.read(path).unwrap_or_else(|| panic!("{path}"));
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
            "/a.JS",
            "/",
            "",
        ] {
            assert_eq!(disk.files.read(path), None, "{path}");
        }
    }
}
