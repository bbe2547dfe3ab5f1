//! Browsers on real sockets (protocol.md 2.3 – 2.5; Q9 – Q13, Q81).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::net::Shutdown;

use harness::browser::{ANONYMOUS, BINARY, Browser, CLOSE, PING, PONG, TEXT, frame, masked, request};
use harness::mysql::Client;
use harness::{server, server_with};

const COUNT: &str = "pipe_count\nweb_a\nm1";

fn is_count(text: &str) -> bool {
    text.contains("_answer_pipe_count") && text.contains("m1")
}

/// Q1, Q81: a frame in the same segment as the request.
#[test]
fn a_frame_right_behind_the_request_is_executed() {
    let server = server();
    let bytes = [request(ANONYMOUS).into_bytes(), frame(TEXT, COUNT.as_bytes())].concat();
    let mut browser = Browser::open_with(server.ws(), &bytes);
    assert!(browser.next_text().unwrap().contains("serverInfo"));
    assert!(is_count(&browser.next_text().unwrap()));
}

/// Q10: frames cut anywhere, and several in one segment.
#[test]
fn frames_cut_anywhere() {
    let server = server();
    let mut browser = Browser::open(server.ws());
    for byte in frame(TEXT, COUNT.as_bytes()) {
        browser.send_bytes(&[byte]);
    }
    assert!(is_count(&browser.next_text().unwrap()));
    browser.send_bytes(&frame(TEXT, COUNT.as_bytes()).repeat(5));
    for _ in 0..5 {
        assert!(is_count(&browser.next_text().unwrap()));
    }
}

/// Q81: more than one turn of the connection takes, and then the end of the stream.
#[test]
fn many_messages_in_one_segment_are_all_executed() {
    const MESSAGES: usize = 500;
    let server = server();
    let mut browser = Browser::open(server.ws());
    browser.send_bytes(&frame(TEXT, COUNT.as_bytes()).repeat(MESSAGES));
    for _ in 0..MESSAGES {
        assert!(is_count(&browser.next_text().unwrap()));
    }
}

/// Q10: fragments with a Ping between them, every length form, binary frames.
#[test]
fn every_legal_form_of_a_message() {
    let server = server();
    let mut browser = Browser::open(server.ws());
    let (head, tail) = COUNT.split_at(5);
    browser.send_bytes(&frame(0x01, head.as_bytes()));
    browser.send_bytes(&frame(PING, b"between"));
    browser.send_bytes(&frame(0x00, b""));
    browser.send_bytes(&frame(0x80, tail.as_bytes()));
    let pong = browser.next().unwrap();
    assert_eq!((pong.first, &pong.payload[..]), (PONG, &b"between"[..]));
    assert!(is_count(&browser.next_text().unwrap()));

    browser.send_bytes(&frame(BINARY, COUNT.as_bytes()));
    assert!(is_count(&browser.next_text().unwrap()));

    let length = u8::try_from(COUNT.len()).unwrap();
    let medium = vec![TEXT, 0x80 | 126, 0, length];
    let long = vec![TEXT, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, length];
    for header in [medium, long] {
        browser.send_bytes(&masked(header, COUNT.as_bytes()));
        assert!(is_count(&browser.next_text().unwrap()));
    }
    browser.send_bytes(&frame(TEXT, b""));
    assert!(browser.next_text().unwrap().contains("error"));
    browser.sync();
}

/// Q10: large messages both ways.
#[test]
fn a_message_of_many_segments() {
    let server = server();
    let (mut sender, mut receiver) = (Browser::open(server.ws()), Browser::open(server.ws()));
    receiver.subscribe("web_a");
    let body = "x".repeat(200_000);
    sender.send(&format!("web_pipe2\nweb_a\ne\n*\n{body}"));
    assert!(receiver.next_text().unwrap().contains(&body));
    assert!(sender.next_text().unwrap().contains("\"number_messages\":1"));
}

/// Pongs nobody asked for are life signs, no more.
#[test]
fn pongs_are_ignored() {
    let server = server();
    let mut browser = Browser::open(server.ws());
    for payload in [&b""[..], b"x", &[7; 16], &[7; 125]] {
        browser.send_bytes(&frame(PONG, payload));
    }
    browser.sync();
}

/// Q9, Q10: whatever breaks the protocol closes TCP, and no Close frame is sent.
#[test]
fn protocol_errors_close_without_a_close_frame() {
    let server = server_with(|settings| settings.ws.message_bytes_max = 1000);
    let fragments = [frame(0x01, &[b'x'; 600]), frame(0x80, &[b'x'; 600])].concat();
    let cases: [(&str, Vec<u8>); 12] = [
        ("unmasked", vec![TEXT, 2, b'h', b'i']),
        ("reserved bit", frame(TEXT | 0x40, b"x")),
        ("unknown data opcode", frame(0x83, b"x")),
        ("unknown control opcode", frame(0x8B, b"x")),
        ("fragmented ping", frame(PING & 0x7F, b"x")),
        ("long ping", frame(PING, &[b'x'; 126])),
        ("continuation of nothing", frame(0x80, b"x")),
        (
            "a message within a message",
            [frame(0x01, b"x"), frame(TEXT, b"x")].concat(),
        ),
        ("too long", frame(TEXT, &[b'x'; 1001])),
        ("too long in fragments", fragments),
        ("invalid UTF-8", frame(TEXT, b"\xff\xfe")),
        ("binary that is no UTF-8", frame(BINARY, b"\xff")),
    ];
    for (what, bytes) in cases {
        let mut browser = Browser::open(server.ws());
        browser.send_bytes(&bytes);
        assert_eq!(browser.rest(), [], "{what}");
    }
    let mut browser = Browser::open(server.ws());
    browser.send_bytes(&frame(TEXT, &[b'x'; 1000]));
    browser.sync();
}

/// Q9: the client's Close is answered by the end of the stream; what came before it is executed.
#[test]
fn a_close_is_not_answered_with_a_close() {
    let server = server();
    let mut browser = Browser::open(server.ws());
    browser.send_bytes(&[frame(TEXT, COUNT.as_bytes()), frame(CLOSE, b"\x03\xe8bye")].concat());
    // The answer may or may not be on its way before the end.
    assert!(browser.rest().iter().all(|frame| is_count(frame.text())));
}

/// Q9: neither is there one when the server stops.
#[test]
fn stopping_sends_no_close() {
    let server = server();
    let mut browsers: Vec<Browser> = (0..20).map(|_| Browser::open(server.ws())).collect();
    server.running.stop().unwrap();
    for browser in &mut browsers {
        assert_eq!(browser.rest(), []);
    }
}

/// protocol.md 2.3, Q16: fatal refusals are told over the WebSocket, then TCP ends.
#[test]
fn fatal_refusals_are_told() {
    let server = server();
    for (parameters, code) in [
        ("devid=0&v=4.08&api=js", 401),
        ("sesion=&myid=&v=4.08&api=js", 406),
        ("sesion=&myid=&devid=0&api=js", 418),
        ("sesion=&myid=&devid=0&v=x&api=js", 418),
    ] {
        let mut browser = Browser::open_with(server.ws(), request(parameters).as_bytes());
        // Bytes the server has not read when it closes must not cost the browser the reason.
        browser.send("subscription\nweb_a");
        let frames = browser.rest();
        assert_eq!(frames.len(), 1, "{parameters}");
        assert!(
            frames[0].text().contains(&format!("\"error\":{code}")),
            "{frames:?}"
        );
    }
}

/// Q13: who does not read is cut; nobody else waits for him.
#[test]
fn a_slow_consumer_is_cut_alone() {
    let server = server_with(|settings| settings.ws.send_buffer_bytes = 300_000);
    let mut slow = Browser::open(server.ws());
    let mut quick = Browser::open(server.ws());
    let mut sender = Browser::open(server.ws());
    slow.subscribe("web_a");
    quick.subscribe("web_a");
    let body = "x".repeat(100_000);
    let mut sent = 0;
    loop {
        sender.send(&format!("web_pipe2\nweb_a\ne\n*\n{sent} {body}"));
        sent += 1;
        let received = quick.next_text().unwrap();
        assert!(
            received.contains(&format!("\"data\":\"{} x", sent - 1)),
            "in order"
        );
        let report = sender.next_text().unwrap();
        if report.contains("\"number_messages\":1") {
            break;
        }
        assert!(sent < 1000, "100 MB wait for one connection");
    }
    let mut received = 0;
    while slow.next().is_some() {
        received += 1;
    }
    assert!(received < sent);
    quick.sync();
}

/// Q81: a page that sends and goes away at once.
#[test]
fn what_was_sent_before_the_end_is_executed() {
    let server = server();
    let mut receiver = Browser::open(server.ws());
    receiver.subscribe("web_a");
    let messages = 50;
    for round in 0..30 {
        let mut sender = Browser::open(server.ws());
        let all: Vec<u8> = (0..messages)
            .flat_map(|n| frame(TEXT, format!("web_pipe2\nweb_a\ne\n*\n{round}.{n}").as_bytes()))
            .collect();
        sender.send_bytes(&all);
        match round % 3 {
            0 => sender.stream.shutdown(Shutdown::Write).unwrap(),
            1 => sender.send_bytes(&frame(CLOSE, b"\x03\xe9")),
            // Without reading the reports: the kernel resets the connection.
            _ => {}
        }
        drop(sender);
        for n in 0..messages {
            let text = receiver.next_text().unwrap();
            assert!(
                text.contains(&format!("\"data\":\"{round}.{n}\"")),
                "{round}.{n}: {text}"
            );
        }
    }
}

/// Q12: a browser that answers stays, one that does not is dropped. The interval is longer than a busy machine may keep
/// this test waiting.
#[test]
fn the_silent_are_dropped() {
    let server = server_with(|settings| settings.ws.ping_interval_ms = 700);
    let mut silent = Browser::open(server.ws());
    let mut alive = Browser::open(server.ws());
    for _ in 0..4 {
        let ping = alive.next().unwrap();
        assert_eq!((ping.first, ping.payload.len()), (PING, 0));
        alive.send_bytes(&frame(PONG, b""));
    }
    let pings = silent.rest();
    assert!(pings.iter().all(|frame| frame.first == PING), "{pings:?}");
    alive.sync();
}

/// A browser that neither reads nor writes any more costs a stopping server no time to speak of.
#[test]
fn many_connections_that_never_finish_do_not_disturb() {
    let server = server();
    let idle: Vec<_> = (0..500).map(|_| harness::connect(server.ws())).collect();
    let mut browser = Browser::open(server.ws());
    browser.sync();
    drop(idle);
    browser.sync();
}

/// protocol.md 2.4: what was sent to a browser before the stop still arrives.
#[test]
fn the_stop_waits_for_last_bytes() {
    const MESSAGES: usize = 100;
    let server = server_with(|settings| settings.ws.send_buffer_bytes = 64 << 20);
    let mut browser = Browser::open(server.ws());
    browser.subscribe("room");
    let mut client = Client::open(server.cometql());
    let body = "y".repeat(200_000);
    let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES ('room', 'e', '{body}')");
    for _ in 0..MESSAGES {
        assert!(client.run(&insert).contains("delivered=1"));
    }
    drop(client);
    let running = server.running;
    let stopping = std::thread::spawn(move || running.stop());
    let received = browser.rest();
    let messages = received.iter().filter(|frame| frame.payload.len() > body.len());
    assert_eq!(messages.count(), MESSAGES);
    drop(browser);
    stopping.join().unwrap().unwrap();
}
