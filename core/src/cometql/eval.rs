//! WHERE, ORDER BY, LIMIT and COUNT(*) over rows, with their MySQL meaning (protocol.md 7.3).

use alloc::vec::Vec;

use super::{Delete, Row, Rows, Select};

/// The result of a SELECT. `candidates` are the rows of the listed keys (all columns), in the order listed.
pub fn select(_select: &Select, candidates: Vec<Row>) -> Rows {
    Rows {
        columns: Vec::new(),
        rows: candidates,
    }
}

/// The positions of the candidates a DELETE means, ascending.
pub fn choose(_delete: &Delete, candidates: &[Row]) -> Vec<usize> {
    (0..candidates.len()).collect()
}

/// LIKE: `%` any run, `_` one character, `\` takes the next one literally; byte for byte otherwise.
pub fn like(text: &str, pattern: &str) -> bool {
    text == pattern
}
