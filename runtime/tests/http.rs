//! The HTTP side of the browser port on real sockets (protocol.md 2.1; Q1 – Q4).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::io::Write;

use harness::{connect, exchange, http, read_to_end, server, server_with};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn info_tells_the_exact_node_name_under_every_spelling() {
    let server = server_with(|settings| settings.core.node_name = "a rather long node".into());
    for path in [
        "/info",
        "/info?x",
        "//info",
        "/comet-server/info",
        "//comet-server/info?y=1",
    ] {
        let answer = http(server.ws(), &get(path));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        assert!(
            answer.contains("\r\ncontent-type: application/json\r\n"),
            "{answer}"
        );
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(
            answer.ends_with("\r\n\r\n{\"status\":\"ok\",\"node\":\"a rather long node\"}"),
            "{answer}"
        );
    }
}

#[test]
fn pages_options_post_and_the_rest() {
    let server = server();
    for (request, status, part) in [
        ("GET / HTTP/1.1", "200", "cache-control: no-cache"),
        ("HEAD / HTTP/1.1", "200", "content-length: "),
        ("GET /demo HTTP/1.1", "404", "main.demo"),
        ("GET /console HTTP/1.1", "404", "main.console"),
        ("OPTIONS * HTTP/1.1", "200", "\r\n\r\n+OK"),
        (
            "OPTIONS /anything HTTP/1.1",
            "200",
            "access-control-allow-headers: origin, content-type, accept",
        ),
        ("POST /info HTTP/1.1", "404", "allow: POST, GET"),
        (
            "GET /favicon.ico HTTP/1.1",
            "404",
            "access-control-allow-origin: *",
        ),
        ("DELETE / HTTP/1.1", "404", "comet-server: comet-server"),
    ] {
        let answer = http(server.ws(), &format!("{request}\r\nHost: x\r\n\r\n"));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}: {answer}"
        );
        assert!(answer.contains(part), "{request}: {answer}");
    }
}

/// Q1: header rules of RFC 9112 that killed the original.
#[test]
fn odd_but_legal_requests_work() {
    let server = server();
    for request in [
        "GET /info HTTP/1.1\nHost: x\n\n",
        "GET /info HTTP/1.1\r\nHost: x\r\nUser-Agent:\r\nX-Empty: \r\n\r\n",
        "GET /info HTTP/1.1\r\nhOsT: x\r\n\r\n",
        "GET /info HTTP/1.0\r\n\r\n",
    ] {
        let answer = http(server.ws(), request);
        assert!(answer.contains("\"status\":\"ok\""), "{request:?}: {answer}");
    }
}

/// Q1: 16 KiB of headers in any number; more is 431.
#[test]
fn the_header_limit() {
    let server = server();
    let many = "a: b\r\n".repeat(2500);
    let answer = http(
        server.ws(),
        &format!("GET /info HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
    );
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for headers in ["a: b\r\n".repeat(4000), format!("a: {}\r\n", "b".repeat(20_000))] {
        let answer = http(
            server.ws(),
            &format!("GET /info HTTP/1.1\r\nHost: x\r\n{headers}\r\n"),
        );
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

/// Q1: half a request, or nothing at all, is hung up on, also if a byte comes now and then.
#[test]
fn slow_requests_are_hung_up_on() {
    let server = server_with(|settings| settings.ws.handshake_timeout_ms = 200);
    for start in ["", "GET /info HT", "GET /info HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = connect(server.ws());
        stream.write_all(start.as_bytes()).unwrap();
        assert_eq!(read_to_end(&mut stream), b"", "{start:?}");
    }
    let mut stream = connect(server.ws());
    stream.write_all(b"GET /info HTTP/1.1\r\nX: ").unwrap();
    // Writing fails once the server has hung up; the pause is the client's slowness.
    while stream.write_all(b"x").is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn garbage_is_hung_up_on_and_the_server_lives() {
    let server = server();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\n\n\n\n",
        b"\xff\xfe\n\n",
        b"hello\n\n",
    ] {
        let answer = exchange(server.ws(), garbage);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert!(http(server.ws(), &get("/info")).contains("\"ok\""));
}

#[test]
fn upgrade_requests_that_are_none() {
    let server = server();
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    for (headers, status) in [
        (upgrade.to_owned(), "400"),
        (
            format!("{upgrade}Sec-WebSocket-Key: {}\r\n", "k".repeat(51)),
            "400",
        ),
        ("Sec-WebSocket-Key: abc\r\n".to_owned(), "400"),
        (
            format!("{upgrade}Sec-WebSocket-Key: abc\r\nSec-WebSocket-Version: 8\r\n"),
            "426",
        ),
    ] {
        let answer = http(
            server.ws(),
            &format!("GET /ws/v=4 HTTP/1.1\r\nHost: x\r\n{headers}\r\n"),
        );
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{headers}: {answer}"
        );
        assert!(answer.contains("\r\nsec-websocket-version: 13\r\n"), "{answer}");
    }
}

/// Q3. What a path may contain is tested where paths are read; here: the whole way.
#[test]
fn files_of_the_base_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("CometServerApi.js"), "let x;").unwrap();
    std::fs::write(dir.path().join("secret.ini"), "password").unwrap();
    let server = server_with(|settings| {
        settings.base_dir = Some(dir.path().to_owned());
        settings
            .content_types
            .insert("js".to_owned(), "text/javascript".to_owned());
    });
    for path in [
        "/CometServerApi.js",
        "/comet-server/CometServerApi.js?v=4.08",
        "/Comet%53erverApi.js",
    ] {
        let answer = http(server.ws(), &get(path));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        assert!(
            answer.contains("content-type: text/javascript; charset=UTF-8\r\n"),
            "{answer}"
        );
        assert!(
            answer.contains("allow: GET\r\n") && answer.ends_with("let x;"),
            "{answer}"
        );
    }
    for path in [
        "/secret.ini",
        "/../CometServerApi.js",
        "/x/../CometServerApi.js",
        "/CometServerApi.js%00",
    ] {
        assert!(
            http(server.ws(), &get(path)).starts_with("HTTP/1.1 404 "),
            "{path}"
        );
    }
}
