//! The memory limit on the real program (protocol.md 8.7): it is filled through every way in, and never dies, never
//! takes much more than it was given, goes on answering, and loses nothing that it accepted.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::browser::{Browser, TEXT, frame, request};
use harness::mysql::{COM_STMT_PREPARE, Client, error_code, packet, query_packet};

/// What the program is given.
const LIMIT: u64 = 64 << 20;
/// What it may take of the system in all: what it takes empty, …
const EMPTY: u64 = 48 << 20;
/// … and so many times the limit (docs/operations.md).
const FACTOR: u64 = 2;
const FULL: u16 = 1114;

struct Program {
    child: Child,
    ws: SocketAddr,
    cometql: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Program {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ports: Vec<SocketAddr> = (0..2).map(|_| free_port()).collect();
        let mut child = Command::new(env!("CARGO_BIN_EXE_comet-server"))
            .env_clear()
            .args([
                "--durability",
                "os",
                "--memory-limit",
                "64M",
                "--password",
                harness::PASSWORD,
            ])
            .args([
                "--ws-listen",
                &ports[0].to_string(),
                "--cometql-listen",
                &ports[1].to_string(),
            ])
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .env("COMET_WS_SEND_BUFFER", "4194304")
            .env("COMET_WS_MAX_MESSAGE_SIZE", "4194304")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Its last line is printed when it is ready.
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().take(5);
        assert_eq!(lines.map(Result::unwrap).count(), 5);
        Self {
            child,
            ws: ports[0],
            cometql: ports[1],
            _dir: dir,
        }
    }

    /// Bytes of real memory.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim()
            .strip_suffix(" kB")
            .unwrap()
            .trim()
            .parse::<u64>()
            .unwrap()
            * 1024
    }

    fn check(&mut self, what: &str) {
        assert!(self.child.try_wait().unwrap().is_none(), "{what}: it died");
        let resident = self.resident();
        println!("{:4} MiB at most after {what}", resident >> 20);
        assert!(resident <= EMPTY + FACTOR * LIMIT, "{what}: {resident} bytes");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A row of SHOW GLOBAL MEMORY.
fn fact(session: &mut Client, name: &str) -> String {
    let rows = session.rows("SHOW GLOBAL MEMORY");
    rows.into_iter()
        .find(|row| row[0] == name)
        .unwrap()
        .pop()
        .unwrap()
}

fn wait_for(session: &mut Client, what: &str, state: fn(&str) -> bool) {
    let end = Instant::now() + harness::PATIENCE;
    while !state(&fact(session, "state")) {
        assert!(
            Instant::now() < end,
            "{what}: {:?}",
            session.rows("SHOW GLOBAL MEMORY")
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Repeats a statement until it is refused; how often it was not.
fn fill(session: &mut Client, mut statement: impl FnMut(u32) -> String) -> u32 {
    for n in 1..100_000 {
        let answer = session.query(&statement(n));
        if answer[0] == 0xFF {
            assert_eq!(error_code(&answer), FULL);
            return n - 1;
        }
    }
    panic!("it never becomes full")
}

fn page(program: &Program, user: u32) -> Browser {
    let parameters = format!("sesion=key&myid={user}&devid=0&v=4.08&uuid=u{user}&api=js");
    Browser::open_as(program.ws, &parameters)
}

#[test]
fn it_is_filled_through_every_way_in() {
    let mut program = Program::start();
    program.check("the start");
    let mut session = Client::open(program.cometql);
    session.run("INSERT INTO users_auth (id, hash) VALUES (1, 'key'), (2, 'key')");
    let mut witness = page(&program, 1);
    witness.subscribe("web_x");

    stored(&mut program, &mut session);
    partial_messages(&mut program, &mut session);
    slow_readers(&mut program, &mut session);
    statements(&mut program, &mut session);
    subscriptions(&mut program, &mut session);

    // Whoever was there all the time still gets what is sent, and there is room again.
    wait_for(&mut session, "the end", |state| state == "normal");
    session.run("INSERT INTO users_messages (id, event, message) VALUES (1, 'e', 'the end')");
    let text = std::iter::from_fn(|| witness.next_text()).find(|text| text.contains("the end"));
    assert!(text.is_some());
    drop(page(&program, 2));
}

/// Users, queues, histories, tokens: refused at last, and what was accepted is delivered.
fn stored(program: &mut Program, session: &mut Client) {
    let body = "x".repeat(100_000);
    let queued = fill(session, |n| {
        format!("INSERT INTO users_messages (id, event, message) VALUES (2, 'e', 'number {n} {body}')")
    });
    program.check("queues");
    let mut refused = |sql: String| assert_eq!(error_code(&session.query(&sql)), FULL);
    refused(format!("INSERT INTO users_data (id, data) VALUES (7, '{body}')"));
    refused("INSERT INTO users_auth (id, hash) VALUES (7, 'key')".to_owned());
    refused("INSERT INTO pipes_settings (name, length) VALUES ('web_h', 9)".to_owned());
    // What somebody stored with a stolen token does not keep it.
    let revoked = session.query("INSERT INTO revoked_tokens (token) VALUES ('token')");
    assert_eq!(revoked[0], 0);
    assert_eq!(fact(session, "state"), "nothing_is_stored");
    // He who is owed all of it may come, and gets it, in order.
    let mut reader = page(program, 2);
    let mut got = 0;
    while got < queued {
        let received = reader.next().unwrap();
        if received.first != TEXT {
            reader.send_bytes(&frame(harness::browser::PONG, &received.payload));
        } else if received.text().contains("\"msg\"") {
            got += 1;
            assert!(
                received.text().contains(&format!("number {got} ")),
                "in order, nothing lost"
            );
        }
    }
    wait_for(session, "queues", |state| state == "normal");
    let names = fill(session, |n| {
        format!("INSERT INTO users_data (id, data) VALUES ({n}, '{body}')")
    });
    program.check("users");
    let ids: Vec<String> = (1..=names).map(|n| n.to_string()).collect();
    for ids in ids.chunks(100) {
        session.run(&format!("DELETE FROM users_data WHERE id IN ({})", ids.join(",")));
    }
    wait_for(session, "users", |state| state == "normal");
    let kept = fill(session, |n| {
        if n == 1 {
            "INSERT INTO pipes_settings (name, length) VALUES ('web_0', 99)".to_owned()
        } else if n % 99 == 0 {
            format!(
                "INSERT INTO pipes_settings (name, length) VALUES ('web_{}', 99)",
                n / 99
            )
        } else {
            let channel = n / 99;
            format!(
                "INSERT INTO pipes_messages (name, event, message) VALUES ('web_{channel}', 'e', '{body}')"
            )
        }
    });
    program.check("histories");
    for n in 0..=kept / 99 {
        session.run(&format!("DELETE FROM pipes_settings WHERE name = 'web_{n}'"));
    }
    wait_for(session, "histories", |state| state == "normal");
}

/// Pages that send most of a message and then nothing.
fn partial_messages(program: &mut Program, session: &mut Client) {
    let long = frame(TEXT, &vec![b'x'; 4_000_000]);
    let mut pages = Vec::new();
    for _ in 0..40 {
        let mut stream = harness::connect(program.ws);
        // Later ones are answered 503, or cut in the middle.
        let _ = stream.write_all(request(harness::browser::ANONYMOUS).as_bytes());
        let _ = stream.write_all(&long[..3_900_000]);
        pages.push(stream);
    }
    program.check("incomplete messages");
    drop(pages);
    wait_for(session, "incomplete messages", |state| state == "normal");
}

/// Pages that do not read what they get.
fn slow_readers(program: &mut Program, session: &mut Client) {
    let mut pages: Vec<Browser> = (0..60).map(|_| Browser::open(program.ws)).collect();
    for (n, page) in pages.iter_mut().enumerate() {
        page.subscribe(&format!("web_slow{n}"));
    }
    let body = "x".repeat(200_000);
    for turn in 0..20 {
        for n in 0..pages.len() {
            let answer = session.query(&format!(
                "INSERT INTO pipes_messages (name, event, message) VALUES ('web_slow{n}', 'e', '{body}')"
            ));
            assert!(answer[0] == 0 || error_code(&answer) == FULL, "turn {turn}");
        }
    }
    program.check("slow readers");
    drop(pages);
    wait_for(session, "slow readers", |state| state == "normal");
}

/// Sessions that prepare, and that begin statements and do not end them; and more sessions than have a place.
fn statements(program: &mut Program, session: &mut Client) {
    let long = "x".repeat(1_000_000);
    let half = query_packet(&format!("INSERT INTO users_data (id, data) VALUES (1, '{long}')"));
    let mut sessions = Vec::new();
    let mut turned_away = 0;
    for _ in 0..80 {
        let mut other = Client::greeted(program.cometql);
        let login = other.login("root", harness::PASSWORD);
        other.write(&login);
        if other.read()[0] != 0 {
            turned_away += 1;
            continue;
        }
        for _ in 0..20 {
            let text = format!(
                "SELECT * FROM users_auth WHERE id = ? /* {} */",
                "x".repeat(4_000)
            );
            other.write(&packet(0, &[&[COM_STMT_PREPARE], text.as_bytes()].concat()));
        }
        let _ = other.stream.write_all(&half[..half.len() - 10]);
        sessions.push(other);
    }
    println!("{turned_away} sessions were turned away");
    wait_for(session, "statements", |state| state == "full");
    let prepare = |session: &mut Client, text: &str| {
        session.write(&packet(0, &[&[COM_STMT_PREPARE], text.as_bytes()].concat()));
        session.read()
    };
    let revocation = "INSERT INTO revoked_tokens (token) VALUES (?)";
    // No rows, one parameter: its definition, and the end of the definitions.
    assert_eq!(prepare(session, revocation)[0], 0, "back ends still revoke");
    let definitions = [session.read(), session.read()];
    assert_eq!(definitions[1][0], 0xFE);
    let long = format!("{revocation} /* {} */", "x".repeat(1_000));
    assert_eq!(error_code(&prepare(session, &long)), FULL);
    program.check("statements");
    drop(sessions);
    wait_for(session, "statements", |state| state == "normal");
}

/// Connections with as many channels of their own as they may have.
fn subscriptions(program: &mut Program, session: &mut Client) {
    let mut pages = Vec::new();
    for n in 0..2_000 {
        let mut stream = TcpStream::connect(program.ws).unwrap();
        stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
        stream
            .write_all(request(harness::browser::ANONYMOUS).as_bytes())
            .unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        if &head[9..12] == b"503" {
            break;
        }
        let names: Vec<String> = (0..256)
            .map(|k| format!("web_{n}_{k}_{}", "x".repeat(50)))
            .collect();
        stream
            .write_all(&frame(
                TEXT,
                format!("subscription\n{}", names.join("\n")).as_bytes(),
            ))
            .unwrap();
        pages.push(stream);
        if n % 20 == 0 {
            // An answer means that the server has come so far.
            fact(session, "state");
        }
    }
    assert!(pages.len() < 2_000, "it never becomes full");
    println!("{} pages with 256 channels each", pages.len());
    program.check("subscriptions");
    // Reading and deleting work at any time, and so does logging in to do so.
    Client::open(program.cometql).run("DELETE FROM users_messages WHERE id = 1");
    drop(pages);
    wait_for(session, "subscriptions", |state| state == "normal");
}
