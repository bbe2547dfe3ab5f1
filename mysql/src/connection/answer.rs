//! Answers: OK, ERR, EOF, result sets in text and binary form, the answer to a preparation.
//!
//! Promise: every call answers the oldest command that waits for one; own answers (to pings and the like) that were held
//! back behind it follow at once. Rows may be streamed; results of any length are cut into packets.
//! Must never know: what a column means.

use bytes::{BufMut, BytesMut};

use super::Connection;
use crate::error::ErrorPacket;
use crate::frame::put_packet;
use crate::input::Input;
use crate::login::{STATUS_AUTOCOMMIT, STATUS_IN_TRANSACTION};
use crate::statement::StatementId;
use crate::wire::{put_length_encoded, put_length_encoded_bytes};

/// Character set 45, `utf8mb4_general_ci`, the default of a [`Column`]: with 33, three-byte `utf8`, node's mysql2, which
/// decodes cells by the character set of their column, was seen to show emoji as `????`, and other clients take both alike.
pub const UTF8MB4_GENERAL_CI: u16 = 45;

/// A column of a result set: always text (VAR_STRING), whatever it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// What clients call the column.
    pub name: &'a str,
    /// A MySQL collation number.
    pub charset: u16,
}

impl<'a> Column<'a> {
    /// A column of [`UTF8MB4_GENERAL_CI`] text.
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            charset: UTF8MB4_GENERAL_CI,
        }
    }

    /// protocol.md 7.2: catalog `def`, empty names but its own, length 77, VAR_STRING, NOT NULL, decimals 1F.
    fn put(self, out: &mut BytesMut) {
        put_length_encoded_bytes(out, b"def");
        // Schema, table, original table.
        out.put_bytes(0, 3);
        put_length_encoded_bytes(out, self.name.as_bytes());
        // Original name, then the length of the fixed part.
        out.put_slice(&[0, 0x0C]);
        out.put_u16_le(self.charset);
        out.put_u32_le(77);
        out.put_slice(&[0xFD, 0x01, 0x00, 0x1F, 0, 0]);
    }
}

/// The content of an OK packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OkPacket<'a> {
    /// Rows stored, replaced or deleted.
    pub affected_rows: u64,
    /// What clients call `insert_id`.
    pub last_insert_id: u64,
    /// Text that consoles print.
    pub info: &'a str,
}

/// A command that was taken and not yet answered to its end.
#[derive(Debug)]
pub(super) struct Pending {
    /// Of the next packet of the answer.
    sequence: u8,
    /// What the caller keeps of the command, see `Connection::pending_weight`.
    weight: usize,
    by: By,
}

#[derive(Debug)]
enum By {
    Caller(Form),
    /// Answered by us as soon as it is its turn; so it is never the oldest one between two calls.
    Us(Own),
}

/// What the caller's answer has to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Binary,
    Preparation,
    /// In the middle of a result set.
    Rows {
        columns: usize,
        binary: bool,
    },
}

#[derive(Debug)]
enum Own {
    Ok,
    Eof,
    Error(ErrorPacket),
}

impl Pending {
    fn caller(sequence: u8, form: Form) -> Self {
        Self {
            sequence,
            weight: 0,
            by: By::Caller(form),
        }
    }

    fn us(sequence: u8, own: Own) -> Self {
        Self {
            sequence,
            weight: 0,
            by: By::Us(own),
        }
    }

    pub(super) fn text(sequence: u8) -> Self {
        Self::caller(sequence, Form::Text)
    }

    pub(super) fn binary(sequence: u8) -> Self {
        Self::caller(sequence, Form::Binary)
    }

    pub(super) fn preparation(sequence: u8) -> Self {
        Self::caller(sequence, Form::Preparation)
    }

    pub(super) fn ok(sequence: u8) -> Self {
        Self::us(sequence, Own::Ok)
    }

    pub(super) fn eof(sequence: u8) -> Self {
        Self::us(sequence, Own::Eof)
    }

    pub(super) fn error(sequence: u8, error: ErrorPacket) -> Self {
        Self::us(sequence, Own::Error(error))
    }

    pub(super) fn is_preparation(&self) -> bool {
        matches!(self.by, By::Caller(Form::Preparation))
    }

    fn waits_for_caller(&self) -> bool {
        matches!(self.by, By::Caller(_))
    }
}

/// Each of these answers the oldest input that [needs an answer](crate::Input::needs_answer) and has none yet; all of
/// them panic if there is none, or if a result set is open and it is not continued.
impl Connection {
    /// How many inputs the caller still has to answer.
    pub fn unanswered(&self) -> usize {
        self.pending
            .iter()
            .filter(|pending| pending.waits_for_caller())
            .count()
    }

    /// Sets the status flag "in transaction" of all OK and EOF packets from here on (protocol.md 7.1, Q37).
    pub fn set_in_transaction(&mut self, in_transaction: bool) {
        self.in_transaction = in_transaction;
    }

    /// OK packet.
    pub fn ok(&mut self, ok: &OkPacket<'_>) {
        let (sequence, form) = self.oldest();
        assert!(
            matches!(form, Form::Text | Form::Binary),
            "this is not answered by OK"
        );
        self.put_ok(sequence, ok);
        self.answered();
    }

    /// ERR packet. Allowed in the middle of a result set, too.
    pub fn error(&mut self, error: &ErrorPacket) {
        let (mut sequence, _) = self.oldest();
        put_packet(&mut self.output, &mut sequence, |out| error.put(out));
        self.answered();
    }

    /// The text that answers COM_STATISTICS.
    pub fn statistics(&mut self, text: &str) {
        let (mut sequence, form) = self.oldest();
        assert_eq!(form, Form::Text, "this is not answered by statistics");
        put_packet(&mut self.output, &mut sequence, |out| {
            out.put_slice(text.as_bytes())
        });
        self.answered();
    }

    /// The statement can be executed from now on: `param_count` question marks, and the columns its result will have
    /// (none if it is no query).
    pub fn prepared(&mut self, param_count: u16, columns: &[Column<'_>]) -> StatementId {
        let (mut sequence, form) = self.oldest();
        assert_eq!(form, Form::Preparation, "this is no preparation");
        let column_count = u16::try_from(columns.len()).expect("a result has at most 65535 columns");
        let id = self.statements.add(param_count);
        put_packet(&mut self.output, &mut sequence, |out| {
            out.put_u8(0);
            out.put_u32_le(id.0);
            out.put_u16_le(column_count);
            out.put_u16_le(param_count);
            // Filler, no warnings.
            out.put_bytes(0, 3);
        });
        let params = vec![Column::new("?"); usize::from(param_count)];
        self.put_columns(&mut sequence, &params);
        self.put_columns(&mut sequence, columns);
        self.answered();
        id
    }

    /// Begins a result set, in text or binary form as the command asks. Then [`row`](Self::row) as often as needed and
    /// [`end_rows`](Self::end_rows).
    ///
    /// # Panics
    /// Also if `columns` is empty.
    pub fn begin_rows(&mut self, columns: &[Column<'_>]) {
        assert!(!columns.is_empty(), "a result set has columns");
        let (mut sequence, form) = self.oldest();
        assert!(
            matches!(form, Form::Text | Form::Binary),
            "this is not answered by rows"
        );
        put_packet(&mut self.output, &mut sequence, |out| {
            put_length_encoded(out, columns.len() as u64)
        });
        self.put_columns(&mut sequence, columns);
        let form = Form::Rows {
            columns: columns.len(),
            binary: form == Form::Binary,
        };
        let oldest = &mut self.pending[0];
        (oldest.sequence, oldest.by) = (sequence, By::Caller(form));
    }

    /// One row: a cell per column, `None` for NULL.
    ///
    /// # Panics
    /// Also if the number of cells is not the number of columns.
    pub fn row(&mut self, cells: &[Option<&[u8]>]) {
        let (mut sequence, form) = self.oldest();
        let Form::Rows { columns, binary } = form else {
            panic!("no result set was begun")
        };
        assert_eq!(cells.len(), columns, "a cell for each column");
        let put_row = if binary { put_binary_row } else { put_text_row };
        put_packet(&mut self.output, &mut sequence, |out| put_row(out, cells));
        self.pending[0].sequence = sequence;
    }

    /// Ends the result set.
    pub fn end_rows(&mut self) {
        let (mut sequence, form) = self.oldest();
        assert!(matches!(form, Form::Rows { .. }), "no result set was begun");
        self.put_eof(&mut sequence);
        self.answered();
    }

    /// A result set that is there as a whole.
    pub fn resultset(&mut self, columns: &[Column<'_>], rows: &[Vec<Option<&[u8]>>]) {
        self.begin_rows(columns);
        for row in rows {
            self.row(row);
        }
        self.end_rows();
    }

    /// Takes a command into the line; what we answer ourselves leaves as soon as it is its turn.
    pub(super) fn queue(&mut self, pending: Pending) {
        self.pending.push_back(pending);
        self.answer_own();
    }

    /// Takes a command into the line that the caller answers.
    pub(super) fn ask(&mut self, pending: Pending, input: Input) -> Option<Input> {
        debug_assert!(pending.waits_for_caller() && input.needs_answer());
        let weight = input.weight();
        self.pending_weight += weight;
        self.pending.push_back(Pending { weight, ..pending });
        Some(input)
    }

    fn oldest(&self) -> (u8, Form) {
        match self.pending.front() {
            Some(Pending {
                sequence,
                by: By::Caller(form),
                ..
            }) => (*sequence, *form),
            Some(Pending { by: By::Us(_), .. }) | None => panic!("no command waits for an answer"),
        }
    }

    fn answered(&mut self) {
        if let Some(pending) = self.pending.pop_front() {
            self.pending_weight -= pending.weight;
        }
        self.answer_own();
    }

    fn answer_own(&mut self) {
        while self
            .pending
            .front()
            .is_some_and(|pending| !pending.waits_for_caller())
        {
            if let Some(Pending {
                sequence,
                by: By::Us(own),
                ..
            }) = self.pending.pop_front()
            {
                self.put_own(sequence, &own);
            }
        }
    }

    fn put_own(&mut self, mut sequence: u8, own: &Own) {
        match own {
            Own::Ok => self.put_ok(sequence, &OkPacket::default()),
            Own::Eof => self.put_eof(&mut sequence),
            Own::Error(error) => put_packet(&mut self.output, &mut sequence, |out| error.put(out)),
        }
    }

    fn status(&self) -> u16 {
        if self.in_transaction {
            STATUS_AUTOCOMMIT | STATUS_IN_TRANSACTION
        } else {
            STATUS_AUTOCOMMIT
        }
    }

    /// protocol.md Appendix A: `00 01 0C 02 00 00 00`. The info text has a length of its own: so MySQL sends it, and
    /// so clients read it.
    pub(super) fn put_ok(&mut self, mut sequence: u8, ok: &OkPacket<'_>) {
        let status = self.status();
        put_packet(&mut self.output, &mut sequence, |out| {
            out.put_u8(0);
            put_length_encoded(out, ok.affected_rows);
            put_length_encoded(out, ok.last_insert_id);
            out.put_u16_le(status);
            out.put_u16_le(0);
            if !ok.info.is_empty() {
                put_length_encoded_bytes(out, ok.info.as_bytes());
            }
        });
    }

    /// protocol.md Appendix A: `FE 00 00 02 00`.
    fn put_eof(&mut self, sequence: &mut u8) {
        let status = self.status();
        put_packet(&mut self.output, sequence, |out| {
            out.put_u8(0xFE);
            out.put_u16_le(0);
            out.put_u16_le(status);
        });
    }

    /// Column definitions and their EOF; nothing at all without columns.
    fn put_columns(&mut self, sequence: &mut u8, columns: &[Column<'_>]) {
        for column in columns {
            put_packet(&mut self.output, sequence, |out| column.put(out));
        }
        if !columns.is_empty() {
            self.put_eof(sequence);
        }
    }
}

fn put_text_row(out: &mut BytesMut, cells: &[Option<&[u8]>]) {
    for cell in cells {
        match cell {
            Some(bytes) => put_length_encoded_bytes(out, bytes),
            None => out.put_u8(0xFB),
        }
    }
}

/// 00, a bit per column that is NULL (the first two bits unused), then the cells that are not.
fn put_binary_row(out: &mut BytesMut, cells: &[Option<&[u8]>]) {
    out.put_u8(0);
    let nulls = out.len();
    out.put_bytes(0, (cells.len() + 2).div_ceil(8));
    for (position, cell) in (2..).zip(cells) {
        match cell {
            Some(bytes) => put_length_encoded_bytes(out, bytes),
            None => out[nulls + position / 8] |= 1 << (position % 8),
        }
    }
}
