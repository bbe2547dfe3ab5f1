//! Statements as text, and what of their answers a story asks for.

use comet_core::cometql::{self, Limits};
use comet_core::{Answer, ErrorCode, QueryError};

use super::World;

/// What a statement is answered at once.
pub(crate) fn run(w: &mut World, sql: &str) -> Option<Result<Answer, QueryError>> {
    let limits = Limits::of(&w.config.clone().check().unwrap());
    w.statement(cometql::parse(sql.as_bytes(), &limits).unwrap())
}

/// How many rows a SELECT gives.
pub(crate) fn rows(w: &mut World, sql: &str) -> usize {
    match run(w, sql) {
        Some(Ok(Answer::Rows(rows))) => rows.rows.len(),
        other => panic!("{other:?}"),
    }
}

/// How many rows a statement changes.
pub(crate) fn affected(w: &mut World, sql: &str) -> u64 {
    match run(w, sql) {
        Some(Ok(Answer::Done(done))) => done.affected,
        other => panic!("{other:?}"),
    }
}

/// With which code a statement is refused.
pub(crate) fn code(w: &mut World, sql: &str) -> Option<ErrorCode> {
    run(w, sql).unwrap().err().map(|error| error.code)
}
