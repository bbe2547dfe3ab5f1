//! Bad input on the browser port: at most the connection it came on ends, everybody else is served (protocol.md 2).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use comet_tests::DEADLINE;
use comet_tests::page::{Page, path_of};
use comet_tests::server::{Server, http};
use comet_tests::sql::{connect, run};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

fn is_well(server: &mut Server) {
    assert!(server.is_alive(), "the process lives");
    let answer = server.http("GET /info HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Writes what the server takes and reads until it hangs up; `None` if it never does.
fn exchange(server: &Server, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut socket = TcpStream::connect(server.ws).expect("the browser port accepts");
    socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    // The server may hang up before it has taken everything.
    let _ = socket.write_all(bytes);
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => Some(answer),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
        Err(_) => Some(answer),
    }
}

const QUICK: [(&str, &str); 1] = [("COMET_WS_HANDSHAKE_TIMEOUT", "1")];

#[test]
fn garbage_and_half_requests() {
    let mut server = Server::start_with(&QUICK);
    let pattern: Vec<u8> = (0..4096u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let inputs: [&[u8]; 10] = [
        b"",
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"GET",
        b"GET / HTTP/1.1\r\nHost",
        b"GET /ws/ HTTP/1.1\r\nUpgrade: websocket\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n",
        &pattern,
        &[b'A'; 100_000],
    ];
    for input in inputs {
        assert!(
            exchange(&server, input).is_some(),
            "the server hangs up on {} bytes",
            input.len()
        );
        is_well(&mut server);
    }
}

#[test]
fn a_flood_of_headers() {
    let mut server = Server::start();
    for (count, length) in [(1, 20_000), (2000, 20), (100_000, 2)] {
        let header = format!("X-{}: y\r\n", "a".repeat(length));
        let request = format!("GET /info HTTP/1.1\r\n{}\r\n", header.repeat(count));
        let answer = exchange(&server, request.as_bytes()).expect("an end");
        let status = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            status.is_empty() || status.starts_with("HTTP/1.1 431"),
            "{status}"
        );
        is_well(&mut server);
    }
    let fits = format!("GET /info HTTP/1.1\r\n{}\r\n", "X-a: y\r\n".repeat(1500));
    assert!(
        http(server.ws, fits.as_bytes())
            .expect("an answer")
            .starts_with("HTTP/1.1 200"),
        "under 16 KiB is fine"
    );
}

/// One byte now and then keeps a request alive, but not beyond the time a handshake may take.
#[test]
fn a_byte_at_a_time() {
    let mut server = Server::start_with(&QUICK);
    let mut socket = TcpStream::connect(server.ws).expect("the browser port accepts");
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .expect("a timeout");
    let mut given = 0;
    let hung_up = (0..600).any(|_| {
        given += 1;
        let wrote = socket.write_all(b"G").is_ok();
        let mut byte = [0];
        // The read waits: nothing comes until the server gives up.
        let ended = match socket.read(&mut byte) {
            Ok(count) => count == 0 || byte[0] == b'H',
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        !wrote || ended
    });
    assert!(hung_up, "the server gave up after {given} bytes");
    is_well(&mut server);
}

/// `COMET_MANY` unfinished handshakes (2,000, in a nightly run 10,000) hold nobody up and do not stay.
#[tokio::test(flavor = "multi_thread")]
async fn many_unfinished_handshakes() {
    let count = std::env::var("COMET_MANY")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(2000);
    let mut server = Server::start_with(&QUICK);
    let mut sql = connect(server.cometql).await;
    let mut page = Page::anonymous(server.ws).await;
    page.subscribe(&["news"]).await;
    let mut sockets = Vec::new();
    for number in 0..count {
        let Ok(mut socket) = TcpStream::connect(server.ws) else {
            continue;
        };
        let part = if number % 2 == 0 { &b"GET /ws/se"[..] } else { b"" };
        let _ = socket.write_all(part);
        sockets.push(socket);
    }
    run(
        &mut sql,
        "INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'e', 'still here')",
    )
    .await;
    assert_eq!(page.frame().await["data"], "still here");
    for mut socket in sockets {
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut rest = Vec::new();
        let ended = socket.read_to_end(&mut rest);
        let waiting = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!waiting, "every unfinished handshake is hung up on");
    }
    assert!(server.is_alive());
}

fn raw(opcode: OpCode, payload: Vec<u8>) -> Message {
    Message::Frame(Frame::message(payload, opcode, true))
}

#[tokio::test]
async fn frames_that_break_the_protocol() {
    let mut server = Server::start();
    let too_long = vec![b'x'; (1 << 20) + 1];
    let bad: [(&str, Message); 4] = [
        ("over max_message_size", raw(OpCode::Data(Data::Text), too_long)),
        (
            "text that is not UTF-8",
            raw(OpCode::Data(Data::Text), vec![b'a', 0xff, 0xfe]),
        ),
        (
            "a continuation of nothing",
            raw(OpCode::Data(Data::Continue), b"x".to_vec()),
        ),
        (
            "an unknown opcode",
            raw(OpCode::Data(Data::Reserved(3)), b"x".to_vec()),
        ),
    ];
    for (what, message) in bad {
        let mut page = Page::anonymous(server.ws).await;
        let _ = page.send_message(message).await;
        assert!(page.ends().await, "{what} ends the connection, without a Close");
        is_well(&mut server);
    }
}

/// Commands nobody would send, one connection: each is answered by F14 or ignored, and the last one still works.
#[tokio::test]
async fn absurd_commands() {
    let mut server = Server::start();
    let mut page = Page::anonymous(server.ws).await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = "x".repeat(300_000);
    let many: Vec<String> = (0..10_000).map(|n| format!("channel_{n}")).collect();
    let commands = [
        String::new(),
        "\n\n\n".to_owned(),
        "\0".to_owned(),
        format!("web_pipe2\nweb_deep\ne\n*\n{deep}"),
        format!("web_pipe2\nweb_long\ne\n*\n{long}"),
        format!("subscription\n{long}"),
        format!("subscription\n{}", many.join("\n")),
        format!("pipe_count\n{long}\nm"),
        format!("user_data\nm\n{}", "9".repeat(5000)),
        "user_status\n-1".to_owned(),
        "user_status\n2147483648".to_owned(),
    ];
    for command in commands {
        page.send(&command).await;
    }
    let answers = page.drain("alive").await;
    let refused = answers.iter().filter(|frame| frame["event"] == "error").count();
    assert!(
        refused >= 9,
        "what is wrong is told: {refused} of {}",
        answers.len()
    );
    page.send("pipe_count⏎web_x⏎m").await;
    assert_eq!(page.frame().await["marker"], "m");
    is_well(&mut server);
}

/// Ten thousand subscriptions of one page, where they are allowed, and messages into the last of them.
#[tokio::test]
async fn ten_thousand_subscriptions() {
    let server = Server::start_with(&[("COMET_WS_MAX_SUBSCRIPTIONS", "10000")]);
    let mut sql = connect(server.cometql).await;
    let mut page = Page::anonymous(server.ws).await;
    let names: Vec<String> = (0..10_000).map(|n| format!("channel_{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    page.subscribe(&names).await;
    run(
        &mut sql,
        "INSERT INTO pipes_messages (name, event, message) VALUES ('channel_9999', 'e', 'last')",
    )
    .await;
    assert_eq!(page.frame().await["data"], "last");
    let mut page = Page::anonymous(server.ws).await;
    page.send(&format!("subscription⏎{}⏎one_more", names.join("⏎")))
        .await;
    assert_eq!(
        page.frame().await["data"]["code"],
        "403",
        "and one more is refused"
    );
}

/// S4: the promised ids work, the others are nobody.
#[tokio::test]
async fn ids_at_and_beyond_their_bounds() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    run(
        &mut sql,
        "INSERT INTO users_auth (id, hash) VALUES (1, 'k'), (999999999, 'k'), (2147483647, 'k')",
    )
    .await;
    for (user, authorized) in [
        ("1", true),
        ("999999999", true),
        ("2147483647", true),
        ("0", false),
        ("-1", false),
        ("2147483648", false),
        ("4294967297", false),
        ("99999999999999999999999", false),
        ("1x", false),
        ("%00", false),
        ("%ff%fe", false),
    ] {
        let mut page = Page::open(server.ws, &path_of(0, user, "k", "4.08", "u")).await;
        assert_eq!(page.frame().await["authorized"], authorized, "user {user}");
    }
}
