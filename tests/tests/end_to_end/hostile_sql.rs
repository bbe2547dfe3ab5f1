//! Bad input on the CometQL port: an error code or the end of that session, never of the server (protocol.md 7.1, 7.2).

use std::io::{Read, Write};
use std::net::TcpStream;

use comet_tests::DEADLINE;
use comet_tests::server::Server;
use comet_tests::sql::{code, connect, options, refused, rows, run};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// A raw connection behind the greeting.
fn dial(server: &Server) -> TcpStream {
    let mut socket = TcpStream::connect(server.cometql).expect("the CometQL port accepts");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let (_, greeting) = packet(&mut socket).expect("a greeting");
    assert_eq!(greeting[0], 10, "protocol 10");
    let version = String::from_utf8_lossy(&greeting[1..]).into_owned();
    assert!(
        version.starts_with("5.7."),
        "a numeric version, drivers parse it (Q34)"
    );
    socket
}

/// Sequence id and payload of the next packet; `None` at the end of the connection.
fn packet(socket: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 4];
    socket.read_exact(&mut head).ok()?;
    let mut payload = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
    socket.read_exact(&mut payload).ok()?;
    Some((head[3], payload))
}

fn framed(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a short packet")
        .to_le_bytes();
    [&length[..3], &[sequence], payload].concat()
}

/// The login of a load balancer's health check: no password, may ping and quit only.
fn health_check() -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend_from_slice(&0x0000_8200u32.to_le_bytes());
    payload.extend_from_slice(&0x0100_0000u32.to_le_bytes());
    payload.push(45);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(b"haproxy_check\0\0");
    framed(1, &payload)
}

fn error_code(payload: &[u8]) -> u16 {
    assert_eq!(payload[0], 0xff, "an ERR packet");
    u16::from_le_bytes([payload[1], payload[2]])
}

#[tokio::test]
async fn garbage_instead_of_a_login() {
    let mut server = Server::start_with(&[("COMET_COMETQL_HANDSHAKE_TIMEOUT", "1")]);
    let inputs: [&[u8]; 7] = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\x01",
        b"\x01\0\0\x01\x0e",
        b"\x20\0\0\x01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"\x04\0\0\x07\x03abc",
        b"\x05\0\0",
    ];
    for input in inputs {
        let mut socket = dial(&server);
        let _ = socket.write_all(input);
        let mut answer = Vec::new();
        let ended = socket.read_to_end(&mut answer);
        let waiting = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!waiting, "{input:?} is hung up on");
        assert!(answer.len() < 200, "and answered by one error at most");
    }
    assert!(server.is_alive());
    connect(server.cometql).await;
}

#[tokio::test]
async fn many_unfinished_logins() {
    let server = Server::start_with(&[("COMET_COMETQL_HANDSHAKE_TIMEOUT", "1")]);
    let sockets: Vec<TcpStream> = (0..500).map(|_| dial(&server)).collect();
    let mut sql = connect(server.cometql).await;
    assert_eq!(rows(&mut sql, "SELECT 1").await, [["1"]]);
    for mut socket in sockets {
        let mut rest = Vec::new();
        let ended = socket.read_to_end(&mut rest);
        assert!(!ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    }
    assert_eq!(
        rows(&mut sql, "SELECT 1").await,
        [["1"]],
        "who is logged in stays"
    );
}

/// Two packets in one segment are two commands, a split packet is one (Q39); unknown commands are 1047 (Q38).
#[test]
fn packets_and_segments() {
    let server = Server::start();
    let mut socket = dial(&server);
    socket.write_all(&health_check()).expect("a login");
    assert_eq!(packet(&mut socket).expect("an OK").1[0], 0);
    let two = [framed(0, b"\x03SELECT 1"), framed(0, b"\x0e")].concat();
    socket.write_all(&two).expect("two commands");
    assert_eq!(error_code(&packet(&mut socket).expect("the first answer").1), 403);
    assert_eq!(packet(&mut socket).expect("the second answer").1[0], 0);
    for byte in framed(0, b"\x0e") {
        socket.write_all(&[byte]).expect("a byte");
    }
    assert_eq!(packet(&mut socket).expect("the answer").1[0], 0);
    socket.write_all(&framed(0, b"\x55")).expect("an unknown command");
    assert_eq!(error_code(&packet(&mut socket).expect("the answer").1), 1047);
    socket.write_all(&framed(0, b"\x01")).expect("COM_QUIT");
    assert!(packet(&mut socket).is_none(), "COM_QUIT is not answered");
}

#[tokio::test]
async fn logins_that_are_refused() {
    let server = Server::start();
    for user in ["admin", "-1", "100000", "1x", ""] {
        let error = Conn::new(options(server.cometql).user(Some(user)))
            .await
            .expect_err("the user is unknown");
        assert_eq!(code(&error), Some(16), "user {user}");
    }
    for database in ["mysql", "db_", "db_x", "db_100000", "cometql_v1"] {
        let error = Conn::new(options(server.cometql).db_name(Some(database)))
            .await
            .expect_err("no such database");
        assert_eq!(code(&error), Some(15), "database {database}");
    }
    for password in [None, Some(""), Some("wrong")] {
        let error = Conn::new(options(server.cometql).pass(password))
            .await
            .expect_err("a wrong password");
        assert_eq!(code(&error), Some(16));
    }
}

/// Statements nobody should send; each has its code, and the session goes on.
#[tokio::test]
async fn absurd_statements() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    let nested = format!(
        "SELECT * FROM pipes WHERE {}name = 'abc'{}",
        "(".repeat(100_000),
        ")".repeat(100_000)
    );
    let nots = format!("SELECT * FROM pipes WHERE {}name = 'abc'", "NOT ".repeat(100_000));
    let joins = format!("SELECT * FROM pipes {}", "JOIN pipes ".repeat(50_000));
    let long = format!("SELECT * FROM pipes WHERE name = '{}'", "x".repeat(1 << 20));
    let values = format!("SELECT * FROM users_auth WHERE id IN ({}1)", "1,".repeat(4000));
    let terms = vec!["users = 1"; 2000].join(" AND ");
    for (statement, expected) in [
        (nested.as_str(), 3),
        (nots.as_str(), 3),
        (joins.as_str(), 3),
        (long.as_str(), 11),
        (values.as_str(), 19),
        (&format!("SELECT * FROM pipes WHERE {terms}"), 18),
        ("SELECT 1; DROP TABLE users", 3),
        ("SELECT * FROM users_auth WHERE id = 1\0", 3),
        ("INSERT INTO users_auth (id, hash) VALUES (-3, 'x')", 12),
        ("INSERT INTO users_auth (id, hash) VALUES (2147483648, 'x')", 12),
        (
            "INSERT INTO users_auth (id, hash) VALUES (99999999999999999999, 'x')",
            12,
        ),
        ("x", 17),
    ] {
        assert_eq!(
            refused(&mut sql, statement).await,
            expected,
            "{}",
            &statement[..statement.len().min(60)]
        );
    }
    assert_eq!(rows(&mut sql, "SELECT 1").await, [["1"]]);
}

/// Text that is not UTF-8: 12, and nothing of it is executed (Q10).
#[tokio::test]
async fn text_that_is_no_text() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    let bad = b"INSERT INTO users_data (id, data) VALUES (1, 'a\xff\xfe')".to_vec();
    let error = sql.query_drop(bad).await.expect_err("not UTF-8");
    assert_eq!(code(&error), Some(12));
    let parameter = mysql_async::Value::Bytes(vec![0xff, 0xfe]);
    let prepared = sql
        .exec_drop("INSERT INTO users_data (id, data) VALUES (1, ?)", (parameter,))
        .await;
    assert_eq!(code(&prepared.expect_err("not UTF-8")), Some(12));
    assert!(
        rows(&mut sql, "SELECT * FROM users_data WHERE id = 1")
            .await
            .is_empty()
    );
}

/// The largest body goes in and out; one byte more is 11; a packet over 16 MiB is 11, too, and not kept.
#[tokio::test]
async fn large_statements() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    let body = "x".repeat(262_144);
    run(
        &mut sql,
        &format!("INSERT INTO users_data (id, data) VALUES (1, '{body}')"),
    )
    .await;
    assert_eq!(
        rows(&mut sql, "SELECT data FROM users_data WHERE id = 1").await,
        [[body.as_str()]]
    );
    assert_eq!(
        refused(
            &mut sql,
            &format!("INSERT INTO users_data (id, data) VALUES (1, '{body}x')")
        )
        .await,
        11
    );
    let before = server.resident_bytes();
    assert_eq!(refused(&mut sql, &"x".repeat(0x00ff_ffff + 10)).await, 11);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 12 << 20, "nothing of it was kept: {grown} bytes more");
    assert_eq!(rows(&mut sql, "SELECT 1").await, [["1"]]);
}
