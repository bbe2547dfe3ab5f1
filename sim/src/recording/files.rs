//! Recordings as files: the segments of a directory in their order.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use comet_core::recording::{self, Entry, ReadError, Segment};

use super::{Difference, Replay, Totals};

/// Why a replay did not come to its end: in which file, and what.
#[derive(Debug)]
pub struct Failed {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub why: Why,
}

/// What can be wrong with a file.
#[derive(Debug)]
pub enum Why {
    /// The system does not give it.
    Io(io::Error),
    /// There is no recording, or none of which anything can be replayed.
    Nothing,
    /// It cannot be read.
    Read(ReadError),
    /// The replay did something else than the server.
    Difference(Difference),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        match &self.why {
            Why::Io(error) => error.fmt(f),
            Why::Nothing => f.write_str("there is no recording that can be replayed"),
            Why::Read(error) => error.fmt(f),
            Why::Difference(difference) => difference.fmt(f),
        }
    }
}

impl std::error::Error for Failed {}

/// The file itself, or the segments in a directory in their order.
///
/// # Errors
/// The directory cannot be read, or has none.
pub fn segments(path: &Path) -> Result<Vec<PathBuf>, Failed> {
    let failed = |why| Failed {
        file: path.to_owned(),
        why,
    };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(|error| failed(Why::Io(error)))? {
        let file = entry.map_err(|error| failed(Why::Io(error)))?.path();
        if file.extension().is_some_and(|extension| extension == "cometrec") {
            files.push(file);
        }
    }
    sort(&mut files);
    if files.is_empty() {
        return Err(failed(Why::Nothing));
    }
    Ok(files)
}

/// Segments in order. What has no place among them has another name than it should, and is not played.
fn sort(files: &mut [PathBuf]) {
    files.sort_by_cached_key(|file| {
        let name = file.file_stem().unwrap_or_default();
        (recording::place(&name.to_string_lossy()), file.clone())
    });
}

/// What a file holds; `None` if nothing of it is to be played: it ends before its checkpoint does, because the server died
/// then, or it is one of a directory and has another name than it should, because the server was about to write it over.
///
/// # Errors
/// It is not a recording, or damaged.
pub fn read<'b>(
    file: &Path,
    bytes: &'b [u8],
    is_one_of_many: bool,
) -> Result<Option<Segment<'b>>, ReadError> {
    let stem = file.file_stem().and_then(|name| name.to_str());
    if is_one_of_many && stem.and_then(recording::place).is_none() {
        return Ok(None);
    }
    match Segment::read(bytes) {
        Err(ReadError::NoCheckpoint) => Ok(None),
        Ok(segment) if is_one_of_many && file.file_stem() != Some(segment.head.name().as_ref()) => Ok(None),
        read => read.map(Some),
    }
}

/// Replays the segments of a file or directory up to the first difference. `watch` is told file, number and event
/// before the core is.
///
/// # Errors
/// See [`Failed`]; also if nothing was replayed.
pub fn replay(path: &Path, watch: &mut dyn FnMut(&Path, usize, &Entry)) -> Result<Totals, Failed> {
    let mut replay = Replay::default();
    for file in segments(path)? {
        let failed = |why| Failed {
            file: file.clone(),
            why,
        };
        let bytes = std::fs::read(&file).map_err(|error| failed(Why::Io(error)))?;
        let read = read(&file, &bytes, path.is_dir()).map_err(|error| failed(Why::Read(error)))?;
        let Some(segment) = read else {
            replay.totals.torn += 1;
            continue;
        };
        let played = replay.segment(&segment, &mut |number, entry| watch(&file, number, entry));
        if let Some(difference) = played.map_err(|error| failed(Why::Read(error)))? {
            return Err(failed(Why::Difference(difference)));
        }
    }
    if replay.totals.segments == 0 {
        let file = path.to_owned();
        let why = Why::Nothing;
        return Err(Failed { file, why });
    }
    Ok(replay.totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_in_the_order_of_their_numbers() {
        let names = [
            "mine.cometrec",
            "0000000000001-000002.cometrec",
            "0000000000001-999999.cometrec",
            "0000000000001-1000000.cometrec",
            "0000000000002-000001.cometrec",
            "10000000000000-000001.cometrec",
        ];
        let sorted: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let mut files = sorted.clone();
        files.sort();
        assert_ne!(files, sorted);
        sort(&mut files);
        assert_eq!(files, sorted);
    }

    /// The server leaves such files alone, so they may lie in its directory.
    #[test]
    fn in_a_directory_only_our_names_are_read() {
        let foreign = Path::new("2026-11.cometrec");
        assert!(matches!(read(foreign, b"old", true), Ok(None)));
        assert!(read(foreign, b"old", false).is_err(), "it was named");
        let ours = Path::new("0000000000001-000002.cometrec");
        assert!(read(ours, b"old", true).is_err());
    }
}
