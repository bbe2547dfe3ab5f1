//! One connection: the order of its phases, from greeting through login to commands.
//!
//! Promise: the answers leave in the order of the commands, each with the sequence ids of its own command, however many
//! commands were taken before the first was answered. What this module needs no opinion for it answers itself.
//! Must never know: sockets, time, chance, users, the language of the queries.

mod answer;
mod auth;
mod command;

use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::config::Config;
use crate::error::ProtocolError;
use crate::frame::{Frame, Framer, put_packet};
use crate::input::Input;
use crate::login::put_greeting;
use crate::statement::Statements;
use answer::Pending;
pub use answer::{Column, OkPacket, UTF8MB4_GENERAL_CI};
use auth::Exchange;

/// The server's side of one connection. See the [crate documentation](crate) for how to drive it.
pub struct Connection {
    config: Config,
    framer: Framer,
    output: BytesMut,
    phase: Phase,
    /// The connection was upgraded to TLS.
    tls: bool,
    /// What the client announced at login.
    capabilities: u32,
    statements: Statements,
    /// Commands taken, oldest first; the first one is the one being answered.
    pending: VecDeque<Pending>,
    /// What the caller keeps of the commands that wait for it.
    pending_weight: usize,
    in_transaction: bool,
}

enum Phase {
    /// The client's login (or TLS request) comes next, with this sequence id.
    Login {
        sequence: u8,
    },
    /// The client was asked to prove itself in another way; its answer comes next.
    Switched {
        exchange: Exchange,
    },
    /// A login was handed out; `sequence` is that of the answer.
    Deciding {
        sequence: u8,
        /// `caching_sha2_password` says in a packet of its own that the proof was enough.
        fast_path: bool,
    },
    Ready,
    /// A command that begins the session anew; it waits until everything before it is answered.
    Renewing {
        renewal: Renewal,
        sequence: u8,
    },
    Closed,
}

enum Renewal {
    Reset,
    /// The payload after its command byte.
    ChangeUser(Bytes),
}

/// Shows sizes only: what clients send may be secret.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("connection_id", &self.config.connection_id)
            .field("closed", &self.is_closed())
            .field("tls", &self.tls)
            .field("buffered", &self.buffered())
            .field("unanswered", &self.unanswered())
            .field("statements", &self.statements.len())
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Begins a connection; the greeting is in the output at once.
    ///
    /// # Panics
    /// If `config` is not as its fields document.
    pub fn new(config: Config) -> Self {
        config.assert_valid();
        let mut output = BytesMut::new();
        let mut sequence = 0;
        put_packet(&mut output, &mut sequence, |out| put_greeting(out, &config));
        Self {
            config,
            framer: Framer::default(),
            output,
            phase: Phase::Login { sequence },
            tls: false,
            capabilities: 0,
            statements: Statements::default(),
            pending: VecDeque::new(),
            pending_weight: 0,
            in_transaction: false,
        }
    }

    /// Takes bytes from the socket (or from the TLS layer), cut anywhere. Then call [`next_input`](Self::next_input)
    /// until it has nothing more.
    ///
    /// All bytes are kept until `next_input` takes or drops them. Memory is bounded by
    /// [`Limits::packet_max`](crate::Limits) plus one such chunk if the caller reads only while
    /// [`wants_bytes`](Self::wants_bytes).
    pub fn receive(&mut self, bytes: &[u8]) {
        match self.phase {
            Phase::Closed => {}
            Phase::Login { .. }
            | Phase::Switched { .. }
            | Phase::Deciding { .. }
            | Phase::Ready
            | Phase::Renewing { .. } => self.framer.receive(bytes),
        }
    }

    /// False while `next_input` pauses: a login is being decided, too many commands wait for their answers, a command
    /// that begins the session anew waits for those before it, or the connection is closed. Not reading then is what
    /// slows a client down that sends faster than it is served.
    pub fn wants_bytes(&self) -> bool {
        match self.phase {
            Phase::Login { .. } | Phase::Switched { .. } => true,
            Phase::Ready => !self.pipeline_is_full(),
            Phase::Deciding { .. } | Phase::Renewing { .. } | Phase::Closed => false,
        }
    }

    /// Bytes received and not yet taken.
    pub fn buffered(&self) -> usize {
        self.framer.buffered()
    }

    /// What it takes on the heap: input, output, long data, and what the caller keeps of the commands that wait for it.
    pub fn memory(&self) -> usize {
        self.buffered() + self.output.capacity() + self.statements.long_data_len() + self.pending_weight
    }

    /// The next thing to know or to answer; `None`: more bytes are needed, or (see [`wants_bytes`](Self::wants_bytes))
    /// an answer is.
    ///
    /// # Errors
    /// The client broke the protocol: write the output, which ends with the ERR packet, and close.
    pub fn next_input(&mut self) -> Result<Option<Input>, ProtocolError> {
        loop {
            let limits = &self.config.limits;
            let (sequence, max) = match &self.phase {
                Phase::Login { sequence } => (*sequence, limits.login_packet_max),
                Phase::Switched { exchange } => (exchange.sequence(), limits.login_packet_max),
                Phase::Ready if self.pipeline_is_full() => return Ok(None),
                Phase::Ready => (0, limits.packet_max),
                Phase::Renewing { .. } if self.pending.is_empty() => {
                    if let Some(input) = self.renew()? {
                        return Ok(Some(input));
                    }
                    continue;
                }
                Phase::Renewing { .. } | Phase::Deciding { .. } | Phase::Closed => return Ok(None),
            };
            let frame = match self.framer.next(sequence, max) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.fail(error, sequence.wrapping_add(1))),
            };
            if let Some(input) = self.take(frame)? {
                return Ok(Some(input));
            }
        }
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Input>, ProtocolError> {
        match (&self.phase, frame) {
            (Phase::Login { .. }, Frame::Whole { payload, sequence }) => self.hello(payload, sequence),
            (Phase::Switched { .. }, Frame::Whole { payload, sequence }) => {
                Ok(self.switch_response(payload, sequence))
            }
            (Phase::Login { .. } | Phase::Switched { .. }, Frame::TooLarge { sequence, .. }) => {
                Err(self.fail(ProtocolError::LoginTooLarge, sequence.wrapping_add(1)))
            }
            (Phase::Ready, Frame::Whole { payload, sequence }) => Ok(self.command(payload, sequence)),
            (Phase::Ready, Frame::TooLarge { kept, sequence }) => Ok(self.oversized(&kept, sequence)),
            (Phase::Deciding { .. } | Phase::Renewing { .. } | Phase::Closed, _) => {
                unreachable!("no frame is taken in this phase")
            }
        }
    }

    /// Everything before it is answered: now it is the turn of the command that begins the session anew.
    fn renew(&mut self) -> Result<Option<Input>, ProtocolError> {
        let Phase::Renewing { renewal, sequence } = std::mem::replace(&mut self.phase, Phase::Closed) else {
            unreachable!("called in this phase only");
        };
        match renewal {
            Renewal::ChangeUser(payload) => self.change_user(payload, sequence),
            Renewal::Reset => {
                self.begin_session(sequence.wrapping_add(1));
                Ok(Some(Input::Reset))
            }
        }
    }

    /// Without statements and transaction, and says OK.
    fn begin_session(&mut self, sequence: u8) {
        self.statements.close_all();
        self.in_transaction = false;
        self.phase = Phase::Ready;
        self.put_ok(sequence, &OkPacket::default());
    }

    fn pipeline_is_full(&self) -> bool {
        let limits = &self.config.limits;
        self.pending.len() >= limits.pipeline_max || self.pending_weight >= limits.packet_max
    }

    /// Whether everything is said: nothing more is read, and once the output is written the socket is to be closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// The connection was upgraded to TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Everything to be written since the last call; may be empty.
    pub fn take_output(&mut self) -> Bytes {
        self.output.split().freeze()
    }

    /// Bytes waiting in the output. A caller that streams many rows looks here for when to write.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Queues the ERR packet behind the answers that are still owed, and closes.
    fn fail(&mut self, error: ProtocolError, sequence: u8) -> ProtocolError {
        self.phase = Phase::Closed;
        self.queue(Pending::error(sequence, error.packet()));
        error
    }
}
