//! The command half of a connection: one payload becomes an input, an answer of our own, or both.
//!
//! Promise: every command byte has an answer or is known to have none (protocol.md 7.2).

use bytes::Bytes;

use super::answer::Pending;
use super::{Connection, Phase, Renewal};
use crate::error::ErrorPacket;
use crate::input::Input;
use crate::statement::{Execution, StatementId};
use crate::wire::{Malformed, Reader};

const COM_QUIT: u8 = 0x01;
const COM_INIT_DB: u8 = 0x02;
const COM_QUERY: u8 = 0x03;
const COM_FIELD_LIST: u8 = 0x04;
const COM_STATISTICS: u8 = 0x09;
const COM_PING: u8 = 0x0E;
const COM_CHANGE_USER: u8 = 0x11;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const COM_STMT_SEND_LONG_DATA: u8 = 0x18;
const COM_STMT_CLOSE: u8 = 0x19;
const COM_STMT_RESET: u8 = 0x1A;
const COM_SET_OPTION: u8 = 0x1B;
const COM_RESET_CONNECTION: u8 = 0x1F;

impl Connection {
    pub(super) fn command(&mut self, mut payload: Bytes, received: u8) -> Option<Input> {
        let sequence = received.wrapping_add(1);
        if payload.is_empty() {
            self.queue(Pending::error(sequence, ErrorPacket::unknown_command()));
            return None;
        }
        let command = payload.split_to(1)[0];
        match command {
            COM_QUIT => {
                self.phase = Phase::Closed;
                Some(Input::Quit)
            }
            COM_QUERY => self.ask(Pending::text(sequence), Input::Query(payload)),
            COM_INIT_DB => self.ask(Pending::text(sequence), Input::InitDb(payload)),
            COM_STATISTICS => self.ask(Pending::text(sequence), Input::Statistics),
            COM_STMT_PREPARE => self.prepare(payload, sequence),
            COM_STMT_EXECUTE => self.execute(payload, sequence),
            COM_STMT_SEND_LONG_DATA => {
                self.long_data(payload);
                None
            }
            COM_STMT_CLOSE => {
                let id = Reader::new(payload).u32().map(StatementId).ok()?;
                self.statements.close(id).then_some(Input::StatementClosed(id))
            }
            COM_STMT_RESET => {
                self.reset_statement(payload, sequence);
                None
            }
            COM_RESET_CONNECTION => self.renew_later(Renewal::Reset, received),
            COM_CHANGE_USER => self.renew_later(Renewal::ChangeUser(payload), received),
            COM_PING => self.answer_alone(Pending::ok(sequence)),
            COM_FIELD_LIST | COM_SET_OPTION => self.answer_alone(Pending::eof(sequence)),
            _ => self.answer_alone(Pending::error(sequence, ErrorPacket::unknown_command())),
        }
    }

    /// A command that was too long to be kept; `kept` are its first bytes.
    pub(super) fn oversized(&mut self, kept: &Bytes, received: u8) -> Option<Input> {
        match kept[0] {
            COM_STMT_SEND_LONG_DATA => {
                if let Ok(id) = Reader::new(kept.slice(1..)).u32() {
                    self.statements.refuse_long_data(StatementId(id));
                }
                None
            }
            // Has no answer, and only its first bytes matter.
            COM_STMT_CLOSE => self.command(kept.clone(), received),
            _ => self.ask(Pending::text(received.wrapping_add(1)), Input::TooLarge),
        }
    }

    fn renew_later(&mut self, renewal: Renewal, sequence: u8) -> Option<Input> {
        self.phase = Phase::Renewing { renewal, sequence };
        None
    }

    fn answer_alone(&mut self, pending: Pending) -> Option<Input> {
        self.queue(pending);
        None
    }

    fn prepare(&mut self, payload: Bytes, sequence: u8) -> Option<Input> {
        let max = self.config.limits.prepared_max;
        let being_prepared = self
            .pending
            .iter()
            .filter(|pending| pending.is_preparation())
            .count();
        if self.statements.len() + being_prepared >= max {
            return self.answer_alone(Pending::error(sequence, ErrorPacket::too_many_statements(max)));
        }
        self.ask(Pending::preparation(sequence), Input::Prepare(payload))
    }

    fn execute(&mut self, payload: Bytes, sequence: u8) -> Option<Input> {
        match self.statements.execute(payload) {
            Execution::Run { id, params } => self.ask(
                Pending::binary(sequence),
                Input::Execute {
                    statement: id,
                    params,
                },
            ),
            Execution::TooLarge => self.ask(Pending::binary(sequence), Input::TooLarge),
            Execution::Unknown => {
                self.answer_alone(Pending::error(sequence, ErrorPacket::unknown_statement()))
            }
            Execution::Malformed => self.answer_alone(Pending::error(sequence, ErrorPacket::bad_arguments())),
        }
    }

    fn reset_statement(&mut self, payload: Bytes, sequence: u8) {
        let pending = match Reader::new(payload).u32() {
            Ok(id) if self.statements.reset(StatementId(id)) => Pending::ok(sequence),
            Ok(_) => Pending::error(sequence, ErrorPacket::unknown_statement()),
            Err(Malformed) => Pending::error(sequence, ErrorPacket::malformed_command()),
        };
        self.queue(pending);
    }

    /// Has no answer, not even if it is malformed.
    fn long_data(&mut self, payload: Bytes) {
        let max = self.config.limits.packet_max;
        let mut reader = Reader::new(payload);
        if let (Ok(id), Ok(param)) = (reader.u32(), reader.u16()) {
            self.statements
                .add_long_data(StatementId(id), param, &reader.rest(), max);
        }
    }
}
