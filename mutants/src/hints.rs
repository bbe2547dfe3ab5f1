//! Which test caught which mutant the last time. Only the order of the tests follows from it, so it cannot be wrong:
//! that test is run again, and if it passes now, all others are. A run that was broken off is repeated quickly.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

/// Below cargo's target folder. A line for each catch: the mutant's key, a tab, the test.
const FILE: &str = "mutants-caught.txt";

/// What is known.
pub(crate) struct Hints {
    known: BTreeMap<String, String>,
    file: Mutex<File>,
}

impl Hints {
    /// Reads them; the file is written anew, so that it does not grow for ever.
    pub(crate) fn read(target: &Path) -> Result<Self, String> {
        let path = target.join(FILE);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let known: BTreeMap<String, String> = text
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(key, test)| (key.to_owned(), test.to_owned()))
            .collect();
        let mut file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let text: String = known
            .iter()
            .map(|(key, test)| format!("{key}\t{test}\n"))
            .collect();
        file.write_all(text.as_bytes())
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let file = Mutex::new(file);
        Ok(Self { known, file })
    }

    /// The test that caught it.
    pub(crate) fn of(&self, key: &str) -> Option<&str> {
        self.known.get(key).map(String::as_str)
    }

    /// Notes a catch at once.
    pub(crate) fn note(&self, key: &str, test: &str) {
        if self.of(key) != Some(test)
            && let Ok(mut file) = self.file.lock()
        {
            // Losing one costs time, nothing else.
            let _ = file.write_all(format!("{key}\t{test}\n").as_bytes());
        }
    }
}
