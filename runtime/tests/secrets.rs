//! No secret reaches the log, the console's output or the metrics, whatever happens and however much is logged
//! (protocol.md 8.2). The real program at its most verbose, through right and wrong logins of every kind.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::PATIENCE;
use harness::browser::Browser;
use harness::http;
use harness::mysql::{Client, packet};
use harness::request::Request;
use rustix::process::{Pid, Signal, kill_process};

const PASSWORD: &str = "CometQLPassword";
const WRONG_PASSWORD: &str = "GuessedPassword77";
const USER_KEY: &str = "KeyOfUserSeven1234";
const WRONG_KEY: &str = "GuessedKey9876";
const DELETED_KEY: &str = "DeletedKey5555";
/// For user 5 of tenant 1 under the password above (protocol.md 4.2).
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjo1LCJleHAiOjk5ODMzMTEyMDB9.\
                     jXeCiNOA1eKLiLwcA2bkyaFZOhewvt81FCIfF278aO8";
const FORGED_TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjo2LCJleHAiOjF9.Zm9yZ2Vkc2lnbmF0dXJl";
const TLS_KEY: &str = "MIIEvSecretKeyMaterialThatIsNoKey";
const MESSAGE: &str = "WhatOneUserWritesToAnother";

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn spawn(dir: &Path, addresses: [SocketAddr; 3], format: &str, env: &[(&str, &str)]) -> Child {
    let output = |name: &str| Stdio::from(File::create(dir.join(name)).unwrap());
    let [ws, cometql, metrics] = addresses.map(|address| address.to_string());
    let program = Command::new(env!("CARGO_BIN_EXE_comet-server"))
        .env_clear()
        .env("COMET_PASSWORD", PASSWORD)
        .env("COMET_CONSOLE", "on")
        .env("COMET_USEQUERYLOGER", "true")
        .env("COMET_STATISTICS_TO_LOG", "true")
        .env("COMET_WS_STATISTICS", "1")
        .envs(env.iter().copied())
        .args([
            "--ws-listen",
            &ws,
            "--cometql-listen",
            &cometql,
            "--metrics-listen",
            &metrics,
        ])
        .args([
            "--log-level",
            "all",
            "--log-format",
            format,
            "--durability",
            "os",
            "--data-dir",
        ])
        .arg(dir.join("data"))
        .stdin(Stdio::null())
        .stdout(output("stdout"))
        .stderr(output("stderr"))
        .spawn();
    program.unwrap()
}

/// Waits until the program serves.
fn wait_for(address: SocketAddr) {
    let began = std::time::Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < PATIENCE, "it starts");
        std::thread::yield_now();
    }
}

fn page(ws: SocketAddr, dev: u32, user: u32, key: &str) {
    let mut browser = Browser::open_as(
        ws,
        &format!("sesion={key}&myid={user}&devid={dev}&v=5.0&uuid=u&api=js"),
    );
    browser.send(&format!("web_pipe2 1\nweb_a\ne\n*\n{MESSAGE}"));
    browser.send(&format!("nonsense {MESSAGE}"));
    browser.sync();
}

fn sessions(cometql: SocketAddr) {
    for (user, password) in [
        ("root", WRONG_PASSWORD),
        (WRONG_PASSWORD, WRONG_PASSWORD),
        ("1", ""),
    ] {
        let mut client = Client::greeted(cometql);
        let login = client.login(user, password);
        client.write(&login);
        assert_eq!(client.read()[0], 0xFF);
    }
    let mut client = Client::open_as(cometql, "1", PASSWORD);
    for statement in [
        format!("INSERT INTO users_auth (id, hash) VALUES (7, '{USER_KEY}'), (8, '{DELETED_KEY}')"),
        format!("INSERT INTO users_auth (id, hash) VALUES (7, {USER_KEY}"),
        format!("SELECT id FROM users_auth WHERE id = 7 AND hash = \"{USER_KEY}\""),
        format!("SELECT {USER_KEY}"),
        format!("{PASSWORD} {TOKEN}"),
        format!("INSERT INTO users_messages (id, event, message) VALUES (7, 'e', '{MESSAGE}')"),
        "DELETE FROM users_auth WHERE id = 8".to_owned(),
        format!("SET @key = '{USER_KEY}'"),
    ] {
        let _ = client.query(&statement);
        client = Client::open_as(cometql, "1", PASSWORD);
    }
    let change = [
        &[0x11][..],
        b"root\0\x14",
        &[7; 20],
        b"\0\x2d\0mysql_native_password\0",
    ]
    .concat();
    client.write(&packet(0, &change));
    assert_eq!(client.read()[0], 0xFF);
    // Half a login, and bytes that are none.
    Client::greeted(cometql).write(&packet(1, WRONG_PASSWORD.as_bytes()));
}

/// What is written anywhere. `redact`: of the recording.
fn log_everything(format: &str, redact: bool) -> Vec<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let recording = dir.path().join("recording");
    let addresses = [free_address(), free_address(), free_address()];
    let [ws, cometql, metrics] = addresses;
    let env = [
        ("COMET_RECORD_DIR", recording.to_str().unwrap()),
        ("COMET_RECORD_REDACT", if redact { "true" } else { "false" }),
    ];
    let mut program = spawn(dir.path(), addresses, format, &env);
    wait_for(cometql);
    sessions(cometql);
    for (dev, user, key) in [
        (1, 7, USER_KEY),
        (1, 7, WRONG_KEY),
        (1, 8, DELETED_KEY),
        (1, 5, TOKEN),
        (0, 5, TOKEN),
        (1, 6, FORGED_TOKEN),
    ] {
        page(ws, dev, user, key);
    }
    let mut client = Client::open_as(cometql, "1", PASSWORD);
    let revoke = format!("INSERT INTO revoked_tokens (token) VALUES ('{TOKEN}')");
    assert_eq!(client.query(&revoke)[0], 0);
    page(ws, 1, 5, TOKEN);
    let console = Request::console(&[
        &format!("SELECT hash FROM users_auth WHERE hash = '{USER_KEY}'"),
        "SHOW x",
    ]);
    for password in [PASSWORD, WRONG_PASSWORD] {
        let answer = console.clone().login("root", password).send(ws);
        assert!([200, 401].contains(&answer.status), "{}", answer.status);
    }
    let _ = http(
        ws,
        &format!(
            "GET /{USER_KEY}?token={TOKEN} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        ),
    );
    let figures = http(metrics, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    kill_process(Pid::from_child(&program), Signal::TERM).unwrap();
    assert!(program.wait().unwrap().success());
    let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    vec![
        ("metrics".to_owned(), figures),
        ("stdout".to_owned(), text("stdout")),
        ("stderr".to_owned(), text("stderr")),
        ("recording".to_owned(), content(&recording)),
    ]
}

/// All files of a directory.
fn content(dir: &Path) -> String {
    let files = fs::read_dir(dir).unwrap();
    let bytes = files.flat_map(|file| fs::read(file.unwrap().path()).unwrap());
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}

fn assert_clean(outputs: &[(String, String)]) {
    let encoded = ["root:CometQLPassword", "root:GuessedPassword77"].map(|login| {
        use base64::Engine as _;
        base64::prelude::BASE64_STANDARD.encode(login)
    });
    let signature = TOKEN.rsplit_once('.').unwrap().1;
    let secrets = [
        PASSWORD,
        WRONG_PASSWORD,
        USER_KEY,
        WRONG_KEY,
        DELETED_KEY,
        TOKEN,
        FORGED_TOKEN,
        signature,
        TLS_KEY,
        MESSAGE,
        &encoded[0],
        &encoded[1],
    ];
    for (name, text) in outputs {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {name}:\n{text}");
        }
    }
}

#[test]
fn logs_and_figures_hold_no_secret() {
    for format in ["text", "json"] {
        let outputs = log_everything(format, true);
        let log = &outputs[2].1;
        assert!(log.contains("login refused"), "something was logged: {log}");
        assert!(log.contains("users_auth"), "statements are logged: {log}");
        assert_clean(&outputs);
    }
}

/// That this search finds what is there: without redaction a recording holds keys and messages as they are.
#[test]
fn a_recording_without_redaction_is_secret_itself() {
    let outputs = log_everything("text", false);
    let (logs, recording) = outputs.split_at(3);
    assert_clean(logs);
    for secret in [PASSWORD, USER_KEY, TOKEN, WRONG_KEY, MESSAGE] {
        assert!(recording[0].1.contains(secret), "{secret}");
    }
}

/// A key that cannot be used is named by its file, and not shown.
#[test]
fn a_damaged_tls_key_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem");
    fs::write(
        &key,
        format!("-----BEGIN PRIVATE KEY-----\n{TLS_KEY}\n-----END PRIVATE KEY-----\n"),
    )
    .unwrap();
    let key = key.display().to_string();
    let addresses = [free_address(), free_address(), free_address()];
    let env = [
        ("COMET_WS_TLS_CERT", key.as_str()),
        ("COMET_WS_TLS_KEY", key.as_str()),
    ];
    let mut program = spawn(dir.path(), addresses, "text", &env);
    assert_eq!(program.wait().unwrap().code(), Some(2));
    let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert!(text("stderr").contains("key.pem"));
    assert_clean(&[
        ("stdout".to_owned(), text("stdout")),
        ("stderr".to_owned(), text("stderr")),
    ]);
}
