//! Guessing passwords on the CometQL port is slow, and whoever knows the password is not kept out by it (protocol.md 7.1).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use harness::mysql::{Client, error_code};
use harness::{PASSWORD, http, server, server_with};
use socket2::{Domain, Protocol, Socket, Type};

const WRONG: u16 = 16;
const THROTTLED: u16 = 1129;

/// A connection from another address of this machine.
fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 9, last)), 0);
    socket.bind(&from.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// 0 = let in, else the error code.
fn log_in(from: u8, to: SocketAddr, user: &str, password: &str) -> u16 {
    let mut client = Client::greeted_over(connect_from(from, to));
    let login = client.login(user, password);
    client.write(&login);
    match client.read() {
        ok if ok[0] == 0 => 0,
        refused => error_code(&refused),
    }
}

#[test]
fn five_wrong_passwords_of_an_address_and_then_not_even_the_right_one() {
    let server = server_with(|settings| settings.metrics_listen = Some("127.0.0.1:0".parse().unwrap()));
    let to = server.cometql();
    for _ in 0..5 {
        assert_eq!(log_in(1, to, "root", "wrong"), WRONG);
    }
    assert_eq!(log_in(1, to, "root", PASSWORD), THROTTLED);
    assert_eq!(
        log_in(1, to, "7", PASSWORD),
        0,
        "another tenant of the same machine"
    );
    assert_eq!(log_in(2, to, "root", PASSWORD), 0, "another machine");
    for _ in 0..5 {
        assert_eq!(log_in(3, to, "nobody", "wrong"), WRONG);
    }
    assert_eq!(
        log_in(3, to, "somebody", "wrong"),
        THROTTLED,
        "unknown names are one account"
    );
    let page = http(
        server.running.addresses().metrics.unwrap(),
        "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    assert!(page.contains("comet_logins_refused_total 12"), "{page}");
    assert!(page.contains("comet_logins_throttled_total 2"), "{page}");
}

/// An old script on the machine of the back end, and the whole world besides, do not keep the back end out.
#[test]
fn who_was_right_lately_stays_in() {
    let server = server();
    let to = server.cometql();
    assert_eq!(log_in(1, to, "root", PASSWORD), 0);
    for _ in 0..20 {
        assert_eq!(log_in(1, to, "root", "old"), WRONG);
    }
    for from in 2..40 {
        for _ in 0..6 {
            assert_ne!(log_in(from, to, "root", "guess"), 0);
        }
    }
    assert_eq!(log_in(1, to, "root", PASSWORD), 0);
    assert_eq!(
        log_in(99, to, "root", PASSWORD),
        0,
        "a stranger with the password"
    );
}

/// COM_CHANGE_USER is a login like any other.
#[test]
fn a_change_of_user_counts_as_well() {
    let server = server();
    let to = server.cometql();
    for attempt in 0..6 {
        let mut client = Client::greeted_over(connect_from(1, to));
        let login = client.login("7", PASSWORD);
        client.write(&login);
        assert_eq!(client.read()[0], 0);
        let payload = [
            &[0x11][..],
            b"root\0\x14",
            &[7; 20],
            b"\0\x2d\0mysql_native_password\0",
        ]
        .concat();
        client.write(&harness::mysql::packet(0, &payload));
        let expected = if attempt < 5 { WRONG } else { THROTTLED };
        assert_eq!(error_code(&client.read()), expected, "{attempt}");
    }
}
