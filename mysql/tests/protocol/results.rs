//! Answers: protocol.md Appendix A, result sets in both forms, results over 16 MiB, sequence ids beyond 255.

use comet_mysql::{Column, Connection, ErrorPacket, Input, OkPacket};

use crate::client::{execute, packet};
use crate::{ready, said, send};

const EOF: &str = "FE 00 00 02 00";

fn asked() -> Connection {
    let mut connection = ready();
    assert!(matches!(
        send(&mut connection, b"\x03query"),
        Some(Input::Query(_))
    ));
    connection
}

fn executed() -> Connection {
    let mut connection = ready();
    assert!(matches!(
        send(&mut connection, b"\x16query"),
        Some(Input::Prepare(_))
    ));
    let statement = connection.prepared(0, &[]);
    drop(connection.take_output());
    assert!(matches!(
        send(&mut connection, &execute(statement.0, &[], false)),
        Some(Input::Execute { .. })
    ));
    connection
}

/// protocol.md Appendix A, Q40.
#[test]
fn ok_packets_of_appendix_a() {
    let cases = [
        ((0, 0), "00 00 00 02 00 00 00"),
        ((1, 12), "00 01 0C 02 00 00 00"),
        ((1, 85_791), "00 01 FD 1F 4F 01 02 00 00 00"),
        ((1, 0), "00 01 00 02 00 00 00"),
    ];
    for ((affected_rows, last_insert_id), bytes) in cases {
        let mut connection = asked();
        connection.ok(&OkPacket {
            affected_rows,
            last_insert_id,
            info: "",
        });
        assert_eq!(said(&mut connection), [format!("1 {bytes}")]);
    }
}

/// protocol.md 7.2: consoles print the info text; it carries its own length, as MySQL's does.
#[test]
fn ok_packet_with_info() {
    let mut connection = asked();
    connection.ok(&OkPacket {
        affected_rows: 1,
        last_insert_id: 5,
        info: "delivered=2 queued=0",
    });
    assert_eq!(
        said(&mut connection),
        ["1 00 01 05 02 00 00 00 14 'delivered=2 queued=0'"]
    );
}

/// protocol.md 7.5.
#[test]
fn error_packets() {
    let mut connection = asked();
    connection.error(&ErrorPacket::new(15, b"HY000", "does not exist"));
    assert_eq!(said(&mut connection), ["1 FF 0F 00 '#HY000does not exist'"]);
    assert!(!connection.is_closed());

    let mut connection = asked();
    connection.error(&ErrorPacket::access_denied("ann"));
    assert_eq!(
        said(&mut connection),
        ["1 FF 15 04 '#28000Access denied for user 'ann''"]
    );

    let mut connection = asked();
    connection.error(&ErrorPacket::new(500, b"HY000", "я".repeat(1000)));
    let output = connection.take_output();
    assert_eq!(output.len(), 4 + 9 + 500);
    assert!(
        std::str::from_utf8(&output[13..]).is_ok(),
        "cut between characters"
    );
}

/// protocol.md 7.2: catalog def, empty names, length 77, VAR_STRING, flags 0001, decimals 1F.
#[test]
fn text_result_set() {
    let mut connection = asked();
    let columns = [
        Column::new("id"),
        Column {
            name: "message",
            charset: 33,
        },
    ];
    connection.begin_rows(&columns);
    connection.row(&[Some(b"12"), Some(b"")]);
    connection.row(&[None, Some(b"text")]);
    connection.end_rows();
    assert_eq!(
        said(&mut connection),
        [
            "1 02",
            "2 03 'def' 00 00 00 02 69 64 00 0C 2D 00 4D 00 00 00 FD 01 00 1F 00 00",
            "3 03 'def' 00 00 00 07 'message' 00 0C 21 00 4D 00 00 00 FD 01 00 1F 00 00",
            &format!("4 {EOF}"),
            "5 02 31 32 00",
            "6 FB 04 'text'",
            &format!("7 {EOF}"),
        ]
    );
}

#[test]
fn binary_result_set() {
    let mut connection = executed();
    let columns: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"].map(Column::new).to_vec();
    let mut row: Vec<Option<&[u8]>> = vec![Some(b"12"), None, Some(b"")];
    row.extend([None; 4]);
    connection.resultset(&columns, &[row]);
    let said = said(&mut connection);
    assert_eq!(
        (said.len(), &said[0][..], &said[8][..]),
        (11, "1 07", "9 FE 00 00 02 00")
    );
    // Bits 2 + 1, 2 + 3, 2 + 4, 2 + 5 and, in the second byte, 2 + 6.
    assert_eq!(said[9], "10 00 E8 01 02 31 32 00");
    assert_eq!(said[10], format!("11 {EOF}"));
}

#[test]
fn an_empty_result_set_and_one_that_fails_midway() {
    let mut connection = asked();
    connection.resultset(&[Column::new("a")], &[]);
    let empty = said(&mut connection);
    assert_eq!(
        (empty.len(), &empty[2][..], &empty[3][..]),
        (4, "3 FE 00 00 02 00", "4 FE 00 00 02 00")
    );

    let mut connection = asked();
    connection.begin_rows(&[Column::new("a")]);
    connection.row(&[Some(b"1")]);
    connection.error(&ErrorPacket::new(500, b"HY000", "internal error"));
    assert_eq!(
        said(&mut connection)[3..],
        ["4 01 31", "5 FF F4 01 '#HY000internal error'"]
    );
    assert_eq!(send(&mut connection, b"\x0E"), None);
    assert_eq!(said(&mut connection), ["1 00 00 00 02 00 00 00"]);
}

#[test]
fn sequence_ids_wrap() {
    let mut connection = asked();
    connection.begin_rows(&[Column::new("a")]);
    for _ in 0..600 {
        connection.row(&[Some(b"1")]);
    }
    connection.end_rows();
    let said = said(&mut connection);
    let ids: Vec<_> = said
        .iter()
        .map(|packet| packet.split(' ').next().unwrap_or_default())
        .collect();
    let expected: Vec<_> = (1..=604u32).map(|id| (id % 256).to_string()).collect();
    assert_eq!(ids, expected);
}

/// Rows may be written while the result set is not complete.
#[test]
fn rows_can_be_streamed() {
    let mut connection = asked();
    connection.begin_rows(&[Column::new("a")]);
    drop(connection.take_output());
    for id in 4..100u8 {
        connection.row(&[Some(b"1")]);
        assert_eq!(connection.output_len(), 6);
        assert_eq!(said(&mut connection), [format!("{id} 01 31")]);
    }
    connection.receive(&packet(0, b"\x0E"));
    assert_eq!(
        (connection.next_input(), connection.output_len()),
        (Ok(None), 0),
        "the ping waits for its turn"
    );
    connection.end_rows();
    assert_eq!(
        said(&mut connection),
        [format!("100 {EOF}"), "1 00 00 00 02 00 00 00".to_owned()]
    );
}

/// Q40: cells of every length class; rows of 16 MiB and more are cut into packets.
#[test]
fn long_cells() {
    for (length, head) in [
        (250, &[0xFA][..]),
        (251, &[0xFC, 0xFB, 0x00]),
        (65_535, &[0xFC, 0xFF, 0xFF]),
        (65_536, &[0xFD, 0x00, 0x00, 0x01]),
        (16_777_210, &[0xFD, 0xFA, 0xFF, 0xFF]),
        (16_777_211, &[0xFD, 0xFB, 0xFF, 0xFF]),
        (16_777_215, &[0xFD, 0xFF, 0xFF, 0xFF]),
        (16_777_216, &[0xFE, 0, 0, 0, 1, 0, 0, 0, 0]),
        (33_554_421, &[0xFE, 0xF5, 0xFF, 0xFF, 1, 0, 0, 0, 0]),
    ] {
        let cell: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let mut connection = asked();
        connection.begin_rows(&[Column::new("a")]);
        drop(connection.take_output());
        connection.row(&[Some(&cell)]);
        let output = connection.take_output();
        let row = [head, &cell].concat();
        let packets = crate::client::long_packet(4, &row);
        assert!(output == packets, "{length}");
        connection.end_rows();
        let next = 4 + packets.len().div_ceil(0x100_0003) as u8;
        assert_eq!(said(&mut connection), [format!("{next} {EOF}")], "{length}");
    }
}
