//! The server half of the MySQL client/server protocol, without I/O.
//!
//! Bytes go in, commands come out; answers go in, bytes come out. The crate knows neither sockets nor tasks nor tables,
//! so it runs under any runtime, in tests and in simulators, and a run is a function of its input.
//!
//! What it does:
//! * the greeting, logins with `mysql_native_password` and `caching_sha2_password`, the switch between them, the point
//!   where TLS begins, COM_CHANGE_USER with a real proof;
//! * queries, prepared statements with parameters of every type, results in text and binary form;
//! * any error code and SQLSTATE, any number of packets per segment, packets split anywhere, payloads over 16 MiB;
//! * pipelining: commands may be taken while earlier ones are unanswered; the answers still leave in order;
//! * a bound on everything a client can make grow ([`Limits`]).
//!
//! It never offers compression, LOCAL INFILE, or results without EOF packets, and has no cursors.
//!
//! # Driving a connection
//!
//! ```no_run
//! use std::io::{Read, Write};
//! use comet_mysql::{AuthPlugin, Column, Config, Connection, ErrorPacket, Input, Limits, OkPacket, salt_from};
//!
//! fn serve(mut socket: std::net::TcpStream, random: [u8; 20]) -> std::io::Result<()> {
//!     let mut connection = Connection::new(Config {
//!         server_version: "5.7.99-example".into(),
//!         connection_id: 1,
//!         salt: salt_from(random),
//!         default_plugin: AuthPlugin::NativePassword,
//!         tls_available: false,
//!         limits: Limits::default(),
//!     });
//!     let mut chunk = [0; 4096];
//!     while !connection.is_closed() {
//!         socket.write_all(&connection.take_output())?;
//!         let length = socket.read(&mut chunk)?;
//!         if length == 0 {
//!             return Ok(());
//!         }
//!         connection.receive(&chunk[..length]);
//!         // After an error the ERR packet is in the output and the connection is closed.
//!         while let Ok(Some(input)) = connection.next_input() {
//!             answer(&mut connection, input);
//!         }
//!     }
//!     socket.write_all(&connection.take_output())
//! }
//!
//! fn answer(connection: &mut Connection, input: Input) {
//!     match input {
//!         Input::Login(login) if login.password_is(b"secret") => connection.accept_login(),
//!         Input::Login(_) | Input::LoginTooOld => {
//!             connection.reject_login(&ErrorPacket::access_denied("you"));
//!         }
//!         Input::Query(text) => {
//!             connection.begin_rows(&[Column::new("you said")]);
//!             connection.row(&[Some(&text[..])]);
//!             connection.end_rows();
//!         }
//!         Input::InitDb(_) => connection.ok(&OkPacket::default()),
//!         other if other.needs_answer() => connection.error(&ErrorPacket::new(1, b"HY000", "cannot do that")),
//!         _ => {}
//!     }
//! }
//! ```
//!
//! A caller that works concurrently answers later: it takes inputs as long as there are some, and calls the answering
//! functions in the order in which it took them. It reads the socket only while [`Connection::wants_bytes`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod auth;
mod capabilities;
mod config;
mod connection;
mod error;
mod frame;
mod input;
mod login;
mod statement;
mod wire;

pub use auth::AuthPlugin;
pub use config::{Config, Limits, salt_from};
pub use connection::{Column, Connection, OkPacket, UTF8MB4_GENERAL_CI};
pub use error::{ErrorPacket, ProtocolError};
pub use input::Input;
pub use login::Login;
pub use statement::{Param, StatementId};
