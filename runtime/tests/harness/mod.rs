//! A whole server inside the test, and clients that write exactly the bytes they are told to.
//!
//! Waiting is bounded by a generous time-out that only a hanging server reaches; nothing is asserted about time.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod browser;
pub(crate) mod mysql;
pub(crate) mod request;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use comet_server::cli::Cli;
use comet_server::config::{self, Env, Settings};
use comet_server::server::{self, Running};

/// Only a server that hangs is this slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const PASSWORD: &str = "secret";
/// Set: every server of these tests gives each I/O thread a descriptor table of its own. One process per test then
/// (`cargo nextest`), as a table also inherits what other tests have open.
const SHARD_DESCRIPTORS: &str = "COMET_TEST_SHARD_DESCRIPTORS";

/// A running server with a data directory of its own.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) settings: Settings,
    dir: tempfile::TempDir,
}

/// A server with default settings on ports of the system's choice.
pub(crate) fn server() -> Server {
    server_with(|_| {})
}

/// A server with other settings.
pub(crate) fn server_with(change: impl FnOnce(&mut Settings)) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let cli = Cli {
        ws_listen: Some("127.0.0.1:0".to_owned()),
        cometql_listen: Some("127.0.0.1:0".to_owned()),
        password: Some(PASSWORD.to_owned()),
        data_dir: Some(dir.path().join("data").display().to_string()),
        durability: Some("os".to_owned()),
        ..Cli::default()
    };
    let mut settings = config::load(&cli, &Env::new()).unwrap().settings;
    settings.pidfile = None;
    if std::env::var_os(SHARD_DESCRIPTORS).is_some() {
        settings.ws.shard_descriptors = true;
        settings.ws.shards = Some(3);
    }
    change(&mut settings);
    let running = server::start(settings.clone()).unwrap();
    Server {
        running,
        settings,
        dir,
    }
}

impl Server {
    pub(crate) fn ws(&self) -> SocketAddr {
        self.running.addresses().ws
    }

    pub(crate) fn cometql(&self) -> SocketAddr {
        self.running.addresses().cometql.unwrap()
    }

    /// Stops the server and starts another one on the same data.
    pub(crate) fn restart(self) -> Self {
        self.running.stop().unwrap();
        let running = server::start(self.settings.clone()).unwrap();
        Self { running, ..self }
    }
}

/// A TCP connection that waits patiently.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Everything until the end of the stream, however it ends.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("the server neither answers nor closes: {error}"),
        }
    }
}

/// Sends bytes and returns everything the server says until it closes.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    // The server may refuse before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    read_to_end(&mut stream)
}

/// As `exchange`, for texts.
pub(crate) fn http(address: SocketAddr, request: &str) -> String {
    String::from_utf8(exchange(address, request.as_bytes())).unwrap()
}
