//! CometQL sessions on real sockets (protocol.md 7.1, 7.2, 5.1; Q37, Q39, Q81, Q84).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::io::{Read, Write};
use std::net::Shutdown;

use comet_server::config::Durability;
use harness::browser::{Browser, PING, PONG, frame};
use harness::mysql::{
    COM_PING, COM_QUIT, COM_STATISTICS, COM_STMT_PREPARE, Client, error_code, packet, query_packet,
};
use harness::{connect, read_to_end, server, server_with};

fn insert(n: usize) -> String {
    format!("INSERT INTO pipes_messages (name, event, message) VALUES ('web_a', 'e', 'n{n}')")
}

#[test]
fn a_message_travels_from_sql_to_the_browser() {
    let server = server();
    let mut browser = Browser::open(server.ws());
    browser.subscribe("web_a");
    let mut client = Client::open(server.cometql());
    assert!(client.run(&insert(1)).contains("delivered=1 queued=0"));
    assert!(browser.next_text().unwrap().contains("\"data\":\"n1\""));
    assert_eq!(
        client.rows("SELECT name, users FROM pipes WHERE name = 'web_a'"),
        [["web_a", "1"]]
    );
}

/// Q39: many statements in one segment, each answered once, in order.
#[test]
fn pipelined_statements_are_answered_in_order() {
    let server = server();
    let mut browser = Browser::open(server.ws());
    browser.subscribe("web_a");
    let mut client = Client::open(server.cometql());
    let count = 5000;
    let reader = client.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let mut stream = reader;
        for n in 0..count {
            let statement = if n % 10 == 9 {
                query_packet("SELECT nonsense")
            } else {
                query_packet(&insert(n))
            };
            stream.write_all(&statement).unwrap();
        }
        stream.write_all(&packet(0, &[COM_PING])).unwrap();
        stream.write_all(&packet(0, &[COM_STATISTICS])).unwrap();
    });
    for n in 0..count {
        let answer = client.read();
        assert_eq!(answer[0], if n % 10 == 9 { 0xFF } else { 0 }, "{n}");
    }
    assert_eq!(client.read()[0], 0);
    assert!(client.read().starts_with(b"Uptime: "));
    writer.join().unwrap();
    for n in (0..count).filter(|n| n % 10 != 9) {
        assert!(
            browser
                .next_text()
                .unwrap()
                .contains(&format!("\"data\":\"n{n}\"")),
            "{n}"
        );
    }
}

/// A statement on its own may go past the queue in which a burst before it waits for the core.
#[test]
fn single_statements_and_bursts_of_one_session_stay_in_order() {
    let server = server();
    let mut client = Client::open(server.cometql());
    let mut other = Client::open(server.cometql());
    let mut sent = 0;
    for burst in [1, 400, 1, 1, 90, 3, 700, 1, 2, 300, 1].repeat(5) {
        let mut bytes = Vec::new();
        for _ in 0..burst {
            sent += 1;
            bytes.extend_from_slice(&query_packet(&format!(
                "INSERT INTO users_messages (id, event, message) VALUES (7, 'e', '{sent}')"
            )));
        }
        client.stream.write_all(&bytes).unwrap();
        // Somebody else has the core now and then.
        other.run(&insert(1));
    }
    for _ in 0..sent {
        assert_eq!(client.read()[0], 0);
    }
    let stored = client.rows("SELECT message FROM users_messages WHERE id = 7");
    let expected: Vec<[String; 1]> = (1..=sent).map(|n| [n.to_string()]).collect();
    assert_eq!(stored, expected);
}

/// How a client goes away.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Leaving {
    Quit,
    EndOfStream,
    /// Without reading its answers: the kernel resets the connection, and drops what the server's buffer had no room
    /// for. So it sends less than that.
    Reset,
}

/// Q81: a script that inserts and exits.
#[test]
fn what_was_sent_before_the_end_is_executed() {
    let server = server();
    let mut browser = Browser::open(server.ws());
    browser.subscribe("web_a");
    for (leaving, count) in [
        (Leaving::Quit, 3000),
        (Leaving::EndOfStream, 3000),
        (Leaving::Reset, 100),
        (Leaving::Reset, 300),
        (Leaving::Quit, 1),
        (Leaving::EndOfStream, 1),
        (Leaving::Reset, 1),
    ] {
        let mut client = Client::open(server.cometql());
        let mut all: Vec<u8> = (0..count).flat_map(|n| query_packet(&insert(n))).collect();
        if leaving == Leaving::Quit {
            all.extend(packet(0, &[COM_QUIT]));
        }
        client.write(&all);
        if leaving == Leaving::EndOfStream {
            client.stream.shutdown(Shutdown::Write).unwrap();
        }
        if leaving == Leaving::Reset {
            drop(client);
        } else {
            assert!(!read_to_end(&mut client.stream).is_empty());
        }
        for n in 0..count {
            let text = browser.next_text().unwrap();
            assert!(
                text.contains(&format!("\"data\":\"n{n}\"")),
                "{leaving:?} {n}: {text}"
            );
        }
    }
}

#[test]
fn too_long_a_query_is_an_error_and_the_session_lives() {
    let server = server_with(|settings| settings.core.query_bytes_max = 1000);
    let mut client = Client::open(server.cometql());
    assert_eq!(error_code(&client.query(&format!("SET {}", "x".repeat(997)))), 11);
    assert_eq!(error_code(&client.query(&"x".repeat(2_000_000))), 11);
    assert_eq!(error_code(&client.query("SET")), 17);
    assert_eq!(client.run(&format!("SET {}", "x".repeat(996))), "");
}

/// protocol.md 8.6: the first statement says why, then the session is closed, whatever else was sent with it.
#[test]
fn a_session_beyond_the_quota_is_told_so_and_closed() {
    let server = server_with(|settings| settings.core.rules.quota.sessions = 1);
    let _first = Client::open(server.cometql());
    for _ in 0..50 {
        let mut beyond = Client::open(server.cometql());
        beyond.write(&query_packet(&insert(1)).repeat(100));
        assert_eq!(error_code(&beyond.read()), 1203);
        read_to_end(&mut beyond.stream);
    }
}

/// Q37: the flag "in transaction" and nothing else changes.
#[test]
fn status_flags() {
    let server = server();
    let mut client = Client::open(server.cometql());
    let status = |answer: Vec<u8>| u16::from_le_bytes([answer[3], answer[4]]);
    assert_eq!(status(client.query("SET x y")), 2);
    assert_eq!(status(client.query("BEGIN")), 3);
    assert_eq!(status(client.query(&insert(1))), 3);
    assert_eq!(status(client.query("COMMIT")), 2);
}

/// protocol.md 7.1: who may not in is told, then the stream ends.
#[test]
fn refused_logins() {
    let server = server();
    for (user, password) in [
        ("root", "wrong"),
        ("nobody", harness::PASSWORD),
        ("100000", harness::PASSWORD),
    ] {
        let mut client = Client::greeted(server.cometql());
        let login = client.login(user, password);
        client.write(&login);
        assert_eq!(error_code(&client.read()), 16, "{user}");
        assert_eq!(read_to_end(&mut client.stream), b"");
    }
}

/// Q84: malformed logins and garbage are refused, and nobody else notices.
/// protocol.md 7.1: a health check needs no password, so it may only ping and quit, and not stay.
#[test]
fn a_health_check_holds_nothing() {
    let server = server_with(|settings| settings.cometql.as_mut().unwrap().handshake_timeout_ms = 1000);
    let mut client = Client::open_as(server.cometql(), "haproxy_check", "");
    let prepare = [&[COM_STMT_PREPARE], "SELECT 1".as_bytes()].concat();
    for command in [&prepare[..], &[COM_STATISTICS], b"\x03SELECT 1", b"\x02db"] {
        client.write(&packet(0, command));
        assert_eq!(error_code(&client.read()), 403);
    }
    client.write(&packet(0, &[COM_PING]));
    assert_eq!(client.read()[0], 0);
    // However busy it keeps the server.
    let mut answer = [0; 64];
    while client.stream.write_all(&packet(0, &[COM_PING])).is_ok() {
        if client.stream.read(&mut answer).unwrap_or(0) == 0 {
            break;
        }
    }
}

#[test]
fn garbage_is_hung_up_on() {
    let server = server_with(|settings| {
        if let Some(cometql) = &mut settings.cometql {
            cometql.handshake_timeout_ms = 300;
        }
    });
    for garbage in [
        &b""[..],
        b"\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        &packet(1, b"short"),
        &packet(9, &[0; 64]),
        &[0xFF; 4096],
    ] {
        let mut stream = connect(server.cometql());
        let _ = stream.write_all(garbage);
        let answer = read_to_end(&mut stream);
        assert_eq!(answer.get(4), Some(&10), "the greeting comes first");
    }
    let mut client = Client::open(server.cometql());
    client.run("SET x y");
}

/// protocol.md 5.1: a private message is owed until its Pong; the answer erases it.
#[test]
fn a_pong_pays_a_private_message() {
    let server = server();
    let mut client = Client::open(server.cometql());
    client.run("INSERT INTO users_auth (id, hash) VALUES (5, 'key')");
    assert!(
        client
            .run("INSERT INTO users_messages (id, event, message) VALUES (5, 'e', 'owed')")
            .contains("queued=1")
    );
    let mut browser = Browser::open_as(server.ws(), "sesion=key&myid=5&devid=0&v=4.08&uuid=u1&api=js");
    assert!(browser.next_text().unwrap().contains("\"data\":\"owed\""));
    let ping = browser.next().unwrap();
    assert_eq!((ping.first, ping.payload.len()), (PING, 16));
    assert_eq!(
        client.rows("SELECT message FROM users_messages WHERE id = 5"),
        [["owed"]]
    );
    browser.send_bytes(&frame(PONG, &ping.payload));
    browser.sync();
    assert!(
        client
            .rows("SELECT message FROM users_messages WHERE id = 5")
            .is_empty()
    );
}

/// What was acknowledged is there after a restart.
#[test]
fn a_restart_keeps_what_was_acknowledged() {
    let server = server();
    let mut client = Client::open(server.cometql());
    client.run("INSERT INTO users_data (id, data) VALUES (5, 'kept')");
    client.run("INSERT INTO users_messages (id, event, message) VALUES (6, 'e', 'owed')");
    let server = server.restart();
    let mut client = Client::open(server.cometql());
    assert_eq!(
        client.rows("SELECT data FROM users_data WHERE id = 5"),
        [["kept"]]
    );
    assert_eq!(
        client.rows("SELECT message FROM users_messages WHERE id = 6"),
        [["owed"]]
    );
}

/// 8.3: back ends that go on sending do not keep the server from ending, and what it acknowledged is there afterwards.
#[test]
fn an_orderly_end_does_not_wait_for_those_who_go_on() {
    let server = server_with(|settings| settings.durability = Durability::Fsync);
    let address = server.cometql();
    let back_ends: Vec<_> = (1..=4)
        .map(|user| std::thread::spawn(move || insert_until_the_end(Client::open(address), user)))
        .collect();
    let mut watcher = Client::open(server.cometql());
    while watcher
        .rows("SELECT data FROM users_data WHERE id IN (1, 2, 3, 4)")
        .len()
        < 4
    {}
    drop(watcher);
    let server = server.restart();
    let mut client = Client::open(server.cometql());
    for (user, back_end) in (1..).zip(back_ends) {
        let acknowledged = back_end.join().unwrap();
        let kept = client.rows(&format!("SELECT data FROM users_data WHERE id = {user}"));
        let kept: usize = kept[0][0].parse().unwrap();
        // What was not answered may have happened, too.
        assert!(
            kept >= acknowledged,
            "user {user}: {kept} is less than {acknowledged}"
        );
    }
}

/// Counts up in `users_data`, many statements ahead of the answers, until the server hangs up; returns the last number it
/// acknowledged.
fn insert_until_the_end(mut client: Client, user: usize) -> usize {
    let mut stream = client.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let insert = |n| format!("INSERT INTO users_data (id, data) VALUES ({user}, '{n}')");
        let mut numbers = 1..;
        while numbers
            .next()
            .is_some_and(|n| stream.write_all(&query_packet(&insert(n))).is_ok())
        {}
    });
    let mut acknowledged = 0;
    let mut head = [0; 4];
    while client.stream.read_exact(&mut head).is_ok() {
        let mut answer = vec![0; usize::from(head[0])];
        client.stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[0], 0, "{}", String::from_utf8_lossy(&answer));
        acknowledged += 1;
    }
    drop(client);
    writer.join().unwrap();
    acknowledged
}

/// A large result is streamed; another session does not wait for it to be read.
#[test]
fn a_large_result_that_nobody_reads_delays_nobody() {
    let server = server();
    let mut client = Client::open(server.cometql());
    let data = "x".repeat(200_000);
    for user in 1..=100 {
        client.run(&format!(
            "INSERT INTO users_data (id, data) VALUES ({user}, '{data}')"
        ));
    }
    let ids: Vec<String> = (1..=100).map(|id: u32| id.to_string()).collect();
    let select = format!("SELECT id, data FROM users_data WHERE id IN ({})", ids.join(","));
    let mut lazy = Client::open(server.cometql());
    lazy.write(&query_packet(&select).repeat(20));
    let mut other = Client::open(server.cometql());
    for n in 0..100 {
        other.run(&insert(n));
    }
    // The lazy one reads his first result in the end: columns, rows, EOF.
    let mut packets = 0;
    while packets < 1 + 2 + 1 + 100 + 1 {
        lazy.read();
        packets += 1;
    }
}

/// Nor can he make the server hold many of them: what follows is executed when a result is on its way.
#[test]
fn the_story_of_a_message_is_told_to_whoever_reads_it() {
    const REPEATED: usize = 2_000;
    let server = server();
    let mut page = Browser::open_as(server.ws(), "sesion=&myid=0&devid=0&v=5.0&uuid=u&api=js");
    page.sync();
    let mut uuid = String::new();
    for number in 1..=REPEATED {
        page.send(&format!("web_pipe2 {number}\nweb_a\ne\nthe-send-key\n1"));
        let report = page.next_text().unwrap();
        let (_, told) = report.split_once("\"uuid\":\"").unwrap();
        uuid = told[..36].to_owned();
    }
    let explain = format!("EXPLAIN DELIVERY FOR '{uuid}'");
    let mut other = Client::open(server.cometql());
    assert_eq!(other.rows(&explain).len(), REPEATED);
    let mut lazy = Client::open(server.cometql());
    // More than the buffers of a connection take.
    let mut burst = query_packet(&explain).repeat(100);
    burst.extend(query_packet(
        "INSERT INTO users_data (id, data) VALUES (7, 'late')",
    ));
    lazy.write(&burst);
    for n in 0..100 {
        other.run(&insert(n));
    }
    let late = "SELECT data FROM users_data WHERE id = 7";
    assert!(other.rows(late).is_empty(), "taken although nobody reads");
}
