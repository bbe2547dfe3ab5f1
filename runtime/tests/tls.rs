//! TLS on both ports, with certificates that change while the server runs (protocol.md 7.1; Q35).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use comet_server::config::{Settings, TlsFiles};
use harness::browser::{ANONYMOUS, Browser, request};
use harness::mysql::{Client, packet, query_packet};
use harness::{Server, connect, server_with};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Writes a fresh certificate and returns it.
fn certificate(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

fn tls_server(dir: &Path) -> Server {
    tls_server_with(dir, 10_000_000)
}

fn tls_server_with(dir: &Path, send_buffer_bytes: usize) -> Server {
    tls_server_and(dir, |settings| settings.ws.send_buffer_bytes = send_buffer_bytes)
}

fn tls_server_and(dir: &Path, change: impl FnOnce(&mut Settings)) -> Server {
    let files = TlsFiles {
        cert: dir.join("cert.pem"),
        key: dir.join("key.pem"),
    };
    server_with(|settings| {
        settings.ws.tls = Some(files.clone());
        change(settings);
        if let Some(cometql) = &mut settings.cometql {
            cometql.tls = Some(files);
        }
    })
}

fn secure(tcp: TcpStream, trusted: &CertificateDer<'static>) -> Stream {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, tcp)
}

fn browser(address: SocketAddr, trusted: &CertificateDer<'static>) -> Browser<Stream> {
    let stream = secure(connect(address), trusted);
    let mut browser = Browser::over(stream, request(ANONYMOUS).as_bytes());
    assert!(browser.next_text().unwrap().contains("serverInfo"));
    browser
}

#[test]
fn browsers_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = certificate(dir.path());
    let server = tls_server(dir.path());
    let mut receiver = browser(server.ws(), &trusted);
    let mut sender = browser(server.ws(), &trusted);
    receiver.subscribe("web_a");
    // More than the kernel takes at once, so that writing has to be continued.
    let body = "x".repeat(250_000);
    for n in 0..30 {
        sender.send(&format!("web_pipe2\nweb_a\ne\n*\n{n} {body}"));
        assert!(sender.next_text().unwrap().contains("\"number_messages\":1"));
    }
    for n in 0..30 {
        let text = receiver.next_text().unwrap();
        assert!(text.contains(&format!("\"data\":\"{n} {body}")), "{n}");
    }
    server.running.stop().unwrap();
    assert_eq!(receiver.rest(), []);
}

/// Q13: messages larger than the limit, one right behind the other, do not make a reading page a slow one.
#[test]
fn large_messages_in_a_row_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = certificate(dir.path());
    let server = tls_server_with(dir.path(), 1024);
    let mut receiver = browser(server.ws(), &trusted);
    receiver.subscribe("large");
    let body = "x".repeat(5000);
    let statements: Vec<u8> = (0..8)
        .flat_map(|n| {
            let values = format!("('large', 'e', '{n} {body}')");
            query_packet(&format!(
                "INSERT INTO pipes_messages (name, event, message) VALUES {values}"
            ))
        })
        .collect();
    let mut session = Client::open(server.cometql());
    session.stream.write_all(&statements).unwrap();
    for n in 0..8 {
        let text = receiver.next_text().unwrap();
        assert!(text.contains(&format!("\"data\":\"{n} {body}")), "{n}");
    }
}

#[test]
fn plain_text_on_a_tls_port_is_hung_up_on() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let server = tls_server(dir.path());
    let answer = harness::exchange(server.ws(), b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(!answer.starts_with(b"HTTP"));
}

/// Q35: with a certificate, sessions may be encrypted, and bytes right behind the request for it belong to TLS.
#[test]
fn sessions_over_tls_and_without() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = certificate(dir.path());
    let server = tls_server(dir.path());
    Client::open(server.cometql()).run("SET x y");

    let client = Client::greeted(server.cometql());
    let login = client.login("root", harness::PASSWORD);
    let mut head = login[4..36].to_vec();
    head[1] |= 0x08;
    let mut tcp = client.stream.try_clone().unwrap();
    tcp.write_all(&packet(1, &head)).unwrap();
    let mut tls = secure(tcp, &trusted);
    let mut login = login[4..].to_vec();
    login[1] |= 0x08;
    tls.write_all(&packet(2, &login)).unwrap();
    tls.write_all(&query_packet("SET x y").repeat(3)).unwrap();
    for sequence in [3, 1, 1, 1] {
        let mut head = [0; 5];
        tls.read_exact(&mut head).unwrap();
        assert_eq!((head[3], head[4]), (sequence, 0), "{head:?}");
        tls.read_exact(&mut vec![0; usize::from(head[0]) - 1]).unwrap();
    }
}

#[test]
fn certificates_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let old = certificate(dir.path());
    let server = tls_server(dir.path());
    let mut early = browser(server.ws(), &old);

    std::fs::write(dir.path().join("cert.pem"), "nonsense").unwrap();
    assert!(server.running.reload_tls().is_err());
    browser(server.ws(), &old);

    let new = certificate(dir.path());
    assert_eq!(server.running.reload_tls().unwrap(), 2);
    browser(server.ws(), &new);
    early.sync();
}

/// Half a greeting of TLS, and half a request within it: a byte now and then does not keep a connection that never says what it
/// wants (docs/security.md, "Floods").
#[test]
fn dribbling_over_tls_has_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = certificate(dir.path());
    let server = tls_server_and(dir.path(), |settings| settings.ws.handshake_timeout_ms = 400);
    let mut greeting = connect(server.ws());
    // The beginning of a handshake record of 512 bytes.
    greeting.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
    let mut request = secure(connect(server.ws()), &trusted);
    request
        .write_all(b"GET /ws/sesion=&myid=0 HTTP/1.1\r\nX-Slow: ")
        .unwrap();
    // So few that no record and no line becomes whole, nor too long: only time can end it.
    let ends = |stream: &mut dyn Write| {
        (0..400).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            stream.write_all(&[0x20]).and_then(|()| stream.flush()).is_err()
        })
    };
    assert!(ends(&mut greeting), "half a greeting is kept");
    assert!(ends(&mut request), "half a request is kept");
    browser(server.ws(), &trusted).subscribe("web_a");
}

/// A bound of eight, and forty that do not finish their greeting.
#[test]
fn whoever_does_not_finish_his_greeting_keeps_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let trusted = certificate(dir.path());
    let server = tls_server_and(dir.path(), |settings| {
        settings.ws.handshakes_max = 8;
        settings.ws.handshake_timeout_ms = 3_600_000;
        settings.ws.shards = Some(1);
    });
    let mut flood: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = connect(server.ws());
            stream.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
            stream
        })
        .collect();
    browser(server.ws(), &trusted).subscribe("web_a");
    for stream in flood.iter_mut().take(30) {
        let ended = match stream.read(&mut [0; 1]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(ended, "the oldest are gone");
    }
}
