//! Any bytes as a MySQL client: from the first byte, or behind a good login (protocol.md 7.1, 7.2). What comes out does
//! not depend on how the bytes were cut into segments, and nothing grows past the limits.

use comet_mysql::{
    AuthPlugin, Column, Config, Connection, ErrorPacket, Input, Limits, OkPacket, StatementId, salt_from,
};

/// A login by native password, as every client can send it; the proof is not looked at here.
const LOGIN: &[u8] = b"\x3a\0\0\x01\x05\xa2\x0a\0\0\0\0\x01\x2d\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0root\0\x14ABCDEFGHIJKLMNOPQRST";

/// The first byte chooses: bit 0 = behind a login; bit 1 = TLS is offered; the rest = the size of the segments.
pub fn mysql(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    let mut bytes = Vec::new();
    if mode & 1 == 1 {
        bytes.extend_from_slice(LOGIN);
    }
    bytes.extend_from_slice(rest);
    let tls = mode & 2 == 2;
    let whole = run(&bytes, tls, bytes.len().max(1));
    let cut = run(&bytes, tls, usize::from(mode >> 2).max(1));
    assert_eq!(whole, cut, "the same answers however the bytes were cut");
}

/// Everything the connection said, and what it asked for.
fn run(bytes: &[u8], tls: bool, segment: usize) -> (Vec<u8>, Vec<String>) {
    let limits = Limits {
        login_packet_max: 256,
        packet_max: 512,
        prepared_max: 3,
        pipeline_max: 4,
    };
    let mut connection = Connection::new(Config {
        server_version: "5.7.99-fuzz".into(),
        connection_id: 1,
        salt: salt_from([7; 20]),
        default_plugin: AuthPlugin::NativePassword,
        tls_available: tls,
        limits,
    });
    let mut output = Vec::new();
    let mut inputs = Vec::new();
    for part in bytes.chunks(segment) {
        connection.receive(part);
        while let Ok(Some(input)) = connection.next_input() {
            if let Input::TlsRequested { rest } = &input {
                // How much came with the request depends on the cut; here the bytes are their own decryption.
                connection.receive(rest);
                continue;
            }
            inputs.push(format!("{input:?}"));
            answer(&mut connection, &input);
        }
        assert!(
            connection.is_closed() || connection.buffered() <= limits.packet_max + segment + 8,
            "what waits is bounded"
        );
        output.extend_from_slice(&connection.take_output());
    }
    (output, inputs)
}

/// Answers at once, each kind of input in the ways the runtime does.
fn answer(connection: &mut Connection, input: &Input) {
    match input {
        Input::Login(login) => {
            // Walks over the attributes; whether the password is right is the application's business.
            assert!(login.attributes().count() <= 256);
            let _ = login.password_is(b"secret");
            connection.accept_login();
        }
        Input::LoginTooOld => connection.reject_login(&ErrorPacket::access_denied("x")),
        Input::Query(text) if text.first() == Some(&b'r') => {
            connection.begin_rows(&[Column::new("a"), Column::new("b")]);
            connection.row(&[Some(&text[..]), None]);
            connection.end_rows();
        }
        Input::Query(_) | Input::InitDb(_) => connection.ok(&OkPacket::default()),
        Input::Statistics => connection.statistics("up"),
        Input::Prepare(text) => {
            let params = u16::try_from(text.iter().filter(|byte| **byte == b'?').count()).unwrap_or(u16::MAX);
            let _: StatementId = connection.prepared(params, &[Column::new("a")]);
        }
        Input::Execute { params, .. } => {
            connection.begin_rows(&[Column::new("a")]);
            connection.row(&[Some(format!("{params:?}").as_bytes())]);
            connection.end_rows();
        }
        Input::TooLarge => connection.error(&ErrorPacket::new(11, b"HY000", "too long")),
        Input::TlsRequested { .. } | Input::StatementClosed(_) | Input::Reset | Input::Quit => {}
    }
}
