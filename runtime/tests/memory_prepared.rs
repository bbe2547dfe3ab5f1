//! What is prepared while the memory is full (protocol.md 8.7): up to 1024 bytes, in sessions that prepared no more than
//! 64 KiB since then; with these the back end makes room and revokes.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::time::Instant;

use comet_core::Config;
use comet_core::cometql::{self, Limits};
use harness::mysql::{COM_STMT_PREPARE, Client, error_code, packet};
use harness::{PATIENCE, Server, http, server_with};

const FULL: u16 = 1114;
/// The bounds of protocol.md 8.7, bytes.
const SHORT: usize = 1024;
const KEPT: usize = 64 * 1024;
/// A statement without a parameter or a result set: its preparation is answered by one packet.
const BEGIN: &str = "BEGIN";

/// A server whose memory is full, because of the session that comes with it.
fn full() -> (Server, Client) {
    let server = server_with(|settings| {
        settings.core.memory_limit_bytes = 8 << 20;
        settings.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
    });
    let mut session = Client::open(server.cometql());
    session.run("INSERT INTO users_data (id, data) VALUES (7, 'd')");
    let greedy = fill(&server);
    assert_eq!(state(&mut session), "full");
    (server, greedy)
}

fn fill(server: &Server) -> Client {
    let mut greedy = Client::open(server.cometql());
    let refused = (0..250).find_map(|_| prepare(&mut greedy, &of_length(BEGIN, 4_000)).err());
    assert_eq!(refused, Some(FULL), "it never becomes full");
    greedy
}

fn wait_for_room(session: &mut Client) {
    let end = Instant::now() + PATIENCE;
    while state(session) != "normal" {
        assert!(Instant::now() < end, "there is room again");
    }
}

/// The same statement with blanks behind it.
fn of_length(sql: &str, bytes: usize) -> String {
    format!("{sql:bytes$}")
}

/// What it takes, prepared.
fn memory(text: &str) -> usize {
    let limits = Limits::of(&Config::default());
    cometql::prepare(text.as_bytes(), &limits).unwrap().memory()
}

fn ask(text: &str) -> Vec<u8> {
    packet(0, &[&[COM_STMT_PREPARE], text.as_bytes()].concat())
}

/// Reads the answer to a preparation: the number of the statement, or the error.
fn prepared(client: &mut Client) -> Result<u32, u16> {
    let answer = client.read();
    if answer[0] != 0 {
        return Err(error_code(&answer));
    }
    let params = u16::from_le_bytes([answer[7], answer[8]]);
    if params > 0 {
        // Their definitions, and the end of these.
        (0..=params).for_each(|_| drop(client.read()));
    }
    Ok(u32::from_le_bytes(answer[1..5].try_into().unwrap()))
}

fn prepare(client: &mut Client, text: &str) -> Result<u32, u16> {
    client.write(&ask(text));
    prepared(client)
}

fn close(client: &mut Client, statement: u32) {
    client.write(&packet(0, &[&[0x19], &statement.to_le_bytes()[..]].concat()));
}

/// Runs a statement with one short text as its only parameter; how many rows it changed.
fn execute(client: &mut Client, statement: u32, value: &str) -> u8 {
    let mut payload = vec![0x17];
    payload.extend(statement.to_le_bytes());
    // No cursor, once, no NULL, types follow: a text of this length.
    payload.extend([0, 1, 0, 0, 0, 0, 1, 0xFD, 0, u8::try_from(value.len()).unwrap()]);
    payload.extend(value.as_bytes());
    client.write(&packet(0, &payload));
    let answer = client.read();
    assert_eq!(answer[0], 0, "{}", String::from_utf8_lossy(&answer));
    answer[1]
}

fn state(client: &mut Client) -> String {
    let mut rows = client.rows("SHOW GLOBAL MEMORY");
    let at = rows.iter().position(|row| row[0] == "state").unwrap();
    rows.swap_remove(at).pop().unwrap()
}

fn metric(server: &Server, name: &str) -> u32 {
    let address = server.running.addresses().metrics.unwrap();
    let page = http(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or("0");
    value.trim().parse().unwrap()
}

/// Also told in the metrics: by code, and as refused for want of memory.
#[test]
fn a_statement_of_1024_bytes_is_prepared_and_no_longer_one() {
    let (server, greedy) = full();
    let mut session = Client::open(server.cometql());
    assert!(prepare(&mut session, &of_length(BEGIN, SHORT)).is_ok());
    assert_eq!(prepare(&mut session, &of_length(BEGIN, SHORT + 1)), Err(FULL));
    assert!(prepare(&mut session, &of_length(BEGIN, SHORT)).is_ok());
    // This one and that of the greedy session.
    for refused in [
        "comet_memory_turned_away_total{who=\"preparation\"}",
        "comet_query_errors_total{code=\"1114\"}",
    ] {
        assert_eq!(metric(&server, refused), 2, "{refused}");
    }
    assert_eq!(prepare(&mut session, "nonsense"), Err(3), "a mistake stays one");
    assert_eq!(metric(&server, "comet_query_errors_total{code=\"3\"}"), 1);
    drop(greedy);
    wait_for_room(&mut session);
    assert!(prepare(&mut session, &of_length(BEGIN, SHORT + 1)).is_ok());
}

/// Texts that take exactly the bound together, prepared.
fn texts_of_the_bound() -> Vec<String> {
    let least = memory(BEGIN);
    let each = memory(&of_length(BEGIN, BEGIN.len() + 1)) - least;
    let widest = SHORT - BEGIN.len();
    for count in 1..=60 {
        let Some(rest) = KEPT.checked_sub(count * least) else {
            break;
        };
        let blanks = rest / each;
        if rest % each == 0 && blanks <= count * widest {
            let of = |n: usize| blanks / count + usize::from(n < blanks % count);
            return (0..count)
                .map(|n| of_length(BEGIN, BEGIN.len() + of(n)))
                .collect();
        }
    }
    panic!("no short statements take {KEPT} bytes together")
}

#[test]
fn a_session_prepares_until_its_statements_take_more_than_64_kib() {
    let (server, _greedy) = full();
    let mut session = Client::open(server.cometql());
    let texts = texts_of_the_bound();
    assert_eq!(texts.iter().map(|text| memory(text)).sum::<usize>(), KEPT);
    for text in texts {
        assert!(prepare(&mut session, &text).is_ok());
    }
    let last = prepare(&mut session, BEGIN).unwrap();
    assert_eq!(prepare(&mut session, BEGIN), Err(FULL), "above the bound");
    let mut other = Client::open(server.cometql());
    assert!(prepare(&mut other, BEGIN).is_ok(), "it is the session's own");
    close(&mut session, last);
    assert!(
        prepare(&mut session, BEGIN).is_ok(),
        "it may have another instead"
    );
}

/// Drivers keep many statements from better times.
#[test]
fn what_was_prepared_before_does_not_count() {
    let (_server, mut greedy) = full();
    let delete = prepare(&mut greedy, "DELETE FROM users_data WHERE id = ?").unwrap();
    assert_eq!(execute(&mut greedy, delete, "7"), 1);
}

/// Nor does what was prepared while it was full the last time.
#[test]
fn every_time_it_is_full_it_counts_anew() {
    let (server, greedy) = full();
    let (mut session, mut other) = (Client::open(server.cometql()), Client::open(server.cometql()));
    while prepare(&mut session, &of_length(BEGIN, SHORT)).is_ok() {}
    drop(greedy);
    wait_for_room(&mut other);
    let _greedy = fill(&server);
    assert_eq!(state(&mut other), "full");
    assert!(prepare(&mut session, BEGIN).is_ok());
}

/// The bound holds as well for who does not wait for the answers.
#[test]
fn what_is_being_prepared_counts() {
    let (server, _greedy) = full();
    let mut session = Client::open(server.cometql());
    let text = of_length(BEGIN, SHORT);
    let many = 200;
    session.write(&ask(&text).repeat(many));
    let accepted = (0..many).filter(|_| prepared(&mut session).is_ok()).count();
    assert_eq!(accepted, KEPT / memory(&text) + 1);
}

/// With them the back end makes room, and ends what a thief does.
#[test]
fn prepared_statements_delete_and_revoke_while_there_is_no_room() {
    let (server, _greedy) = full();
    let mut session = Client::open(server.cometql());
    let delete = prepare(&mut session, "DELETE FROM users_data WHERE id = ?").unwrap();
    let revoke = prepare(&mut session, "INSERT INTO revoked_tokens (token) VALUES (?)").unwrap();
    assert_eq!(execute(&mut session, delete, "7"), 1);
    assert_eq!(execute(&mut session, delete, "7"), 0);
    assert_eq!(execute(&mut session, revoke, "stolen"), 1);
    let tokens = "SELECT token FROM revoked_tokens WHERE token = 'stolen'";
    assert_eq!(session.rows(tokens), [["stolen"]]);
    assert_eq!(state(&mut session), "full");
}
