//! Recordings as files: the segments of a directory in their order.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use comet_core::UnixMillis;
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
        files.extend(place(&file).map(|place| (place, file)));
    }
    files.sort();
    if files.is_empty() {
        return Err(failed(Why::Nothing));
    }
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// The place of a file among the segments of its directory, by its name. Others may lie there; the server leaves them alone.
fn place(file: &Path) -> Option<(UnixMillis, u64)> {
    let is_ours = file.extension().is_some_and(|extension| extension == "cometrec");
    let stem = file.file_stem().filter(|_| is_ours)?;
    recording::place(stem.to_str()?)
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
            "0000000000001-000002.cometrec",
            "0000000000001-999999.cometrec",
            "0000000000001-1000000.cometrec",
            "0000000000002-000001.cometrec",
            "10000000000000-000001.cometrec",
        ];
        let places: Vec<_> = names.iter().map(|name| place(Path::new(name))).collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{places:?}"
        );
        assert!(!names.is_sorted(), "as texts they are not");
        for foreign in ["mine.cometrec", "2026-11.cometrec", "0000000000001-000002.txt"] {
            assert_eq!(place(Path::new(foreign)), None, "{foreign}");
        }
    }
}
