//! A password for whoever did not choose one: made once from the system's random source, kept in the data directory
//! in a file only its owner can read, and used again at every start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use comet_core::Secret;

use super::{Notice, PasswordSource, Settings, SettingsError};
use crate::entropy::Entropy;
use crate::store::make_directory;

/// Name of the file in the data directory.
pub(super) const FILE_NAME: &str = "password";

/// Sets the password of `settings` if it has none, making the data directory and the file when they are missing.
pub(super) fn complete(settings: &mut Settings, notices: &mut Vec<Notice>) -> Result<(), SettingsError> {
    if !settings.core.password.reveal().is_empty() {
        return Ok(());
    }
    let path = settings.data_dir.join(FILE_NAME);
    let failed = |error: io::Error| {
        SettingsError::new(format!(
            "{}: {error}; set a password with COMET_PASSWORD or another directory with --data-dir",
            path.display()
        ))
    };
    make_directory(&settings.data_dir).map_err(failed)?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(&settings.data_dir, &path)
            .and_then(|()| fs::read_to_string(&path))
            .map_err(failed)?,
        Err(error) => return Err(failed(error)),
    };
    let password = text.trim();
    if password.is_empty() {
        return Err(SettingsError::new(format!(
            "{}: is empty; delete it to get a new password",
            path.display()
        )));
    }
    if fs::metadata(&path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0) {
        notices.push(Notice(format!(
            "{} can be read by others; its mode should be 0600",
            path.display()
        )));
    }
    settings.core.password = Secret::new(password);
    settings.password_source = PasswordSource::File(path);
    Ok(())
}

/// Makes the file under another name first, so that nobody ever reads half a password; of two servers that start
/// at once the first one's stays.
fn make(dir: &Path, path: &Path) -> io::Result<()> {
    let fresh = dir.join(format!("password.{}", std::process::id()));
    // A file that is there could have another mode, or lead elsewhere.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    let result = random_text()
        .and_then(|text| writeln!(file, "{text}"))
        .and_then(|()| file.sync_all())
        .and_then(|()| match fs::hard_link(&fresh, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    fs::remove_file(&fresh)?;
    result
}

/// 128 random bits in 32 characters that need no quoting anywhere.
fn random_text() -> io::Result<String> {
    let bytes: [u8; 16] = Entropy::open()?.bytes()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where the password of these settings will come from, without making one.
pub(super) fn file(settings: &Settings) -> Option<PathBuf> {
    settings
        .core
        .password
        .reveal()
        .is_empty()
        .then(|| settings.data_dir.join(FILE_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_neither_followed_nor_kept() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, "untouched").unwrap();
        let fresh = dir.path().join(format!("password.{}", std::process::id()));
        std::os::unix::fs::symlink(&elsewhere, &fresh).unwrap();
        let path = dir.path().join(FILE_NAME);
        make(dir.path(), &path).unwrap();
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "untouched");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fresh.exists());
    }
}
