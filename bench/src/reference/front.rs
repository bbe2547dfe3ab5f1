//! Just enough of CometQL that the load generator's own statements work on the reference loop: any login is let in,
//! an INSERT is taken apart at its quotes, a SELECT answers with the subscriber counts.

use super::peer::Command;
use crate::sql::packet;

const OK: &[u8] = &[0, 1, 0, 2, 0, 0, 0];
const EOF: &[u8] = &[0xFE, 0, 0, 2, 0];

/// The first packet of the conversation.
pub(super) fn greeting() -> Vec<u8> {
    let mut payload = vec![10];
    payload.extend_from_slice(b"5.7.99-reference\0");
    payload.extend_from_slice(&[1, 0, 0, 0]);
    payload.extend_from_slice(b"12345678\0");
    // PROTOCOL_41, SECURE_CONNECTION and PLUGIN_AUTH; utf8; autocommit.
    payload.extend_from_slice(&[0x00, 0x82, 33, 2, 0, 0x08, 0x00, 21]);
    payload.extend_from_slice(&[0; 10]);
    payload.extend_from_slice(b"123456789012\0mysql_native_password\0");
    let mut bytes = Vec::new();
    packet::put(&mut bytes, 0, &payload);
    bytes
}

/// Takes all complete packets of a publisher. `greeted` is false until its login packet has come.
pub(super) fn consume(
    input: &mut Vec<u8>,
    out: &mut Vec<u8>,
    greeted: &mut bool,
    commands: &mut Vec<Command>,
) {
    let mut used = 0;
    while let Some(packet) = packet::split(&input[used..]) {
        used += packet.len();
        if !*greeted {
            *greeted = true;
            packet::put(out, packet.sequence + 1, OK);
            continue;
        }
        let text = String::from_utf8_lossy(packet.payload.get(1..).unwrap_or_default());
        if text.starts_with("SELECT") {
            commands.push(Command::Count);
            continue;
        }
        let mut pieces = text.split('\'').skip(1).step_by(2);
        if let (Some(name), Some(event), Some(body)) = (pieces.next(), pieces.next(), pieces.next()) {
            let json = format!(
                r#"{{"pipe":"{name}","event":"{event}","data":"{body}","message_send_time":1700000000}}"#
            );
            commands.push(Command::Publish {
                name: name.to_owned(),
                json,
            });
        }
        packet::put(out, 1, OK);
    }
    input.drain(..used);
}

/// A result set with the columns name and users.
pub(super) fn put_counts(out: &mut Vec<u8>, rows: &[(&str, usize)]) {
    let mut sequence: u8 = 0;
    let mut put = |payload: &[u8]| {
        sequence = sequence.wrapping_add(1);
        packet::put(out, sequence, payload);
    };
    put(&[2]);
    for name in ["name", "users"] {
        let mut column = b"\x03def\0\0\0".to_vec();
        put_text(&mut column, name);
        column.extend_from_slice(&[0, 0x0C, 33, 0, 77, 0, 0, 0, 0xFD, 1, 0, 0x1F, 0, 0]);
        put(&column);
    }
    put(EOF);
    for (name, users) in rows {
        let mut row = Vec::new();
        put_text(&mut row, name);
        put_text(&mut row, &users.to_string());
        put(&row);
    }
    put(EOF);
}

/// Channel names and counts are shorter than the first length form reaches.
fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("names and numbers are short"));
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::packet::{Reply, greeting_salt, login, split};

    #[test]
    fn a_publisher_logs_in_and_publishes() {
        let greeting = greeting();
        let salt = greeting_salt(split(&greeting).unwrap().payload).unwrap();
        assert_eq!(salt.len(), 20);
        let mut input = Vec::new();
        packet::put(&mut input, 1, &login("any", &salt));
        packet::put_query(
            &mut input,
            "INSERT INTO pipes_messages (name, event, message) VALUES ('c', 'e', 'body')",
        );
        let (mut out, mut greeted, mut commands) = (Vec::new(), false, Vec::new());
        consume(&mut input, &mut out, &mut greeted, &mut commands);
        assert!(input.is_empty() && greeted);
        let first = split(&out).unwrap();
        assert_eq!(
            (first.sequence, Reply::parse(first.payload).unwrap()),
            (2, Reply::Ok { affected: 1 })
        );
        let [Command::Publish { name, json }] = &commands[..] else {
            panic!("{commands:?}")
        };
        assert_eq!(name, "c");
        assert!(json.contains(r#""data":"body""#));
    }
}
