//! The login half of a connection: TLS point, plugin negotiation, the caller's decision, change of user.
//!
//! Promise: whoever logs in has answered with a plugin we know; COM_CHANGE_USER takes the same way as a login.

use bytes::Bytes;

use super::{Connection, Phase};
use crate::auth::{AuthPlugin, Proof, put_switch_request};
use crate::error::{ErrorPacket, ProtocolError};
use crate::frame::put_packet;
use crate::input::Input;
use crate::login::{Attempt, Hello, PluginName, parse_change_user, parse_hello};
use crate::wire::Malformed;

/// A login whose proof was asked for once more, with a plugin we know.
pub(super) struct Exchange {
    attempt: Attempt,
    plugin: AuthPlugin,
    /// Of the client's answer.
    sequence: u8,
}

impl Exchange {
    pub(super) fn sequence(&self) -> u8 {
        self.sequence
    }
}

impl Connection {
    /// Lets the client in: OK packet, and commands from here on. After a change of user the session is a new one: its
    /// prepared statements are gone and no transaction is open.
    ///
    /// # Panics
    /// If no login is being decided.
    pub fn accept_login(&mut self) {
        let Phase::Deciding {
            mut sequence,
            fast_path,
        } = self.phase
        else {
            panic!("no login is being decided");
        };
        if fast_path {
            put_packet(&mut self.output, &mut sequence, |out| {
                out.extend_from_slice(&[1, 3])
            });
        }
        self.begin_session(sequence);
    }

    /// Turns the client away: ERR packet, then the connection is closed; also after a change of user, as nobody is
    /// logged in any more.
    ///
    /// # Panics
    /// If no login is being decided.
    pub fn reject_login(&mut self, error: &ErrorPacket) {
        let Phase::Deciding { mut sequence, .. } = self.phase else {
            panic!("no login is being decided");
        };
        put_packet(&mut self.output, &mut sequence, |out| error.put(out));
        self.phase = Phase::Closed;
    }

    pub(super) fn hello(&mut self, payload: Bytes, sequence: u8) -> Result<Option<Input>, ProtocolError> {
        let tls_possible = self.config.tls_available && !self.tls;
        match parse_hello(payload, tls_possible) {
            Ok(Hello::Tls) => {
                self.tls = true;
                self.phase = Phase::Login {
                    sequence: sequence.wrapping_add(1),
                };
                Ok(Some(Input::TlsRequested {
                    rest: self.framer.take_rest(),
                }))
            }
            Ok(Hello::TooOld) => {
                let sequence = sequence.wrapping_add(1);
                self.phase = Phase::Deciding {
                    sequence,
                    fast_path: false,
                };
                Ok(Some(Input::LoginTooOld))
            }
            Ok(Hello::Login {
                capabilities,
                attempt,
            }) => {
                self.capabilities = capabilities;
                Ok(self.negotiate(attempt, sequence))
            }
            Err(Malformed) => Err(self.fail(ProtocolError::MalformedLogin, sequence.wrapping_add(1))),
        }
    }

    pub(super) fn change_user(
        &mut self,
        payload: Bytes,
        sequence: u8,
    ) -> Result<Option<Input>, ProtocolError> {
        if payload.len() > self.config.limits.login_packet_max {
            return Err(self.fail(ProtocolError::LoginTooLarge, sequence.wrapping_add(1)));
        }
        match parse_change_user(payload, self.capabilities) {
            Ok(attempt) => Ok(self.negotiate(attempt, sequence)),
            Err(Malformed) => Err(self.fail(ProtocolError::MalformedLogin, sequence.wrapping_add(1))),
        }
    }

    /// Hands the login out, or asks the client to prove itself with a plugin we know.
    fn negotiate(&mut self, attempt: Attempt, sequence: u8) -> Option<Input> {
        let plugin = match self.plugin_to_switch_to(&attempt) {
            Ok(plugin) => {
                let proof = Proof::new(plugin, self.config.salt, attempt.response.clone());
                return Some(self.decide(attempt, proof, sequence));
            }
            Err(SwitchTo(plugin)) => plugin,
        };
        let mut sequence = sequence.wrapping_add(1);
        let salt = &self.config.salt;
        put_packet(&mut self.output, &mut sequence, |out| {
            put_switch_request(out, plugin, salt)
        });
        self.phase = Phase::Switched {
            exchange: Exchange {
                attempt,
                plugin,
                sequence,
            },
        };
        None
    }

    /// `Ok`: the response is one of this plugin. An empty response is the empty password only from a client that
    /// follows the greeting's plugin: libmysqlclient also sends one when the greeting named a plugin that is not its
    /// own, and when it changes user with `caching_sha2_password`; it then waits to be asked.
    fn plugin_to_switch_to(&self, attempt: &Attempt) -> Result<AuthPlugin, SwitchTo> {
        let plugin = match attempt.plugin {
            PluginName::Absent => return Ok(AuthPlugin::NativePassword),
            PluginName::Unknown => return Err(SwitchTo(self.config.default_plugin)),
            PluginName::Known(plugin) => plugin,
        };
        let greeted = plugin == self.config.default_plugin;
        let waits_to_be_asked = attempt.response.is_empty() && (attempt.change_user || !greeted);
        let proof = Proof::new(plugin, self.config.salt, attempt.response.clone());
        if waits_to_be_asked || !proof.fits() {
            Err(SwitchTo(plugin))
        } else {
            Ok(plugin)
        }
    }

    pub(super) fn switch_response(&mut self, payload: Bytes, sequence: u8) -> Option<Input> {
        let Phase::Switched { exchange } = std::mem::replace(&mut self.phase, Phase::Closed) else {
            unreachable!("called in this phase only");
        };
        let proof = Proof::new(exchange.plugin, self.config.salt, payload);
        Some(self.decide(exchange.attempt, proof, sequence))
    }

    fn decide(&mut self, attempt: Attempt, proof: Proof, sequence: u8) -> Input {
        self.phase = Phase::Deciding {
            sequence: sequence.wrapping_add(1),
            fast_path: proof.plugin == AuthPlugin::CachingSha2Password && !proof.is_empty(),
        };
        Input::Login(attempt.into_login(proof, self.tls))
    }
}

struct SwitchTo(AuthPlugin);
