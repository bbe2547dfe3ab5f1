//! Commands: what is handed out, what is answered by the crate itself, the order of answers, limits, sequence ids.

use comet_mysql::{ErrorPacket, Input, Limits, OkPacket, ProtocolError};

use crate::client::{long_packet, packet};
use crate::{ready, ready_with, said, send};

const OK: &str = "1 00 00 00 02 00 00 00";
const UNKNOWN: &str = "1 FF 17 04 '#08S01Unknown command'";

/// protocol.md 7.2, Q38.
#[test]
fn commands_the_connection_answers_itself() {
    let cases: [(&[u8], &str); 9] = [
        (b"\x0E", OK),
        (b"\x04users_auth\0", "1 FE 00 00 02 00"),
        (b"\x1B\x00\x00", "1 FE 00 00 02 00"),
        (b"\x00", UNKNOWN),
        (b"", UNKNOWN),
        (b"\x55", UNKNOWN),
        (b"\x1C\x01\x00\x00\x00\x01\x00\x00\x00", UNKNOWN),
        (b"\x0A", UNKNOWN),
        (b"\xFF", UNKNOWN),
    ];
    for (command, answer) in cases {
        let mut connection = ready();
        assert_eq!(send(&mut connection, command), None, "{command:?}");
        assert_eq!(said(&mut connection), [answer], "{command:?}");
        assert!(!connection.is_closed());
    }
}

#[test]
fn commands_that_are_handed_out() {
    let mut connection = ready();
    assert_eq!(
        send(&mut connection, b"\x03SELECT 1"),
        Some(Input::Query("SELECT 1".into()))
    );
    connection.ok(&OkPacket::default());
    assert_eq!(
        send(&mut connection, b"\x02db_5"),
        Some(Input::InitDb("db_5".into()))
    );
    connection.error(&ErrorPacket::new(15, b"HY000", "does not exist"));
    assert_eq!(send(&mut connection, b"\x09"), Some(Input::Statistics));
    connection.statistics("Uptime: 5");
    assert_eq!(send(&mut connection, b"\x03"), Some(Input::Query("".into())));
    connection.error(&ErrorPacket::new(17, b"HY000", "data too short"));
    assert_eq!(send(&mut connection, b"\x1F"), Some(Input::Reset));
    assert_eq!(
        said(&mut connection),
        [
            OK,
            "1 FF 0F 00 '#HY000does not exist'",
            "1 'Uptime: 5'",
            "1 FF 11 00 '#HY000data too short'",
            OK
        ]
    );
}

#[test]
fn quit_has_no_answer() {
    let mut connection = ready();
    assert_eq!(send(&mut connection, b"\x01"), Some(Input::Quit));
    assert!(connection.is_closed() && connection.take_output().is_empty());
}

/// Q39: several packets in one segment; answers in order, each with its own sequence ids, own answers in their place.
#[test]
fn pipelined_commands_are_answered_in_order() {
    let mut connection = ready();
    let commands: [&[u8]; 6] = [
        b"\x03one",
        b"\x0E",
        b"\x55",
        b"\x03two",
        b"\x1B\0\0",
        b"\x03three",
    ];
    connection.receive(&commands.map(|command| packet(0, command)).concat());
    for text in ["one", "two", "three"] {
        assert_eq!(connection.next_input(), Ok(Some(Input::Query(text.into()))));
    }
    assert_eq!((connection.next_input(), connection.unanswered()), (Ok(None), 3));
    assert!(
        connection.take_output().is_empty(),
        "the ping is behind the first query"
    );
    connection.ok(&OkPacket {
        affected_rows: 1,
        ..OkPacket::default()
    });
    assert_eq!(said(&mut connection), ["1 00 01 00 02 00 00 00", OK, UNKNOWN]);
    connection.ok(&OkPacket {
        affected_rows: 2,
        ..OkPacket::default()
    });
    connection.ok(&OkPacket {
        affected_rows: 3,
        ..OkPacket::default()
    });
    assert_eq!(
        said(&mut connection),
        [
            "1 00 02 00 02 00 00 00",
            "1 FE 00 00 02 00",
            "1 00 03 00 02 00 00 00"
        ]
    );
    assert_eq!(connection.unanswered(), 0);
}

#[test]
fn pipeline_max_at_n_and_above() {
    let mut connection = ready_with(Limits {
        pipeline_max: 2,
        ..Limits::default()
    });
    connection.receive(&packet(0, b"\x03q").repeat(3));
    assert!(matches!(connection.next_input(), Ok(Some(_))));
    assert!(connection.wants_bytes());
    assert!(matches!(connection.next_input(), Ok(Some(_))));
    assert!(!connection.wants_bytes());
    assert_eq!(connection.next_input(), Ok(None));
    connection.ok(&OkPacket::default());
    assert!(connection.wants_bytes());
    assert!(matches!(connection.next_input(), Ok(Some(_))));
}

/// Few but long commands pause the connection, too.
#[test]
fn unanswered_commands_are_bounded_in_bytes() {
    let mut connection = ready_with(Limits {
        packet_max: 1000,
        ..Limits::default()
    });
    connection.receive(&packet(0, &[&[3][..], &[b'q'; 500]].concat()).repeat(3));
    assert!(matches!(connection.next_input(), Ok(Some(_))));
    assert!(matches!(connection.next_input(), Ok(Some(_))));
    assert_eq!(connection.next_input(), Ok(None));
    assert!(!connection.wants_bytes());
    connection.ok(&OkPacket::default());
    assert!(matches!(connection.next_input(), Ok(Some(_))));
}

/// Q37: 0002 in every OK and EOF, 0001 added in a transaction, nothing else ever.
#[test]
fn status_flags() {
    let mut connection = ready();
    connection.receive(
        &[&b"\x03begin"[..], b"\x0E", b"\x1B\0\0", b"\x1F", b"\x0E"]
            .map(|c| packet(0, c))
            .concat(),
    );
    assert!(matches!(connection.next_input(), Ok(Some(Input::Query(_)))));
    assert_eq!(connection.next_input(), Ok(None));
    assert!(!connection.wants_bytes());
    connection.set_in_transaction(true);
    connection.ok(&OkPacket::default());
    assert_eq!(connection.next_input(), Ok(Some(Input::Reset)));
    assert_eq!(connection.next_input(), Ok(None));
    assert_eq!(
        said(&mut connection),
        [
            "1 00 00 00 03 00 00 00",
            "1 00 00 00 03 00 00 00",
            "1 FE 00 00 03 00",
            OK,
            OK
        ],
        "COM_RESET_CONNECTION ends the transaction"
    );
}

#[test]
fn packet_max_at_n_and_above() {
    let limits = Limits {
        packet_max: 100,
        ..Limits::default()
    };
    let mut connection = ready_with(limits);
    let fits = [&[3][..], &[b'x'; 99]].concat();
    assert_eq!(
        send(&mut connection, &fits),
        Some(Input::Query(fits[1..].to_vec().into()))
    );
    connection.ok(&OkPacket::default());
    drop(connection.take_output());

    let above = [&[3][..], &[b'x'; 100]].concat();
    connection.receive(&[packet(0, &above), packet(0, b"\x0E")].concat());
    assert_eq!(connection.next_input(), Ok(Some(Input::TooLarge)));
    assert_eq!(connection.next_input(), Ok(None));
    connection.error(&ErrorPacket::new(11, b"HY000", "data too long"));
    assert_eq!(
        said(&mut connection),
        ["1 FF 0B 00 '#HY000data too long'", OK],
        "and the session goes on"
    );
}

/// 16 MiB continuation: a payload of several parts, its last one perhaps empty; answered behind its last sequence id.
#[test]
fn payloads_of_several_parts() {
    for length in [0xFF_FFFE, 0xFF_FFFF, 0x100_0000, 2 * 0xFF_FFFF] {
        let mut payload = vec![b'x'; length];
        payload[0] = 3;
        let bytes = long_packet(0, &payload);
        let parts = length / 0xFF_FFFF + 1;

        let mut connection = ready_with(Limits {
            packet_max: length,
            ..Limits::default()
        });
        for chunk in bytes.chunks(1_000_001) {
            connection.receive(chunk);
        }
        let Ok(Some(Input::Query(text))) = connection.next_input() else {
            panic!("{length}")
        };
        assert_eq!(text.len(), length - 1);
        connection.ok(&OkPacket::default());
        assert_eq!(said(&mut connection), [format!("{parts} 00 00 00 02 00 00 00")]);

        let mut connection = ready_with(Limits {
            packet_max: length - 1,
            ..Limits::default()
        });
        let mut inputs = Vec::new();
        for chunk in bytes.chunks(1_000_001) {
            connection.receive(chunk);
            inputs.extend(connection.next_input().expect("well-formed"));
            assert!(connection.buffered() <= length + 1_000_001);
        }
        assert_eq!((inputs, connection.buffered()), (vec![Input::TooLarge], 0));
        connection.error(&ErrorPacket::new(11, b"HY000", ""));
        assert_eq!(said(&mut connection), [format!("{parts} FF 0B 00 '#HY000'")]);
    }
}

/// What is too large is dropped while it comes, not kept until its end.
#[test]
fn oversized_payloads_are_not_kept() {
    let mut connection = ready_with(Limits {
        packet_max: 1000,
        ..Limits::default()
    });
    let mut payload = vec![b'x'; 20_000_000];
    payload[0] = 3;
    for chunk in long_packet(0, &payload).chunks(4096) {
        connection.receive(chunk);
        if let Some(input) = connection.next_input().expect("well-formed") {
            assert_eq!(input, Input::TooLarge);
        }
        assert!(connection.buffered() < 1000);
    }
    assert_eq!(connection.unanswered(), 1);
}

/// MySQL's 1156; the answers that are owed come first.
#[test]
fn wrong_sequence_ids_end_the_connection() {
    let mut connection = ready();
    connection.receive(&[packet(0, b"\x03q"), packet(1, b"\x0E")].concat());
    assert!(matches!(connection.next_input(), Ok(Some(Input::Query(_)))));
    assert_eq!(connection.next_input(), Err(ProtocolError::OutOfOrder));
    assert!(connection.is_closed());
    connection.ok(&OkPacket::default());
    assert_eq!(
        said(&mut connection),
        [OK, "1 FF 84 04 '#08S01Got packets out of order'"]
    );
}

#[test]
fn a_gap_in_a_payload_of_several_parts() {
    for packet_max in [1000, 40_000_000] {
        let mut connection = ready_with(Limits {
            packet_max,
            ..Limits::default()
        });
        let mut bytes = long_packet(0, &vec![3; 0xFF_FFFF + 10]);
        bytes[4 + 0xFF_FFFF + 3] = 2;
        connection.receive(&bytes);
        assert_eq!(connection.next_input(), Err(ProtocolError::OutOfOrder));
    }
}
