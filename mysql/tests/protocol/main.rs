//! Golden byte transcripts and laws of the MySQL server protocol. Everything goes through the public API.

#![forbid(unsafe_code)]

mod change_user;
mod client;
mod commands;
mod login;
mod properties;
mod results;
mod statements;

use comet_mysql::{AuthPlugin, Config, Connection, Input, Limits};

use client::{LoginPacket, SALT, packet};

fn config() -> Config {
    Config {
        server_version: "5.7.99-test".to_owned(),
        connection_id: 7,
        salt: SALT,
        default_plugin: AuthPlugin::NativePassword,
        tls_available: false,
        limits: Limits::default(),
    }
}

/// A connection that has logged in; nothing in the output.
fn ready_with(limits: Limits) -> Connection {
    let mut connection = Connection::new(Config { limits, ..config() });
    connection.receive(&packet(1, &LoginPacket::native("secret").payload()));
    assert!(matches!(connection.next_input(), Ok(Some(Input::Login(_)))));
    connection.accept_login();
    drop(connection.take_output());
    connection
}

fn ready() -> Connection {
    ready_with(Limits::default())
}

/// Sends one command and takes its input, if it has one.
fn send(connection: &mut Connection, payload: &[u8]) -> Option<Input> {
    connection.receive(&packet(0, payload));
    connection.next_input().expect("a well-formed packet")
}

/// Everything written since the last call, packet by packet: sequence id and payload, in hexadecimal with printable
/// ASCII left as it is: `1 00 00 00 02 00 00 00`, `1 FF 0F 00 #HY000 text`.
fn said(connection: &mut Connection) -> Vec<String> {
    let output = connection.take_output();
    let mut rest = &output[..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes([rest[0], rest[1], rest[2], 0]) as usize;
        packets.push(format!("{} {}", rest[3], readable(&rest[4..4 + length])));
        rest = &rest[4 + length..];
    }
    packets
}

/// Runs of at least three printable characters as text, everything else in hexadecimal.
fn readable(bytes: &[u8]) -> String {
    let mut words = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest
            .iter()
            .take_while(|byte| byte.is_ascii_graphic() || **byte == b' ')
            .count();
        if run >= 3 {
            words.push(format!("'{}'", String::from_utf8_lossy(&rest[..run])));
            rest = &rest[run..];
        } else {
            words.push(format!("{first:02X}"));
            rest = &rest[1..];
        }
    }
    words.join(" ")
}
