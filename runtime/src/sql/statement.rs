//! What happens to the text of a statement before the core sees it, the same for every way it can come: parsing, the
//! statement log (protocol.md 8.2, `main.useQueryLoger`), facts only this machine knows.

use comet_core::cometql::{self, Limits, Statement};
use comet_core::{DevId, Done, QueryError};

/// Parses a statement as it was sent, and logs it if the administrator wants that. `dev` is the session's tenant.
pub(crate) fn parse(dev: DevId, text: &[u8], limits: &Limits) -> Result<Statement, QueryError> {
    let statement = cometql::parse(text, limits);
    log(dev, text, &statement);
    statement
}

fn log(dev: DevId, text: &[u8], statement: &Result<Statement, QueryError>) {
    let kind = match statement {
        Ok(Statement::Nothing | Statement::Show(_) | Statement::ShowHost { .. }) => return,
        Ok(statement) => statement.kind(),
        // Where quotes are missing, a secret may be a bare word.
        Err(_) => return crate::logging::log_statement(dev, "refused", ""),
    };
    if let Ok(text) = std::str::from_utf8(text) {
        crate::logging::log_statement(dev, kind, text);
    }
}

/// Completes a statement for the core, and follows the session to another tenant.
pub(super) fn complete(statement: &mut Result<Statement, QueryError>, dev: &mut DevId) {
    if let Ok(Statement::ShowHost { scope, facts }) = statement {
        *facts = crate::host::facts(*scope);
    }
    if let Ok(Statement::Use {
        dev: Some(chosen), ..
    }) = statement
    {
        *dev = *chosen;
    }
}

/// The info text of a message INSERT, which consoles print (protocol.md 7.2); empty for everything else.
pub(crate) fn info(done: &Done) -> String {
    done.delivered.map_or_else(String::new, |delivered| {
        format!("delivered={} queued={}", delivered.connections, delivered.queued)
    })
}
