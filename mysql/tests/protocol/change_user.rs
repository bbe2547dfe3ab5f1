//! COM_CHANGE_USER: the same proof as a login, the same limits, and a new session behind it.

use comet_mysql::{ErrorPacket, Input, Limits, OkPacket, ProtocolError};

use crate::client::{LoginPacket, NATIVE, SALT, execute, packet, sha2_proof};
use crate::login::take_login;
use crate::{ready, ready_with, said, send};

const OK: &str = "00 00 00 02 00 00 00";

fn refused() -> ErrorPacket {
    ErrorPacket::new(16, b"HY000", "authentication failed")
}

/// There are servers that answer COM_CHANGE_USER with OK whatever the proof says. Not this one.
#[test]
fn change_user_right() {
    for (login, expected) in [
        (LoginPacket::native("secret"), vec![format!("1 {OK}")]),
        (
            LoginPacket::sha2("secret"),
            vec!["1 01 03".to_owned(), format!("2 {OK}")],
        ),
    ] {
        let mut connection = ready();
        connection.set_in_transaction(true);
        send(&mut connection, b"\x16select 1");
        let statement = connection.prepared(0, &[]);
        drop(connection.take_output());

        let Some(Input::Login(asked)) = send(&mut connection, &login.change_user()) else {
            panic!("no login")
        };
        assert!(asked.change_user && asked.password_is(b"secret") && !asked.password_is(b"wrong"));
        assert_eq!(asked.attributes().count(), 2);
        connection.accept_login();
        assert_eq!(said(&mut connection), expected, "and no transaction is open");
        assert_eq!(send(&mut connection, &execute(statement.0, &[], false)), None);
        assert_eq!(
            said(&mut connection),
            ["1 FF DB 04 '#HY000Unknown prepared statement'"]
        );
    }
}

#[test]
fn change_user_wrong_ends_the_session() {
    let mut connection = ready();
    let login = LoginPacket::native("wrong").change_user();
    let Some(Input::Login(asked)) = send(&mut connection, &login) else {
        panic!("no login")
    };
    assert!(!asked.password_is(b"secret"));
    connection.reject_login(&refused());
    assert_eq!(
        said(&mut connection),
        ["1 FF 10 00 '#HY000authentication failed'"]
    );
    assert!(connection.is_closed());
}

/// libmysqlclient changes user with an empty response and waits to be asked.
#[test]
fn change_user_with_a_switch() {
    let login = LoginPacket {
        proof: vec![],
        ..LoginPacket::sha2("secret")
    };
    let mut connection = ready();
    assert_eq!(send(&mut connection, &login.change_user()), None);
    assert_eq!(
        said(&mut connection),
        ["1 FE 'caching_sha2_password' 00 'abcdefgh0123456789AB' 00"]
    );
    connection.receive(&packet(2, &sha2_proof(b"secret", &SALT)));
    assert!(take_login(&mut connection).password_is(b"secret"));
    connection.accept_login();
    assert_eq!(said(&mut connection), ["3 01 03", &format!("4 {OK}")]);
}

#[test]
fn change_user_waits_for_the_answers_before_it() {
    let mut connection = ready();
    let change = LoginPacket::native("secret").change_user();
    connection.receive(&[packet(0, b"\x03slow"), packet(0, &change), packet(0, b"\x0E")].concat());
    assert_eq!(connection.next_input(), Ok(Some(Input::Query("slow".into()))));
    assert_eq!(connection.next_input(), Ok(None));
    assert!(!connection.wants_bytes());
    connection.ok(&OkPacket::default());
    assert!(take_login(&mut connection).change_user);
    connection.accept_login();
    assert_eq!(connection.next_input(), Ok(None));
    assert_eq!(
        said(&mut connection),
        [format!("1 {OK}"), format!("1 {OK}"), format!("1 {OK}")]
    );
}

/// Drivers leave out what comes after the database, or after the character set.
#[test]
fn change_user_may_end_early() {
    let mut whole = LoginPacket {
        attributes: vec![],
        ..LoginPacket::native("secret")
    }
    .change_user();
    assert_eq!(whole.pop(), Some(0), "no attributes");
    let after_plugin = whole.len();
    let after_charset = after_plugin - NATIVE.len() - 1;
    for length in [after_plugin, after_charset, after_charset - 2] {
        let Some(Input::Login(login)) = send(&mut ready(), &whole[..length]) else {
            panic!("{length}")
        };
        assert!(login.password_is(b"secret"));
    }
    for length in (1..after_plugin).filter(|length| ![after_charset, after_charset - 2].contains(length)) {
        let mut connection = ready();
        connection.receive(&packet(0, &whole[..length]));
        assert_eq!(
            connection.next_input(),
            Err(ProtocolError::MalformedLogin),
            "{length}"
        );
        assert_eq!(said(&mut connection), ["1 FF 13 04 '#08S01Bad handshake'"]);
    }
}

#[test]
fn change_user_is_bounded_like_a_login() {
    let limits = Limits {
        login_packet_max: 200,
        ..Limits::default()
    };
    let mut connection = ready_with(limits);
    connection.receive(&packet(0, &[&[0x11][..], &[b'a'; 201]].concat()));
    assert_eq!(connection.next_input(), Err(ProtocolError::LoginTooLarge));
    assert!(connection.is_closed());
}
