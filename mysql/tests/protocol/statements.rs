//! Prepared statements: preparation, parameters of every type, long data, limits, everything malformed.

use comet_mysql::{Column, Connection, ErrorPacket, Input, Limits, OkPacket, Param, StatementId};

use crate::client::{Value, execute, length_encoded, long_data, packet, with_id};
use crate::{ready, ready_with, said, send};

const OK: &str = "1 00 00 00 02 00 00 00";
const UNKNOWN: &str = "1 FF DB 04 '#HY000Unknown prepared statement'";
const BAD_ARGUMENTS: &str = "1 FF BA 04 '#HY000Incorrect arguments to mysqld_stmt_execute'";

fn prepared(connection: &mut Connection, param_count: u16) -> StatementId {
    assert!(matches!(send(connection, b"\x16insert"), Some(Input::Prepare(_))));
    let statement = connection.prepared(param_count, &[]);
    drop(connection.take_output());
    statement
}

fn params(connection: &mut Connection, command: &[u8]) -> Vec<Param> {
    match send(connection, command) {
        Some(Input::Execute { params, .. }) => {
            connection.ok(&OkPacket::default());
            drop(connection.take_output());
            params
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn preparation() {
    let mut connection = ready();
    assert_eq!(
        send(&mut connection, b"\x16select ?"),
        Some(Input::Prepare("select ?".into()))
    );
    assert_eq!(connection.prepared(1, &[Column::new("id")]), StatementId(1));
    let question_mark = "03 'def' 00 00 00 01 3F 00 0C 2D 00 4D 00 00 00 FD 01 00 1F 00 00";
    let id = "03 'def' 00 00 00 02 69 64 00 0C 2D 00 4D 00 00 00 FD 01 00 1F 00 00";
    assert_eq!(
        said(&mut connection),
        [
            "1 00 01 00 00 00 01 00 01 00 00 00 00",
            &format!("2 {question_mark}"),
            "3 FE 00 00 02 00",
            &format!("4 {id}"),
            "5 FE 00 00 02 00"
        ]
    );
    assert!(matches!(
        send(&mut connection, b"\x16insert"),
        Some(Input::Prepare(_))
    ));
    assert_eq!(connection.prepared(0, &[]), StatementId(2));
    assert_eq!(said(&mut connection), ["1 00 02 00 00 00 00 00 00 00 00 00 00"]);
    assert!(matches!(
        send(&mut connection, b"\x16nonsense"),
        Some(Input::Prepare(_))
    ));
    connection.error(&ErrorPacket::new(3, b"HY000", "syntax error"));
    assert_eq!(said(&mut connection), ["1 FF 03 00 '#HY000syntax error'"]);
}

#[test]
fn parameters_of_every_type() {
    let text = |text: &str| Param::Bytes(text.to_owned().into());
    let cases = [
        (Value::Null, Param::Null),
        (Value::Tiny(-128), Param::Int(-128)),
        (Value::UTiny(255), Param::UInt(255)),
        (Value::Short(i16::MIN), Param::Int(i16::MIN.into())),
        (Value::UShort(u16::MAX), Param::UInt(u16::MAX.into())),
        (Value::Long(i32::MIN), Param::Int(i32::MIN.into())),
        (Value::ULong(u32::MAX), Param::UInt(u32::MAX.into())),
        (Value::LongLong(i64::MIN), Param::Int(i64::MIN)),
        (Value::ULongLong(u64::MAX), Param::UInt(u64::MAX)),
        (Value::Float(1.5), Param::Float(1.5)),
        (Value::Double(-0.1), Param::Double(-0.1)),
        (
            Value::DateTime(2026, [11, 21, 8, 41, 0], 7),
            Param::Time("2026-11-21 08:41:00.000007".into()),
        ),
        (
            Value::DateTime(2026, [11, 21, 8, 41, 0], 0),
            Param::Time("2026-11-21 08:41:00".into()),
        ),
        (
            Value::DateTime(2026, [11, 21, 0, 0, 0], 0),
            Param::Time("2026-11-21".into()),
        ),
        (Value::DateTime(0, [0; 5], 0), Param::Time("0000-00-00".into())),
    ];
    let texts = [
        0x00, 0x0F, 0x10, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF,
    ]
    .map(|code| (Value::Text(code, "Привет 🎉".into()), text("Привет 🎉")));
    let (values, expected): (Vec<_>, Vec<_>) = cases.into_iter().chain(texts).unzip();

    let mut connection = ready();
    let statement = prepared(&mut connection, values.len() as u16);
    let input = send(&mut connection, &execute(statement.0, &values, true));
    assert_eq!(
        input,
        Some(Input::Execute {
            statement,
            params: expected.clone()
        })
    );
    connection.ok(&OkPacket::default());
    assert_eq!(
        params(&mut connection, &execute(statement.0, &values, false)),
        expected,
        "types are remembered"
    );
}

/// TIME, with days and a sign; YEAR and INT24 are integers.
#[test]
fn rarer_types() {
    let with_type = |code: u8, value: &[u8]| {
        let mut connection = ready();
        let statement = prepared(&mut connection, 1);
        let mut command = with_id(0x17, statement.0);
        command.extend([0, 1, 0, 0, 0, 0, 1, code, 0]);
        command.extend(value);
        params(&mut connection, &command).remove(0)
    };
    assert_eq!(with_type(0x0B, &[0]), Param::Time("00:00:00".into()));
    assert_eq!(
        with_type(0x0B, &[8, 1, 1, 0, 0, 0, 2, 3, 4]),
        Param::Time("-26:03:04".into())
    );
    assert_eq!(
        with_type(0x0B, &[12, 0, 0, 0, 0, 0, 2, 3, 4, 5, 0, 0, 0]),
        Param::Time("02:03:04.000005".into())
    );
    assert_eq!(
        with_type(0x0A, &[4, 0xEA, 7, 11, 21]),
        Param::Time("2026-11-21".into())
    );
    assert_eq!(
        with_type(0x07, &[7, 0xEA, 7, 11, 21, 8, 41, 0]),
        Param::Time("2026-11-21 08:41:00".into())
    );
    assert_eq!(with_type(0x0D, &[0xEA, 7]), Param::Int(2026));
    assert_eq!(with_type(0x09, &[1, 0, 0, 0]), Param::Int(1));
}

#[test]
fn texts_of_all_lengths() {
    let mut connection = ready_with(Limits {
        packet_max: 17_000_000,
        ..Limits::default()
    });
    let statement = prepared(&mut connection, 2);
    for length in [0, 250, 251, 65_535, 65_536, 16_000_000] {
        let text = vec![b'y'; length];
        let values = [Value::Text(0xFD, text.clone()), Value::Tiny(1)];
        let expected = [Param::Bytes(text.into()), Param::Int(1)];
        assert_eq!(
            params(&mut connection, &execute(statement.0, &values, true)),
            expected
        );
    }
}

#[test]
fn types_must_come_once() {
    let mut connection = ready();
    let statement = prepared(&mut connection, 1);
    assert_eq!(
        send(&mut connection, &execute(statement.0, &[Value::Tiny(1)], false)),
        None
    );
    assert_eq!(said(&mut connection), [BAD_ARGUMENTS]);
}

/// A malformed EXECUTE is an error and nothing else: the statement still works. Nothing panics.
#[test]
fn cut_executions_are_errors() {
    let values = [
        Value::Text(0xFD, b"text".to_vec()),
        Value::Null,
        Value::ULongLong(7),
        Value::Tiny(1),
    ];
    let mut connection = ready();
    let statement = prepared(&mut connection, 4);
    let whole = execute(statement.0, &values, true);
    for length in 1..whole.len() {
        assert_eq!(send(&mut connection, &whole[..length]), None, "{length}");
        assert_eq!(said(&mut connection), [BAD_ARGUMENTS]);
    }
    assert_eq!(params(&mut connection, &whole).len(), 4);
}

#[test]
fn wrong_types_and_lengths_are_errors() {
    let head = [0, 1, 0, 0, 0, 0, 1];
    let wrong: [&[u8]; 6] = [
        &[0x0E, 0, 1],
        &[0x11, 0, 1],
        &[0xFD, 0, 0xFB],
        &[0xFD, 0, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x0C, 0, 5, 1, 2, 3, 4, 5],
        &[0x0B, 0, 4, 1, 2, 3, 4],
    ];
    for tail in wrong {
        let mut connection = ready();
        let statement = prepared(&mut connection, 1);
        let command = [&with_id(0x17, statement.0)[..], &head, tail].concat();
        assert_eq!(send(&mut connection, &command), None);
        assert_eq!(said(&mut connection), [BAD_ARGUMENTS], "{tail:02X?}");
    }
}

#[test]
fn statements_nobody_knows() {
    let mut connection = ready();
    let statement = prepared(&mut connection, 0);
    for command in [execute(99, &[], false), with_id(0x1A, 99)] {
        assert_eq!(send(&mut connection, &command), None);
        assert_eq!(said(&mut connection), [UNKNOWN]);
    }
    assert_eq!(send(&mut connection, &with_id(0x19, 99)), None);
    assert_eq!(send(&mut connection, &[0x1A, 1]), None);
    assert_eq!(
        said(&mut connection),
        ["1 FF 2B 07 '#HY000Malformed communication packet'"]
    );

    assert_eq!(
        send(&mut connection, &with_id(0x19, statement.0)),
        Some(Input::StatementClosed(statement))
    );
    assert_eq!(send(&mut connection, &with_id(0x19, statement.0)), None);
    assert_eq!(said(&mut connection), [""; 0], "closing has no answer");
    assert_eq!(send(&mut connection, &execute(statement.0, &[], false)), None);
    assert_eq!(said(&mut connection), [UNKNOWN]);
    assert_ne!(prepared(&mut connection, 0), statement, "ids are not used twice");
}

/// A preparation before the reset is part of what is dropped, even if it is answered late.
#[test]
fn a_reset_waits_for_the_preparation_before_it() {
    let mut connection = ready();
    connection.receive(&[packet(0, b"\x16x"), packet(0, b"\x1F")].concat());
    assert!(matches!(connection.next_input(), Ok(Some(Input::Prepare(_)))));
    assert_eq!(connection.next_input(), Ok(None));
    let statement = connection.prepared(0, &[]);
    assert_eq!(connection.next_input(), Ok(Some(Input::Reset)));
    drop(connection.take_output());
    assert_eq!(send(&mut connection, &execute(statement.0, &[], false)), None);
    assert_eq!(said(&mut connection), [UNKNOWN]);
}

#[test]
fn resetting_the_connection_drops_statements() {
    let mut connection = ready();
    let statement = prepared(&mut connection, 0);
    assert_eq!(send(&mut connection, b"\x1F"), Some(Input::Reset));
    assert_eq!(send(&mut connection, &execute(statement.0, &[], false)), None);
    assert_eq!(said(&mut connection), [OK, UNKNOWN]);
}

/// protocol.md 7.2: at most max_prepared, then 1461. Preparations on their way count.
#[test]
fn prepared_max_at_n_and_above() {
    let full =
        "1 FF B5 05 '#42000Can't create more than max_prepared_stmt_count statements (current value: 2)'";
    let mut connection = ready_with(Limits {
        prepared_max: 2,
        ..Limits::default()
    });
    let first = prepared(&mut connection, 0);
    connection.receive(&packet(0, b"\x16x").repeat(2));
    assert!(matches!(connection.next_input(), Ok(Some(Input::Prepare(_)))));
    assert_eq!(connection.next_input(), Ok(None));
    connection.prepared(0, &[]);
    assert_eq!(
        said(&mut connection),
        ["1 00 02 00 00 00 00 00 00 00 00 00 00", full]
    );
    assert_eq!(
        send(&mut connection, &with_id(0x19, first.0)),
        Some(Input::StatementClosed(first))
    );
    prepared(&mut connection, 0);
}

#[test]
fn long_data_joins_and_is_used_up() {
    let mut connection = ready();
    let statement = prepared(&mut connection, 2);
    for part in [&b"long "[..], b"data", b""] {
        assert_eq!(send(&mut connection, &long_data(statement.0, 1, part)), None);
    }
    assert_eq!(said(&mut connection), [""; 0], "long data has no answer");
    // The type of the second parameter is there, its value is not.
    let mut command = with_id(0x17, statement.0);
    command.extend([0, 1, 0, 0, 0, 0, 1, 1, 0, 0xFC, 0, 7]);
    let expected = [Param::Int(7), Param::Bytes("long data".into())];
    assert_eq!(params(&mut connection, &command), expected);
    assert_eq!(send(&mut connection, &command), None);
    assert_eq!(
        said(&mut connection),
        [BAD_ARGUMENTS],
        "the second time the value is missing"
    );
}

#[test]
fn resetting_a_statement_forgets_long_data() {
    let mut connection = ready();
    let statement = prepared(&mut connection, 1);
    send(&mut connection, &long_data(statement.0, 0, b"gone"));
    assert_eq!(send(&mut connection, &with_id(0x1A, statement.0)), None);
    assert_eq!(said(&mut connection), [OK]);
    let values = [Value::Text(0xFC, b"new".to_vec())];
    assert_eq!(
        params(&mut connection, &execute(statement.0, &values, true)),
        [Param::Bytes("new".into())]
    );
}

/// All long data of a connection together is bounded; the execution then says so, and the next one works.
#[test]
fn long_data_at_packet_max_and_above() {
    let mut connection = ready_with(Limits {
        packet_max: 1000 + 2 * 64,
        ..Limits::default()
    });
    let (first, second) = (prepared(&mut connection, 1), prepared(&mut connection, 1));
    let values = [Value::Text(0xFC, b"v".to_vec())];
    let with_data = {
        let mut command = with_id(0x17, first.0);
        command.extend([0, 1, 0, 0, 0, 0, 1, 0xFC, 0]);
        command
    };
    send(&mut connection, &long_data(first.0, 0, &[b'a'; 600]));
    send(&mut connection, &long_data(second.0, 0, &[b'b'; 401]));
    assert_eq!(
        send(&mut connection, &execute(second.0, &values, true)),
        Some(Input::TooLarge)
    );
    connection.error(&ErrorPacket::new(11, b"HY000", "data too long"));
    assert_eq!(
        params(&mut connection, &execute(second.0, &values, true)),
        [Param::Bytes("v".into())]
    );

    send(&mut connection, &long_data(first.0, 0, &[b'a'; 464]));
    assert_eq!(
        params(&mut connection, &with_data),
        [Param::Bytes([b'a'; 1064][..].into())]
    );
    send(&mut connection, &long_data(first.0, 0, &[b'a'; 900]));
    send(&mut connection, &long_data(first.0, 0, &[b'a'; 165]));
    assert_eq!(send(&mut connection, &with_data), Some(Input::TooLarge));
    connection.error(&ErrorPacket::new(11, b"HY000", "data too long"));
}

/// Empty long data costs memory, too.
#[test]
fn parameters_with_long_data_are_counted() {
    let mut connection = ready_with(Limits {
        packet_max: 640,
        ..Limits::default()
    });
    let statement = prepared(&mut connection, 11);
    let empty = vec![Value::Null; 11];
    for count in [10, 11] {
        for param in 0..count {
            send(&mut connection, &long_data(statement.0, param, b""));
        }
        let input = send(&mut connection, &execute(statement.0, &empty, true));
        assert_eq!(input == Some(Input::TooLarge), count == 11, "{input:?}");
        connection.ok(&OkPacket::default());
    }
}

/// A piece of long data above packet_max is dropped; it still has no answer.
#[test]
fn oversized_long_data_has_no_answer() {
    let mut connection = ready_with(Limits {
        packet_max: 1000,
        ..Limits::default()
    });
    let statement = prepared(&mut connection, 1);
    assert_eq!(
        send(&mut connection, &long_data(statement.0, 0, &[b'a'; 5000])),
        None
    );
    assert_eq!(said(&mut connection), [""; 0]);
    let values = [Value::Text(0xFC, b"v".to_vec())];
    assert_eq!(
        send(&mut connection, &execute(statement.0, &values, true)),
        Some(Input::TooLarge)
    );
}

#[test]
fn long_data_for_nothing_that_exists() {
    let mut connection = ready();
    let statement = prepared(&mut connection, 1);
    send(&mut connection, &long_data(99, 0, b"x"));
    send(&mut connection, &[0x18, 1, 2]);
    send(&mut connection, &long_data(statement.0, 1, b"x"));
    assert_eq!(said(&mut connection), [""; 0]);
    let values = [Value::Text(0xFC, b"v".to_vec())];
    assert_eq!(send(&mut connection, &execute(statement.0, &values, true)), None);
    assert_eq!(said(&mut connection), [BAD_ARGUMENTS]);
    assert_eq!(
        params(&mut connection, &execute(statement.0, &values, true)).len(),
        1
    );
}

#[test]
fn many_parameters() {
    let mut connection = ready();
    let statement = prepared(&mut connection, u16::MAX);
    let values: Vec<_> = (0..u16::MAX)
        .map(|n| if n % 3 == 0 { Value::Null } else { Value::UShort(n) })
        .collect();
    let got = params(&mut connection, &execute(statement.0, &values, true));
    assert_eq!((got.len(), &got[65_533]), (65_535, &Param::UInt(65_533)));
    assert_eq!(got[65_532], Param::Null);
}

/// The independent encoder agrees on the borders of length-encoded integers (Q40).
#[test]
fn the_test_client_writes_lengths_as_documented() {
    let encoded = |length| {
        let mut bytes = Vec::new();
        length_encoded(&mut bytes, length);
        bytes
    };
    assert_eq!(encoded(250), [0xFA]);
    assert_eq!(encoded(251), [0xFC, 0xFB, 0]);
    assert_eq!(encoded(65_536), [0xFD, 0, 0, 1]);
    assert_eq!(encoded(16_777_216), [0xFE, 0, 0, 0, 1, 0, 0, 0, 0]);
}
