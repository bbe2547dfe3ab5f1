//! Replies of the core as packets, in the order of the statements, large results in pieces.

use std::borrow::Cow;
use std::sync::Arc;

use comet_core::cometql::{Cell, Prepared, Row, Rows};
use comet_core::{Answer, Done, QueryError, Reply};
use comet_mysql::{Column, Connection, ErrorPacket, OkPacket, StatementId};

use super::login::error_packet;
use super::statement::info;

/// A cell with the text of a number or a name.
const CELL_BYTES: usize = 48;

/// A result set of which some rows may not be packets yet.
#[derive(Debug)]
pub(crate) struct Streaming {
    rows: std::vec::IntoIter<Row>,
}

/// What the rows of a reply take until they are written; their long texts are shared with what they stand for.
pub(crate) fn bytes(reply: &Reply) -> usize {
    match &reply.result {
        Ok(Answer::Rows(rows)) => rows.rows.len() * (size_of::<Row>() + rows.columns.len() * CELL_BYTES),
        Ok(Answer::Done(_)) | Err(_) => 0,
    }
}

/// Writes a reply; `Some`: its rows are still to come.
pub(crate) fn begin(mysql: &mut Connection, reply: Reply) -> Option<Streaming> {
    mysql.set_in_transaction(reply.in_transaction);
    match reply.result {
        Err(error) => mysql.error(&error_packet(error)),
        Ok(Answer::Done(done)) => ok(mysql, &done),
        // A result set without columns cannot be told on the wire.
        Ok(Answer::Rows(rows)) if rows.columns.is_empty() => mysql.ok(&OkPacket::default()),
        Ok(Answer::Rows(Rows { columns, rows })) => {
            mysql.begin_rows(&wire_columns(&columns));
            return Some(Streaming {
                rows: rows.into_iter(),
            });
        }
    }
    None
}

impl Streaming {
    /// Writes rows until there are `output_max` bytes of output. True: that was all.
    pub(crate) fn continue_until(&mut self, mysql: &mut Connection, output_max: usize) -> bool {
        while mysql.output_len() < output_max {
            let Some(row) = self.rows.next() else {
                mysql.end_rows();
                return true;
            };
            let cells: Vec<Cow<'_, [u8]>> = row.iter().map(cell).collect();
            let cells: Vec<Option<&[u8]>> = cells.iter().map(|cell| Some(&**cell)).collect();
            mysql.row(&cells);
        }
        false
    }
}

/// Every cell is text on the wire, numbers in decimal (protocol.md 7.2).
fn cell(cell: &Cell) -> Cow<'_, [u8]> {
    match cell {
        Cell::Int(number) => Cow::Owned(number.to_string().into_bytes()),
        Cell::Text(text) => Cow::Borrowed(text.as_bytes()),
    }
}

fn ok(mysql: &mut Connection, done: &Done) {
    mysql.ok(&OkPacket {
        affected_rows: done.affected,
        last_insert_id: done.insert_id,
        info: &info(done),
    });
}

/// Answers COM_STMT_PREPARE; `Some`: the statement can be executed under this id.
pub(crate) fn prepared(
    mysql: &mut Connection,
    statement: Result<Prepared, QueryError>,
) -> Option<(StatementId, Prepared)> {
    let statement = match statement {
        Ok(statement) => statement,
        Err(error) => {
            mysql.error(&error_packet(error));
            return None;
        }
    };
    let Ok(params) = u16::try_from(statement.params()) else {
        let text = "Prepared statement contains too many placeholders";
        mysql.error(&ErrorPacket::new(1390, b"HY000", text));
        return None;
    };
    let columns = statement.columns();
    let id = mysql.prepared(params, &wire_columns(&columns));
    Some((id, statement))
}

fn wire_columns(columns: &[Arc<str>]) -> Vec<Column<'_>> {
    columns.iter().map(|name| Column::new(name)).collect()
}
