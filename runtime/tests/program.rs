//! The program itself: what it prints, how it stops, its exit status (protocol.md 8.1, 8.3).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};

use harness::browser::{Browser, PING, PONG, frame};
use harness::request::Request;
use rustix::process::{Pid, Signal, kill_process};

struct Program {
    child: Child,
    stdin: ChildStdin,
    /// The lines it printed when it was ready.
    lines: Vec<String>,
    dir: tempfile::TempDir,
}

fn command(dir: &tempfile::TempDir, extra: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comet-server"));
    command
        .env_clear()
        .env("COMET_WS_LISTEN", "127.0.0.1:0")
        .env("COMET_COMETQL_LISTEN", "127.0.0.1:0")
        .args(["--durability", "os"])
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .args(extra)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn start(extra: &[&str]) -> Program {
    start_with(extra, &[])
}

fn start_with(extra: &[&str], env: &[(&str, &str)]) -> Program {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(&dir, extra).envs(env.iter().copied()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap())
        .lines()
        .map(Result::unwrap)
        .take(5)
        .collect();
    Program {
        child,
        stdin,
        lines,
        dir,
    }
}

impl Program {
    fn page(&self) -> &str {
        self.lines[4]
            .trim()
            .strip_prefix("http://")
            .unwrap()
            .strip_suffix("/demo")
            .unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn status(mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        let mut log = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        assert!(!log.contains("panicked"), "{log}");
        drop(self.dir);
        status.code()
    }
}

/// The two lines a newcomer needs.
#[test]
fn it_says_how_to_use_it_and_stops_on_sigterm() {
    let program = start(&[]);
    let mysql = program.lines[2].trim();
    assert!(mysql.starts_with("mysql -h 127.0.0.1 -P "), "{mysql}");
    let file = mysql
        .split("$(cat ")
        .nth(1)
        .and_then(|rest| rest.split(')').next())
        .unwrap();
    assert!(
        std::fs::read_to_string(file.trim_matches('\''))
            .unwrap()
            .trim()
            .len()
            >= 16
    );
    let mut stream = TcpStream::connect(program.page()).unwrap();
    stream
        .write_all(b"GET /demo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    program.signal(Signal::TERM);
    assert_eq!(program.status(), Some(0));
}

#[test]
fn a_given_password_is_not_shown() {
    let program = start(&["--password", "hunter2"]);
    assert!(program.lines[2].contains(" -p CometQL_v1"), "{:?}", program.lines);
    assert!(program.lines.iter().all(|line| !line.contains("hunter2")));
    program.signal(Signal::INT);
    assert_eq!(program.status(), Some(0));
}

#[test]
fn a_port_in_use_is_one_line_and_status_2() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--ws-listen", "--cometql-listen", "--metrics-listen"] {
        let dir = tempfile::tempdir().unwrap();
        let output = command(&dir, &[option, &address]).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let refusals: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("comet-server: "))
            .collect();
        assert_eq!(refusals.len(), 1, "{text}");
        assert!(
            refusals[0].contains(&address) && refusals[0].contains(option),
            "{text}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn console_words_stop_it() {
    for (words, status) in [
        (
            "version\nLogLevel 100\nTagLog 0 100\nuseQueryLoger 1\nnonsense\nexit\n",
            0,
        ),
        ("restart\n", 9),
    ] {
        let mut program = start(&["--cli"]);
        program.stdin.write_all(words.as_bytes()).unwrap();
        assert_eq!(program.status(), Some(status));
    }
}

#[test]
fn metrics_have_a_port_of_their_own() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    let program = start(&["--metrics-listen", &address]);
    for (path, part) in [
        ("/metrics", "comet_connections 0"),
        ("/ready", "ready\n"),
        ("/", "404 "),
    ] {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(part), "{path}: {answer}");
    }
    program.signal(Signal::TERM);
    assert_eq!(program.status(), Some(0));
}

/// Whoever read the first lines may be gone.
#[test]
fn a_closed_standard_output_stops_nothing() {
    let mut program = start(&["--cli"]);
    drop(program.child.stdout.take());
    program.stdin.write_all(b"version\nnonsense\nexit\n").unwrap();
    assert_eq!(program.status(), Some(0));
}

/// protocol.md 8.2, `statistics.to_log`.
#[test]
fn rates_go_to_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(&dir, &[])
        .env("COMET_STATISTICS_TO_LOG", "true")
        .env("COMET_WS_STATISTICS", "1")
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let mut lines = log.lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("statistics: ")).unwrap();
    for figure in ["connections", "sessions", "frames", "events", "records"] {
        assert!(line.contains(&format!(" {figure}=")), "{line}");
        assert!(line.contains(&format!(" {figure}_per_second=")), "{line}");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Whatever the level, neither what opens the console nor what is typed there reaches the log.
#[test]
fn the_log_knows_no_secret_of_the_console() {
    let extra = ["--log-level", "all", "--password", "sesame-open"];
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(&dir, &extra)
        .env("COMET_USEQUERYLOGER", "true")
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<String> = output.lines().map(Result::unwrap).take(5).collect();
    let page = lines[4]
        .trim()
        .trim_start_matches("http://")
        .trim_end_matches("/demo");
    let right = Request::console(&[
        "INSERT INTO users_auth (id, hash) VALUES (7, 'keyOfAnn')",
        "SELECT secretWord",
    ]);
    let wrong = right.clone().login("root", "guess-work");
    let address = page.parse().unwrap();
    assert_eq!(right.login("root", "sesame-open").send(address).status, 200);
    assert_eq!(wrong.send(address).status, 401);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("login to the console refused"), "{log}");
    assert!(log.contains("INSERT INTO users_auth"), "{log}");
    // `root:sesame-open` and `root:guess-work` in base64 begin alike.
    for secret in ["sesame", "guess-work", "keyOfAnn", "secretWord", "cm9vdD"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// However many browsers there are, the site's back end gets in.
#[test]
fn browsers_leave_descriptors_to_the_back_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = command(&dir, &[]);
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""])
        .arg(server.get_program())
        .args(server.get_args())
        .env_clear()
        .env("COMET_WS_LISTEN", "127.0.0.1:0")
        .env("COMET_COMETQL_LISTEN", "127.0.0.1:0")
        .env("COMET_WS_HANDSHAKE_TIMEOUT", "3600")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<String> = output.lines().map(Result::unwrap).take(5).collect();
    let mut words = lines[2].split(' ').skip_while(|word| *word != "-P");
    let cometql = format!("127.0.0.1:{}", words.nth(1).unwrap());
    let page = lines[4]
        .trim()
        .trim_start_matches("http://")
        .trim_end_matches("/demo");
    let _browsers: Vec<TcpStream> = (0..150).map(|_| TcpStream::connect(page).unwrap()).collect();
    let mut session = TcpStream::connect(cometql).unwrap();
    session
        .set_read_timeout(Some(std::time::Duration::from_secs(20)))
        .unwrap();
    session.read_exact(&mut [0; 4]).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Q12: only a browser's own silence counts. A machine that was paused for longer than 2.5 intervals drops nobody.
#[test]
fn a_server_that_stood_still_drops_nobody() {
    let program = start_with(&[], &[("COMET_WS_PING_INTERVAL", "1")]);
    let mut browser = Browser::open(program.page().parse().unwrap());
    let mut answer = || {
        let ping = browser.next().expect("the connection stands");
        assert_eq!(ping.first, PING);
        browser.send_bytes(&frame(PONG, &ping.payload));
    };
    answer();
    program.signal(Signal::STOP);
    std::thread::sleep(std::time::Duration::from_secs(4));
    program.signal(Signal::CONT);
    for _ in 0..3 {
        answer();
    }
    program.signal(Signal::TERM);
    assert_eq!(program.status(), Some(0));
}
