//! Logins: greeting, both plugins, the switch between them, TLS, everything malformed.

use comet_mysql::{
    AuthPlugin, Config, Connection, ErrorPacket, Input, Limits, Login, ProtocolError, salt_from,
};

use crate::client::{
    CAPABILITIES, LENENC_AUTH, LoginPacket, NATIVE, SALT, SHA2, SSL, head, native_proof, packet, sha2_proof,
};
use crate::{config, said};

const OK: &str = "00 00 00 02 00 00 00";

fn refused() -> ErrorPacket {
    ErrorPacket::new(16, b"HY000", "authentication failed")
}

fn begin(config: Config, login: &[u8]) -> (Connection, Login) {
    let mut connection = Connection::new(config);
    connection.receive(&packet(1, login));
    let login = take_login(&mut connection);
    drop(connection.take_output());
    (connection, login)
}

pub(crate) fn take_login(connection: &mut Connection) -> Login {
    match connection.next_input() {
        Ok(Some(Input::Login(login))) => login,
        other => panic!("{other:?}"),
    }
}

/// protocol.md 7.1, Q34, Q35.
#[test]
fn greeting() {
    let mut connection = Connection::new(config());
    assert_eq!(
        said(&mut connection),
        [
            "0 0A '5.7.99-test' 00 07 00 00 00 'abcdefgh' 00 0F A7 2D 02 00 3A 00 15 \
          00 00 00 00 00 00 00 00 00 00 '0123456789AB' 00 'mysql_native_password' 00"
        ]
    );
    let mut connection = Connection::new(Config {
        tls_available: true,
        default_plugin: AuthPlugin::CachingSha2Password,
        ..config()
    });
    assert_eq!(
        said(&mut connection),
        [
            "0 0A '5.7.99-test' 00 07 00 00 00 'abcdefgh' 00 0F AF 2D 02 00 3A 00 15 \
          00 00 00 00 00 00 00 00 00 00 '0123456789AB' 00 'caching_sha2_password' 00"
        ]
    );
}

#[test]
fn salts_have_neither_zero_nor_dollar_nor_high_bytes() {
    let mut all = Vec::new();
    for start in (0..=255u8).step_by(5) {
        all.extend(salt_from(std::array::from_fn(|i| start.wrapping_add(i as u8))));
    }
    assert!(all.iter().all(|byte| (1..=0x7F).contains(byte) && *byte != b'$'));
}

#[test]
fn native_login() {
    let (mut connection, login) = begin(config(), &LoginPacket::native("secret").payload());
    assert_eq!(
        (&login.user[..], login.database.as_deref()),
        (&b"root"[..], Some(&b"CometQL_v1"[..]))
    );
    assert_eq!(
        (login.change_user, login.tls, login.plugin()),
        (false, false, AuthPlugin::NativePassword)
    );
    let attributes: Vec<_> = login.attributes().collect();
    assert_eq!(
        attributes,
        [("_client_name".into(), "tiny".into()), ("pid".into(), "1".into())]
    );
    assert!(login.password_is(b"secret") && !login.password_is_empty());
    for wrong in ["", "Secret", "secret ", "secre"] {
        assert!(!login.password_is(wrong.as_bytes()), "{wrong}");
    }
    connection.accept_login();
    assert_eq!(said(&mut connection), [format!("2 {OK}")]);
}

/// The proof and the salt are no text for logs.
#[test]
fn debug_output_has_no_proof() {
    let packet = LoginPacket {
        proof: b"12345678901234567890".to_vec(),
        ..LoginPacket::native("secret")
    };
    let (connection, login) = begin(config(), &packet.payload());
    let shown = format!("{login:?} {connection:?} {:?}", config());
    assert!(
        !shown.contains("123456789") && !shown.contains("abcdefgh"),
        "{shown}"
    );
}

#[test]
fn wrong_password_is_told_and_ends_it() {
    let (mut connection, login) = begin(config(), &LoginPacket::native("wrong").payload());
    assert!(!login.password_is(b"secret"));
    connection.reject_login(&refused());
    assert_eq!(
        said(&mut connection),
        ["2 FF 10 00 '#HY000authentication failed'"]
    );
    assert!(connection.is_closed() && !connection.wants_bytes());
    connection.receive(&packet(0, b"\x0E"));
    assert_eq!(connection.next_input(), Ok(None));
}

#[test]
fn sha2_login_takes_the_fast_path() {
    for default_plugin in [AuthPlugin::NativePassword, AuthPlugin::CachingSha2Password] {
        let config = Config {
            default_plugin,
            ..config()
        };
        let (mut connection, login) = begin(config, &LoginPacket::sha2("secret").payload());
        assert_eq!(login.plugin(), AuthPlugin::CachingSha2Password);
        assert!(login.password_is(b"secret") && !login.password_is(b"wrong") && !login.password_is(b""));
        connection.accept_login();
        assert_eq!(said(&mut connection), ["2 01 03", &format!("3 {OK}")]);
    }
}

#[test]
fn empty_passwords() {
    let native = LoginPacket::native("");
    let (mut connection, login) = begin(config(), &native.payload());
    assert!(login.password_is_empty() && login.password_is(b"") && !login.password_is(b"secret"));
    connection.accept_login();
    assert_eq!(said(&mut connection), [format!("2 {OK}")]);

    let sha2 = LoginPacket {
        proof: vec![0],
        ..LoginPacket::sha2("")
    };
    let (mut connection, login) = begin(config(), &sha2.payload());
    assert!(login.password_is_empty() && login.password_is(b"") && !login.password_is(b"secret"));
    connection.accept_login();
    assert_eq!(
        said(&mut connection),
        [format!("2 {OK}")],
        "there is nothing to prove, so no 01 03"
    );
}

fn switched(config: Config, login: &LoginPacket, plugin: &str, proof: &[u8]) -> (Connection, Login) {
    let mut connection = Connection::new(config);
    drop(connection.take_output());
    connection.receive(&packet(1, &login.payload()));
    assert_eq!(connection.next_input(), Ok(None));
    assert_eq!(
        said(&mut connection),
        [format!("2 FE '{plugin}' 00 'abcdefgh0123456789AB' 00")]
    );
    assert!(connection.wants_bytes());
    connection.receive(&packet(3, proof));
    let login = take_login(&mut connection);
    (connection, login)
}

#[test]
fn unknown_plugin_is_switched_to_the_default() {
    let login = LoginPacket {
        plugin: "mysql_clear_password",
        proof: b"secret\0".to_vec(),
        ..LoginPacket::native("secret")
    };
    let (mut connection, login) = switched(config(), &login, NATIVE, &native_proof(b"secret", &SALT));
    assert!(login.password_is(b"secret"));
    assert_eq!((&login.user[..], login.attributes().count()), (&b"root"[..], 2));
    connection.accept_login();
    assert_eq!(said(&mut connection), [format!("4 {OK}")]);
}

/// libmysqlclient 8 and 9 send an empty response when the greeting named a plugin that is not theirs.
#[test]
fn a_client_that_waits_to_be_asked_is_asked_with_its_own_plugin() {
    let login = LoginPacket {
        proof: vec![],
        ..LoginPacket::sha2("secret")
    };
    let (mut connection, login) = switched(config(), &login, SHA2, &sha2_proof(b"secret", &SALT));
    assert!(login.password_is(b"secret"));
    connection.accept_login();
    assert_eq!(said(&mut connection), ["4 01 03", &format!("5 {OK}")]);
}

#[test]
fn a_response_that_fits_no_plugin_is_asked_for_again() {
    let login = LoginPacket {
        proof: vec![9; 8],
        ..LoginPacket::native("secret")
    };
    let (mut connection, login) = switched(config(), &login, NATIVE, b"short");
    assert!(
        !login.password_is(b"secret") && !login.password_is(b""),
        "asked once, not for ever"
    );
    connection.reject_login(&refused());
    assert_eq!(
        said(&mut connection),
        ["4 FF 10 00 '#HY000authentication failed'"]
    );
}

#[test]
fn a_client_older_than_plugins_is_not_asked_to_switch() {
    let login = LoginPacket {
        capabilities: CAPABILITIES & !0x18_0000,
        ..LoginPacket::native("secret")
    };
    let config = Config {
        default_plugin: AuthPlugin::CachingSha2Password,
        ..config()
    };
    let (_, login) = begin(config, &login.payload());
    assert!(login.password_is(b"secret") && login.plugin() == AuthPlugin::NativePassword);
}

/// The load balancer sends its login and COM_QUIT in one segment.
#[test]
fn commands_behind_a_login_wait_for_its_decision() {
    let login = LoginPacket {
        user: "haproxy_check",
        capabilities: CAPABILITIES & !0x10_0008,
        ..LoginPacket::native("")
    };
    let mut connection = Connection::new(config());
    connection.receive(&[packet(1, &login.payload()), packet(0, b"\x01")].concat());
    let login = take_login(&mut connection);
    assert!(login.password_is_empty() && login.database.is_none());
    assert_eq!(connection.next_input(), Ok(None));
    assert!(!connection.wants_bytes());
    connection.accept_login();
    assert_eq!(connection.next_input(), Ok(Some(Input::Quit)));
    assert!(connection.is_closed());
}

#[test]
fn tls_request_hands_over_what_follows_it() {
    let mut connection = Connection::new(Config {
        tls_available: true,
        ..config()
    });
    drop(connection.take_output());
    let capabilities = CAPABILITIES | SSL;
    connection.receive(&[packet(1, &head(capabilities)), b"\x16\x03\x01hello".to_vec()].concat());
    let rest = b"\x16\x03\x01hello"[..].into();
    assert_eq!(connection.next_input(), Ok(Some(Input::TlsRequested { rest })));
    assert_eq!((connection.buffered(), connection.next_input()), (0, Ok(None)));
    assert!(connection.is_tls() && connection.wants_bytes());

    let login = LoginPacket {
        capabilities,
        ..LoginPacket::native("secret")
    };
    connection.receive(&packet(2, &login.payload()));
    let login = take_login(&mut connection);
    assert!(login.tls && login.password_is(b"secret"));
    connection.accept_login();
    assert_eq!(said(&mut connection), [format!("3 {OK}")]);
}

/// TLS is neither begun without having been offered nor begun twice.
#[test]
fn tls_request_out_of_place_is_malformed() {
    let mut connection = Connection::new(config());
    connection.receive(&packet(1, &head(CAPABILITIES | SSL)));
    assert_eq!(connection.next_input(), Err(ProtocolError::MalformedLogin));

    let mut connection = Connection::new(Config {
        tls_available: true,
        ..config()
    });
    connection.receive(&packet(1, &head(CAPABILITIES | SSL)));
    assert!(matches!(
        connection.next_input(),
        Ok(Some(Input::TlsRequested { .. }))
    ));
    connection.receive(&packet(2, &head(CAPABILITIES | SSL)));
    assert_eq!(connection.next_input(), Err(ProtocolError::MalformedLogin));
}

/// protocol.md 7.1: without SECURE_CONNECTION (or older still) the caller's error 16.
#[test]
fn too_old_clients_are_left_to_the_caller() {
    let no_secure = LoginPacket {
        capabilities: CAPABILITIES & !0x8000,
        ..LoginPacket::native("secret")
    };
    for payload in [
        no_secure.payload(),
        b"\x05\x00\xFF\xFF\xFFroot\0oldproof".to_vec(),
        vec![0, 0],
    ] {
        let mut connection = Connection::new(config());
        drop(connection.take_output());
        connection.receive(&packet(1, &payload));
        assert_eq!(connection.next_input(), Ok(Some(Input::LoginTooOld)));
        connection.reject_login(&refused());
        assert_eq!(
            said(&mut connection),
            ["2 FF 10 00 '#HY000authentication failed'"]
        );
    }
}

/// protocol.md 7.2: every cut of a login is malformed; 1043, 08S01, close.
#[test]
fn cut_logins_are_malformed() {
    for capabilities in [CAPABILITIES, CAPABILITIES | LENENC_AUTH] {
        let whole = LoginPacket {
            capabilities,
            ..LoginPacket::native("secret")
        }
        .payload();
        for length in 0..whole.len() {
            let mut connection = Connection::new(config());
            drop(connection.take_output());
            connection.receive(&packet(1, &whole[..length]));
            assert_eq!(
                connection.next_input(),
                Err(ProtocolError::MalformedLogin),
                "{length} bytes"
            );
            assert_eq!(said(&mut connection), ["2 FF 13 04 '#08S01Bad handshake'"]);
            assert!(connection.is_closed());
        }
        let (_, login) = begin(config(), &whole);
        assert!(login.password_is(b"secret"));
    }
}

#[test]
fn lengths_beyond_the_packet_are_malformed() {
    let whole = LoginPacket::native("secret").payload();
    let proof_length = 32 + "root".len() + 1;
    let attribute = whole.len() - 2;
    for (position, length) in [(proof_length, 255), (proof_length, 100), (attribute, 200)] {
        let mut broken = whole.clone();
        broken[position] = length;
        let mut connection = Connection::new(config());
        connection.receive(&packet(1, &broken));
        assert_eq!(
            connection.next_input(),
            Err(ProtocolError::MalformedLogin),
            "{position}"
        );
    }
}

#[test]
fn login_packet_max_at_n_and_above() {
    let payload = LoginPacket::native("secret").payload();
    let fits = Limits {
        login_packet_max: payload.len(),
        ..Limits::default()
    };
    begin(
        Config {
            limits: fits,
            ..config()
        },
        &payload,
    );

    let tight = Limits {
        login_packet_max: payload.len() - 1,
        ..fits
    };
    let mut connection = Connection::new(Config {
        limits: tight,
        ..config()
    });
    drop(connection.take_output());
    connection.receive(&packet(1, &payload));
    assert_eq!(connection.next_input(), Err(ProtocolError::LoginTooLarge));
    assert_eq!(said(&mut connection), ["2 FF 13 04 '#08S01Bad handshake'"]);
    assert!(connection.is_closed());
}

#[test]
fn login_with_a_wrong_sequence_id() {
    for sequence in [0, 2, 255] {
        let mut connection = Connection::new(config());
        drop(connection.take_output());
        connection.receive(&packet(sequence, &LoginPacket::native("secret").payload()));
        assert_eq!(connection.next_input(), Err(ProtocolError::OutOfOrder));
        assert_eq!(
            said(&mut connection),
            ["2 FF 84 04 '#08S01Got packets out of order'"]
        );
    }
}
