//! Laws: how bytes are cut does not matter; no bytes panic or are kept beyond the limits; parameters survive.

use comet_mysql::{Config, Connection, ErrorPacket, Input, Limits, OkPacket, Param};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::client::{LoginPacket, Value, execute, long_data, packet, with_id};
use crate::{config, ready};

/// Takes everything there is, answering at once; what was seen and what was written.
fn drain(connection: &mut Connection, seen: &mut Vec<String>, written: &mut Vec<u8>) {
    loop {
        match connection.next_input() {
            Ok(Some(input)) => {
                seen.push(format!("{input:?}"));
                answer(connection, &input);
            }
            Ok(None) => break,
            Err(error) => {
                seen.push(format!("{error:?}"));
                break;
            }
        }
    }
    written.extend(connection.take_output());
}

fn answer(connection: &mut Connection, input: &Input) {
    match input {
        Input::Login(login) if login.password_is(b"secret") => connection.accept_login(),
        Input::Login(_) | Input::LoginTooOld => {
            connection.reject_login(&ErrorPacket::new(16, b"HY000", "authentication failed"));
        }
        Input::Prepare(text) => {
            connection.prepared(u16::from(text.first().copied().unwrap_or_default()) % 5, &[]);
        }
        Input::Statistics => connection.statistics("idle"),
        Input::Query(_) | Input::InitDb(_) | Input::Execute { .. } => connection.ok(&OkPacket::default()),
        Input::TooLarge => connection.error(&ErrorPacket::new(11, b"HY000", "data too long")),
        Input::TlsRequested { .. } | Input::StatementClosed(_) | Input::Reset | Input::Quit => {}
    }
}

fn value() -> impl Strategy<Value = (Value, Param)> {
    prop_oneof![
        Just((Value::Null, Param::Null)),
        any::<i8>().prop_map(|n| (Value::Tiny(n), Param::Int(n.into()))),
        any::<u8>().prop_map(|n| (Value::UTiny(n), Param::UInt(n.into()))),
        any::<i16>().prop_map(|n| (Value::Short(n), Param::Int(n.into()))),
        any::<u16>().prop_map(|n| (Value::UShort(n), Param::UInt(n.into()))),
        any::<i32>().prop_map(|n| (Value::Long(n), Param::Int(n.into()))),
        any::<u32>().prop_map(|n| (Value::ULong(n), Param::UInt(n.into()))),
        any::<i64>().prop_map(|n| (Value::LongLong(n), Param::Int(n))),
        any::<u64>().prop_map(|n| (Value::ULongLong(n), Param::UInt(n))),
        (-1e9f32..1e9).prop_map(|n| (Value::Float(n), Param::Float(n))),
        (-1e9f64..1e9).prop_map(|n| (Value::Double(n), Param::Double(n))),
        (
            prop::sample::select(vec![0x0Fu8, 0xF5, 0xF6, 0xFC, 0xFD, 0xFE]),
            vec(any::<u8>(), 0..400)
        )
            .prop_map(|(code, text)| (Value::Text(code, text.clone()), Param::Bytes(text.into()))),
    ]
}

/// Commands as drivers send them, and some that they should not.
fn command() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..300).prop_map(|text| [&[3][..], &text].concat()),
        vec(any::<u8>(), 0..20).prop_map(|text| [&[0x16][..], &text].concat()),
        (1..4u32, vec(value(), 0..5)).prop_map(|(id, values)| {
            let values: Vec<_> = values.into_iter().map(|(value, _)| value).collect();
            execute(id, &values, true)
        }),
        (1..4u32, 0..5u16, vec(any::<u8>(), 0..200))
            .prop_map(|(id, param, data)| long_data(id, param, &data)),
        (prop::sample::select(vec![0x19u8, 0x1A]), 1..4u32).prop_map(|(command, id)| with_id(command, id)),
        prop::sample::select(vec![
            &b"\x0E"[..],
            b"\x09",
            b"\x1F",
            b"\x1B\0\0",
            b"\x55",
            b"",
            b"\x04t\0"
        ])
        .prop_map(<[u8]>::to_vec),
        Just(LoginPacket::sha2("secret").change_user()),
        vec(any::<u8>(), 0..20),
    ]
}

fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| bytes[pair[0]..pair[1]].to_vec())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Q39: packets may share a segment or be split over segments anywhere.
    #[test]
    fn any_cut_of_the_bytes_gives_the_same(
        commands in vec(command(), 0..12),
        cuts in vec(any::<usize>(), 0..20),
    ) {
        let limits = Limits { packet_max: 250, ..Limits::default() };
        let mut bytes = packet(1, &LoginPacket::native("secret").payload());
        bytes.extend(commands.iter().flat_map(|command| packet(0, command)));
        let run = |chunks: &[Vec<u8>]| {
            let mut connection = Connection::new(Config { limits, ..config() });
            let (mut seen, mut written) = (Vec::new(), Vec::new());
            for chunk in chunks {
                connection.receive(chunk);
                drain(&mut connection, &mut seen, &mut written);
            }
            (seen, written, connection.is_closed())
        };
        let bytewise: Vec<_> = bytes.iter().map(|byte| vec![*byte]).collect();
        let whole = run(std::slice::from_ref(&bytes));
        prop_assert_eq!(&run(&cut(&bytes, &cuts)), &whole);
        prop_assert_eq!(&run(&bytewise), &whole);
    }

    /// Taking all commands first and answering later writes the same bytes as answering each at once.
    #[test]
    fn late_answers_are_the_same_bytes(texts in vec(prop::option::of("[a-z]{1,9}"), 1..30)) {
        let commands: Vec<u8> = texts.iter().flat_map(|text| match text {
            Some(text) => packet(0, &[b"\x03", text.as_bytes()].concat()),
            None => packet(0, b"\x0E"),
        }).collect();
        let (mut at_once, mut late) = (ready(), ready());
        at_once.receive(&commands);
        let (mut seen, mut written) = (Vec::new(), Vec::new());
        drain(&mut at_once, &mut seen, &mut written);

        late.receive(&commands);
        let mut inputs = Vec::new();
        while let Some(input) = late.next_input().expect("well-formed") {
            inputs.push(input);
        }
        for input in &inputs {
            answer(&mut late, input);
        }
        prop_assert_eq!(late.take_output(), written);
    }

    /// Whatever a stranger or a user sends: no panic, nothing kept beyond the limits.
    #[test]
    fn arbitrary_bytes(chunks in vec(vec(any::<u8>(), 0..200), 0..20), logged_in: bool, tls_available: bool) {
        let limits = Limits { packet_max: 300, login_packet_max: 300, ..Limits::default() };
        let mut connection = if logged_in {
            crate::ready_with(limits)
        } else {
            Connection::new(Config { limits, tls_available, ..config() })
        };
        let (mut seen, mut written) = (Vec::new(), Vec::new());
        for chunk in &chunks {
            connection.receive(chunk);
            drain(&mut connection, &mut seen, &mut written);
            prop_assert!(connection.buffered() <= 300 + 4 || connection.is_closed());
        }
    }

    /// As above, with packets whose frames are right and whose contents are not.
    #[test]
    fn arbitrary_payloads(payloads in vec(command(), 0..20), sequence in 0..2u8, logged_in: bool) {
        let mut connection = if logged_in { ready() } else { Connection::new(config()) };
        let (mut seen, mut written) = (Vec::new(), Vec::new());
        for payload in &payloads {
            connection.receive(&packet(if logged_in { 0 } else { sequence }, payload));
            drain(&mut connection, &mut seen, &mut written);
        }
        prop_assert_eq!(connection.unanswered(), 0);
    }

    #[test]
    fn changed_logins_never_panic(position: prop::sample::Index, byte: u8, sha2: bool) {
        let login = if sha2 { LoginPacket::sha2("secret") } else { LoginPacket::native("secret") };
        let mut payload = login.payload();
        let position = position.index(payload.len());
        payload[position] = byte;
        let mut connection = Connection::new(config());
        connection.receive(&packet(1, &payload));
        let (mut seen, mut written) = (Vec::new(), Vec::new());
        drain(&mut connection, &mut seen, &mut written);
        prop_assert!(!written.is_empty());
    }

    #[test]
    fn parameters_survive(pairs in vec(value(), 1..40), with_types_again: bool) {
        let (values, expected): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let mut connection = ready();
        connection.receive(&packet(0, b"\x16insert"));
        prop_assert!(matches!(connection.next_input(), Ok(Some(Input::Prepare(_)))));
        let statement = connection.prepared(values.len() as u16, &[]);
        for with_types in [true, with_types_again] {
            connection.receive(&packet(0, &execute(statement.0, &values, with_types)));
            let input = connection.next_input();
            prop_assert_eq!(input, Ok(Some(Input::Execute { statement, params: expected.clone() })));
            connection.ok(&OkPacket::default());
        }
    }
}
