//! What can stop a run before it has a verdict. Lost or duplicated messages are not here: they are findings, and a
//! scenario that found some still reports its figures (`report.rs`).

use std::io;

/// Why a scenario could not be carried out. The text is one line meant for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    #[error("CometQL error {code}: {text}")]
    Sql { code: u16, text: String },
    #[error("{0}")]
    Told(String),
}

impl Failure {
    pub(crate) fn told(text: impl Into<String>) -> Self {
        Self::Told(text.into())
    }
}

impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        Self::Io {
            doing: "network or file".into(),
            source,
        }
    }
}

/// Names what was being done when an I/O error came up.
pub(crate) trait While<T> {
    fn or_while(self, doing: impl Into<String>) -> Result<T, Failure>;
}

impl<T> While<T> for io::Result<T> {
    fn or_while(self, doing: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|source| Failure::Io {
            doing: doing.into(),
            source,
        })
    }
}
