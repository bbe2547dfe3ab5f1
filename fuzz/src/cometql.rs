//! Any bytes as CometQL text (protocol.md 7.3): an answer, never a panic; preparing and parsing agree.

use comet_core::cometql::{parse, prepare};

use crate::limits;

/// `data` is the text of a statement.
pub fn cometql(data: &[u8]) {
    let limits = limits();
    let parsed = parse(data, &limits);
    match prepare(data, &limits) {
        Ok(prepared) if prepared.params() == 0 => {
            assert_eq!(
                prepared.bind(&[], &limits),
                parsed,
                "a template without `?` is the statement"
            );
        }
        Ok(prepared) => {
            assert!(parsed.is_err(), "`?` is no value outside of a prepared statement");
            // One value too many or too few is an error, never a panic.
            assert!(prepared.bind(&[], &limits).is_err());
        }
        // The reasons may differ: a `?` is an error of its own where none may stand.
        Err(_) => assert!(parsed.is_err(), "what cannot be prepared is no statement"),
    }
}
