//! `ws.shard_descriptors`: the limit of open files counts once for each I/O thread, and everything works as ever.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use harness::browser::{ANONYMOUS, Browser, request};
use harness::mysql::Client;
use harness::{PASSWORD, connect, exchange, http, read_to_end, server_with};
use rustix::process::{Pid, Signal, kill_process};

/// Half of it is left for everything else.
const LIMIT: usize = 200;
const SHARDS: usize = 3;
const PLACES: usize = LIMIT / 2 * SHARDS;

/// Descriptors are counted, so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Program {
    child: Child,
    ws: SocketAddr,
    cometql: SocketAddr,
    _dir: tempfile::TempDir,
}

/// The real program, which may not open more than `LIMIT` files.
fn program() -> Program {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.js"), "let a;").unwrap();
    let script = format!("ulimit -n {LIMIT}; exec \"$0\"");
    let mut child = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_comet-server")])
        .env_clear()
        .env("COMET_WS_LISTEN", "127.0.0.1:0")
        .env("COMET_COMETQL_LISTEN", "127.0.0.1:0")
        .env("COMET_PASSWORD", PASSWORD)
        .env("COMET_DATA_DIR", dir.path().join("data"))
        .env("COMET_BASE_DIR", dir.path())
        .env("COMET_DURABILITY", "os")
        .env("COMET_WS_PING_INTERVAL", "0")
        .env("COMET_WS_SHARDS", SHARDS.to_string())
        .env("COMET_WS_SHARD_DESCRIPTORS", "true")
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<String> = output.lines().map(Result::unwrap).take(5).collect();
    let port = lines[2]
        .split(' ')
        .skip_while(|word| *word != "-P")
        .nth(1)
        .unwrap();
    let page = lines[4].trim().trim_start_matches("http://");
    Program {
        child,
        ws: page.trim_end_matches("/demo").parse().unwrap(),
        cometql: ([127, 0, 0, 1], port.parse().unwrap()).into(),
        _dir: dir,
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Only a test that failed leaves it running.
        let _ = self.child.kill();
    }
}

/// `None`: it was hung up on.
fn browser(address: SocketAddr) -> Option<Browser> {
    let mut stream = connect(address);
    // Whoever is hung up on may notice it while writing.
    let _ = stream.write_all(request(ANONYMOUS).as_bytes());
    stream.peek(&mut [0]).ok().filter(|count| *count > 0)?;
    let mut browser = Browser::over(stream, b"");
    assert!(browser.next_text().unwrap().contains("serverInfo"));
    Some(browser)
}

#[test]
fn more_browsers_than_one_table_holds() {
    let _alone = ALONE.lock();
    let mut program = program();
    let file = http(program.ws, "GET /a.js HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(file.ends_with("\r\n\r\nlet a;"), "{file}");

    let mut browsers = Vec::new();
    // The file's place is free when the server has noticed that it arrived.
    while browsers.len() < PLACES {
        browsers.extend(browser(program.ws));
    }
    assert!(browser(program.ws).is_none(), "{PLACES} browsers have all places");
    for browser in &mut browsers {
        browser.subscribe("news");
    }

    // One session in each table; descriptors are left for them.
    let mut sessions: Vec<Client> = (0..SHARDS).map(|_| Client::open(program.cometql)).collect();
    for (number, session) in sessions.iter_mut().enumerate() {
        session.run(&format!(
            "INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'e', '{number}')"
        ));
    }
    for browser in &mut browsers {
        let mut numbers: Vec<String> = (0..SHARDS).map(|_| browser.next_text().unwrap()).collect();
        numbers.sort();
        assert!(numbers[SHARDS - 1].contains("\"data\":\"2\""), "{numbers:?}");
    }

    drop(browsers.pop());
    while browser(program.ws).is_none() {}

    kill_process(Pid::from_child(&program.child), Signal::TERM).unwrap();
    for browser in &mut browsers {
        assert_eq!(browser.rest(), []);
    }
    assert_eq!(program.child.wait().unwrap().code(), Some(0));
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// No table keeps what another one has closed: the port is free again, and nothing is left behind.
#[test]
fn nothing_outlives_the_server() {
    let _alone = ALONE.lock();
    let start = |own: bool| {
        server_with(|settings| {
            settings.ws.shard_descriptors = own;
            settings.ws.shards = Some(SHARDS);
        })
    };
    // What the process opens once and keeps.
    drop(start(false));
    let before = open_files();
    for own in [true, false, true] {
        let server = start(own);
        let (ws, cometql) = (server.ws(), server.cometql());
        let mut browser = Browser::open(ws);
        browser.sync();
        Client::open(cometql).run("INSERT INTO users_auth (id, hash) VALUES (1, 'key')");
        std::thread::scope(|scope| {
            scope.spawn(|| server.running.stop().unwrap());
            assert!(browser.rest().is_empty());
            drop(browser);
        });
        for address in [ws, cometql] {
            drop(TcpListener::bind(address).unwrap());
        }
        assert_eq!(open_files(), before, "own tables: {own}");
    }
}

/// Q1 in this mode, and the end of a connection: a socket is gone when its own table closes it.
#[test]
fn sockets_end_when_the_server_ends_them() {
    let _alone = ALONE.lock();
    let server = server_with(|settings| {
        settings.ws.shard_descriptors = true;
        settings.ws.shards = Some(SHARDS);
        settings.ws.handshake_timeout_ms = 100;
    });
    for _ in 0..2 * SHARDS {
        assert!(exchange(server.ws(), b"GET / HTTP/1.1\r\n\r\n").starts_with(b"HTTP/1.1 "));
        let mut silent: TcpStream = connect(server.ws());
        assert_eq!(read_to_end(&mut silent), b"");
    }
}
