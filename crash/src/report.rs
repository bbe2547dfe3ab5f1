//! What a command found: lines for people, and one flat JSON object for whoever collects reports.

use std::path::Path;

use serde_json::{Map, Value};

/// A flat JSON object in the making.
#[derive(Debug)]
pub(crate) struct Report(Map<String, Value>);

impl Report {
    pub(crate) fn new(what: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("what".to_owned(), what.into());
        Self(fields)
    }

    pub(crate) fn number(mut self, name: &str, value: u64) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Writes the file if one was asked for.
    pub(crate) fn write(self, path: Option<&Path>) -> Result<(), String> {
        let Some(path) = path else { return Ok(()) };
        let text = format!("{}\n", Value::Object(self.0));
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
