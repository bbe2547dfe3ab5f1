//! The console's endpoint through a running server (protocol.md 2.1, cometql.md).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use comet_server::config::{Switch, TrustedProxies};
use harness::browser::Browser;
use harness::mysql::Client;
use harness::request::{Answer, Request};
use harness::{connect, read_to_end, server, server_with};
use serde_json::{Value, json};

fn results(address: SocketAddr, statements: &[&str]) -> Vec<Value> {
    let answer = Request::console(statements).send(address).json();
    assert!(answer["elapsed_us"].is_u64(), "{answer}");
    answer["results"].as_array().unwrap().clone()
}

#[test]
fn statements_run_in_order_in_one_session() {
    let server = server();
    let found = results(
        server.ws(),
        &[
            "BEGIN",
            "INSERT INTO users_data (id, data) VALUES (7, 'it''s \"7\" \\\\ 😀'), (70000, 'b')",
            "COMMIT;",
            "SELECT data, id FROM users_data WHERE id IN (7, 70000)",
            "SELECT * FROM users_data WHERE id = 8",
            "INSERT INTO users_messages (id, event, message) VALUES (7, 'e', 'm')",
            "DELETE FROM users_data WHERE id = 7",
            "SET names utf8",
        ],
    );
    let done = |affected: u64, insert_id: u64, info: &str| json!({"affected": affected, "insert_id": insert_id, "info": info});
    let expected = [
        done(0, 0, ""),
        done(2, 70000, ""),
        done(0, 0, ""),
        json!({"columns": ["data", "id"], "rows": [["it's \"7\" \\ 😀", 7], ["b", 70000]]}),
        json!({"columns": ["id", "data"], "rows": []}),
        done(1, 7, "delivered=0 queued=1"),
        done(1, 0, ""),
        done(0, 0, ""),
    ];
    assert_eq!(found, expected);
    let ids = results(server.ws(), &["SELECT CONNECTION_ID()", "SELECT CONNECTION_ID()"]);
    assert_eq!(ids[0], ids[1], "one session");
    assert_ne!(
        ids,
        results(server.ws(), &["SELECT CONNECTION_ID()"]),
        "for one request"
    );
}

/// A statement reaches pages as if it came from a back end.
#[test]
fn messages_arrive() {
    let server = server();
    let mut browser = Browser::open(server.ws());
    browser.subscribe("web_room");
    let found = results(
        server.ws(),
        &["INSERT INTO pipes_messages (name, event, message) VALUES ('web_room', 'e', 'hi')"],
    );
    assert_eq!(found[0]["info"], "delivered=1 queued=0");
    assert!(browser.next().unwrap().text().contains("\"hi\""));
}

#[test]
fn the_first_error_is_the_last_result() {
    let server = server();
    let found = results(
        server.ws(),
        &[
            "SELECT 1",
            "SELEC 1",
            "INSERT INTO users_data (id, data) VALUES (1, 'x')",
        ],
    );
    assert_eq!(found.len(), 2);
    assert_eq!(found[1]["error"]["code"], 3);
    assert_eq!(found[1]["error"]["sqlstate"], "HY000");
    assert!(found[1]["error"]["message"].is_string());
    let found = results(server.ws(), &["SELECT * FROM users_data WHERE id = 1"]);
    assert_eq!(
        found[0]["rows"],
        json!([]),
        "nothing after the error was executed"
    );
    assert_eq!(results(server.ws(), &["", "SELECT 1"])[0]["error"]["code"], 17);
    assert_eq!(results(server.ws(), &["SELECT\0 1"])[0]["error"]["code"], 3);
    assert_eq!(results(server.ws(), &[]), Vec::<Value>::new());
}

/// protocol.md 7.1: the user name carries the tenant; the request may choose another one.
#[test]
fn tenants() {
    let server = server();
    let insert = "INSERT INTO users_data (id, data) VALUES (1, 'of four')";
    let select = "SELECT data FROM users_data WHERE id = 1";
    let count = |request: &Request| {
        let answer = request.send(server.ws()).json();
        answer["results"][0]["rows"].as_array().unwrap().len()
    };
    Request::console(&[insert])
        .login("4", harness::PASSWORD)
        .send(server.ws())
        .json();
    assert_eq!(count(&Request::console(&[select])), 0);
    assert_eq!(
        count(&Request::console(&[select]).login("0", harness::PASSWORD)),
        0
    );
    assert_eq!(
        count(&Request::console(&[select]).login("4", harness::PASSWORD)),
        1
    );
    let body = json!({"statements": [select], "dev_id": 4}).to_string();
    assert_eq!(count(&Request::console(&[]).body(body.as_bytes())), 1);
    let used = Request::console(&["USE db_4", select]).send(server.ws()).json();
    assert_eq!(used["results"][1]["rows"], json!([["of four"]]));
    for dev in [json!(100_000), json!(u32::MAX), json!(-1), json!("4"), json!(1.5)] {
        let body = json!({"statements": [select], "dev_id": dev}).to_string();
        assert_eq!(
            Request::console(&[])
                .body(body.as_bytes())
                .send(server.ws())
                .status,
            400,
            "{dev}"
        );
    }
}

#[test]
fn wrong_logins() {
    let server = server_with(|settings| settings.metrics_listen = Some(([127, 0, 0, 1], 0).into()));
    let right = Request::console(&["SELECT 1"]);
    for wrong in [
        right.clone().login("root", "wrong"),
        right.clone().login("root", ""),
        right.clone().login("haproxy_check", ""),
        right.clone().login("admin", harness::PASSWORD),
    ] {
        let answer = wrong.send(server.ws());
        assert_eq!(answer.status, 401, "{answer:?}");
        let scheme = answer.header("www-authenticate").unwrap();
        assert!(
            !scheme.contains("Basic"),
            "a browser would ask for the password itself: {scheme}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert!(!answer.refusal().is_empty());
    }
    assert_eq!(right.send(server.ws()).status, 200);
    let mut metrics = connect(server.running.addresses().metrics.unwrap());
    metrics.write_all(&Request::get("/metrics").bytes()).unwrap();
    let metrics = Answer::parse(&read_to_end(&mut metrics));
    assert!(
        metrics.body.contains("comet_logins_refused_total 4"),
        "{}",
        metrics.body
    );
}

#[test]
fn broken_credentials_are_wrong_ones() {
    let server = server();
    let right = Request::console(&["SELECT 1"]);
    for value in ["Basic", "Basic !!!", "Basic cm9vdA==", "Bearer cm9vdDpzZWNyZXQ="] {
        assert_eq!(
            right
                .clone()
                .header("Authorization", value)
                .send(server.ws())
                .status,
            401,
            "{value}"
        );
    }
    assert_eq!(right.without("Authorization").send(server.ws()).status, 401);
}

/// Guessing is slow, also for whoever then guesses right; a password that is right costs no turn.
#[test]
fn guessing_is_throttled() {
    let server = server_with(|settings| {
        settings.pages.console = Switch::On;
        settings.ws.trusted_proxies = TrustedProxies::parse(["127.0.0.1"]).unwrap();
    });
    let right = Request::console(&["SELECT 1"]).header("X-Forwarded-For", "192.0.2.1");
    let wrong = right.clone().login("root", "wrong");
    for _ in 0..20 {
        assert_eq!(right.send(server.ws()).status, 200);
    }
    for _ in 0..5 {
        assert_eq!(wrong.send(server.ws()).status, 401);
    }
    for request in [&wrong, &right] {
        let answer = request.send(server.ws());
        assert_eq!(answer.status, 429);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=12).contains(&wait), "{wait}");
    }
    let elsewhere = right.header("X-Forwarded-For", "192.0.2.2");
    assert_eq!(
        elsewhere.send(server.ws()).status,
        200,
        "others are not disturbed"
    );
}

/// Pages of other sites can send no such request, and may read no answer.
#[test]
fn pages_of_other_sites() {
    let server = server();
    let right = Request::console(&["SELECT 1"]);
    assert_eq!(
        right
            .clone()
            .header("Origin", "http://localhost")
            .send(server.ws())
            .status,
        200
    );
    for (request, status) in [
        (right.clone().without("X-Comet-Console"), 403),
        (right.clone().header("X-Comet-Console", "0"), 403),
        (right.clone().header("Origin", "https://evil.example"), 403),
        (right.clone().header("Origin", "http://localhost:3000"), 403),
        (right.clone().header("Origin", "null"), 403),
        (right.clone().header("Content-Type", "text/plain"), 415),
        (right.clone().without("Content-Type"), 415),
    ] {
        let answer = request.send(server.ws());
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    for target in ["/console/query", "/comet-server/console/query", "/demo/api"] {
        let preflight = Request::new("OPTIONS", target)
            .header("Origin", "https://evil.example")
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "x-comet-console")
            .send(server.ws());
        for name in ["origin", "methods", "headers"] {
            assert_eq!(
                preflight.header(&format!("access-control-allow-{name}")),
                None,
                "{preflight:?}"
            );
        }
    }
    let answer = right.send(server.ws());
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// By itself the console is for browsers on this machine.
#[test]
fn who_may_come() {
    let local = server();
    let right = Request::console(&["SELECT 1"]);
    let page = Request::get("/console");
    for (request, status) in [(&right, 200), (&page, 200)] {
        for host in ["localhost", "127.0.0.1:8087", "[::1]"] {
            assert_eq!(
                request.clone().header("Host", host).send(local.ws()).status,
                status,
                "{host}"
            );
        }
        let rebound = request.clone().header("Host", "evil.example");
        assert_eq!(rebound.send(local.ws()).status, 404);
        for proxy in ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"] {
            assert_eq!(
                request.clone().header(proxy, "x").send(local.ws()).status,
                404,
                "{proxy}"
            );
        }
        // nginx as it comes, and with the usual lines for WebSockets.
        let old = String::from_utf8(request.bytes())
            .unwrap()
            .replace("HTTP/1.1", "HTTP/1.0");
        let answer = harness::exchange(local.ws(), old.as_bytes());
        assert_eq!(Answer::parse(&answer).status, 404, "no browser speaks HTTP/1.0");
        for (value, status) in [("upgrade", 404), ("close", 200), ("keep-alive", 200)] {
            let answer = request.clone().header("Connection", value).send(local.ws());
            assert_eq!(answer.status, status, "{value}");
        }
    }
    let off = server_with(|settings| settings.pages.console = Switch::Off);
    let on = server_with(|settings| settings.pages.console = Switch::On);
    let proxied =
        server_with(|settings| settings.ws.trusted_proxies = TrustedProxies::parse(["10.0.0.1"]).unwrap());
    for request in [&right, &page] {
        assert_eq!(request.send(off.ws()).status, 404);
        assert_eq!(request.send(proxied.ws()).status, 404, "a proxy is expected");
        let from_outside = request
            .clone()
            .header("Host", "push.example")
            .header("Via", "proxy");
        assert_eq!(from_outside.send(on.ws()).status, 200);
    }
    assert!(page.send(off.ws()).body.contains("main.console"));
}

/// The same for a port that others can reach.
#[test]
fn who_may_come_from_the_network() {
    let server = server_with(|settings| settings.ws.listen = ([0, 0, 0, 0], 0).into());
    let address = SocketAddr::from(([127, 0, 0, 1], server.ws().port()));
    assert_eq!(Request::console(&["SELECT 1"]).send(address).status, 404);
    assert_eq!(Request::get("/console").send(address).status, 404);
    assert_eq!(Request::get("/demo").send(address).status, 404);
    let server = server_with(|settings| {
        settings.ws.listen = ([0, 0, 0, 0], 0).into();
        settings.pages.console = Switch::On;
    });
    let address = SocketAddr::from(([127, 0, 0, 1], server.ws().port()));
    assert_eq!(Request::console(&["SELECT 1"]).send(address).status, 200);
}

#[test]
fn bodies_that_are_wrong() {
    let server = server();
    let right = Request::console(&["SELECT 1"]);
    for body in [
        &b""[..],
        b"{",
        b"[]",
        b"null",
        b"{\"statements\":\"SELECT 1\"}",
        b"{\"statements\":[1]}",
        b"{\"statement\":[]}",
        b"{\"statements\":[\"\\ud800\"]}",
        b"{\"statements\":[\"\xff\"]}",
        b"{\"statements\":[]} x",
    ] {
        let answer = right.clone().body(body).send(server.ws());
        assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(body));
    }
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    assert_eq!(right.clone().body(&deep).send(server.ws()).status, 400);
    let many = json!({"statements": vec!["SET x"; 1001]}).to_string();
    assert_eq!(right.clone().body(many.as_bytes()).send(server.ws()).status, 400);
    let huge = json!({"statements": ["x".repeat(1 << 20)]}).to_string();
    assert_eq!(right.clone().body(huge.as_bytes()).send(server.ws()).status, 413);

    assert_eq!(right.send(server.ws()).status, 200, "and the server lives");
}

/// Q1: a body has as much time as the headers.
#[test]
fn slow_bodies() {
    let server = server_with(|settings| settings.ws.handshake_timeout_ms = 300);
    let mut slow = connect(server.ws());
    let bytes = Request::console(&["SELECT 1"]).bytes();
    slow.write_all(&bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(Answer::parse(&read_to_end(&mut slow)).status, 408);
}

/// A body without a length is counted while it comes.
#[test]
fn chunked_bodies() {
    let server = server();
    let request = |chunks: &[&str]| {
        let right = Request::console(&[])
            .header("Transfer-Encoding", "chunked")
            .bytes();
        let head = String::from_utf8(right).unwrap();
        let head = head.split_once("Content-Length").unwrap().0;
        let chunks: String = chunks
            .iter()
            .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
            .collect();
        let bytes = format!("{head}\r\n{chunks}0\r\n\r\n");
        Answer::parse(&harness::exchange(server.ws(), bytes.as_bytes()))
    };
    assert_eq!(request(&["{\"statements\":", "[\"SELECT 1\"]}"]).status, 200);
    let part = " ".repeat(60_000);
    assert_eq!(request(&[part.as_str(); 20]).status, 413);
}

/// What the server holds for one request is bounded, the place is free again afterwards.
#[test]
fn places_and_sizes_are_bounded() {
    let server = server();
    let right = Request::console(&["SELECT 1"]);
    let bytes = right.bytes();
    let mut waiting: Vec<_> = (0..9)
        .map(|_| {
            let mut stream = connect(server.ws());
            stream.write_all(&bytes[..bytes.len() - 1]).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    // The others wait for the end of their bodies.
    let surplus = loop {
        if let Some(at) = waiting.iter().position(|stream| stream.peek(&mut [0]).is_ok()) {
            break waiting.remove(at);
        }
    };
    let answer = |mut stream: TcpStream| {
        stream.set_nonblocking(false).unwrap();
        // Whoever was refused is not listened to any more.
        let _ = stream.write_all(&bytes[bytes.len() - 1..]);
        Answer::parse(&read_to_end(&mut stream))
    };
    let refused = answer(surplus);
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    for stream in waiting {
        assert_eq!(answer(stream).status, 200);
    }
    assert_eq!(right.send(server.ws()).status, 200, "the places are free again");
}

#[test]
fn long_results_are_errors() {
    let server = server();
    let megabyte = "x".repeat(200_000);
    for id in 1..=50 {
        let insert = format!("INSERT INTO users_data (id, data) VALUES ({id}, '{megabyte}')");
        assert!(results(server.ws(), &[&insert])[0]["affected"] == 1);
    }
    let ids: Vec<String> = (1..=50).map(|id: u32| id.to_string()).collect();
    let select = |limit| {
        format!(
            "SELECT * FROM users_data WHERE id IN ({}) LIMIT {limit}",
            ids.join(",")
        )
    };
    let found = results(server.ws(), &["SELECT 1", &select(50), "SELECT 1"]);
    assert_eq!((found.len(), &found[1]["error"]["code"]), (2, &json!(11)));
    let found = results(server.ws(), &[&select(20)]);
    assert_eq!(found[0]["rows"].as_array().unwrap().len(), 20);
}

/// Sessions of the console come and go like others.
#[test]
fn no_session_is_left_behind() {
    let server = server();
    let mut watcher = Client::open(server.cometql());
    let mut online = || {
        let status = watcher.rows("SHOW STATUS");
        let row = status.into_iter().find(|row| row[0] == "server_online").unwrap();
        row[1].clone()
    };
    for _ in 0..20 {
        let inside = results(server.ws(), &["SHOW STATUS"]);
        let rows = inside[0]["rows"].as_array().unwrap();
        assert!(rows.contains(&json!(["server_online", "2"])), "{rows:?}");
    }
    // Clients that are gone before their answers, more than there are places for.
    for _ in 0..20 {
        let mut stream = connect(server.ws());
        stream
            .write_all(&Request::console(&["SELECT 1"; 200]).bytes())
            .unwrap();
    }
    while online() != "1" {}
}
