//! The chat's back end through a running server (protocol.md 2.1).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::io::Write;
use std::net::SocketAddr;

use comet_core::DevId;
use comet_server::config::{Switch, TrustedProxies};
use harness::browser::Browser;
use harness::mysql::{COM_STMT_PREPARE, Client, packet};
use harness::request::{Answer, Request};
use harness::{Server, connect, read_to_end, server, server_with};
use serde_json::{Value, json};

/// The last tenant.
const DEV: u32 = 99_999;

fn ask(server: &Server, action: &Value) -> Answer {
    Request::post("/demo/api", action).send(server.ws())
}

fn enter(server: &Server, name: &str) -> Value {
    ask(server, &json!({"action": "enter", "name": name})).json()
}

/// Its page, connected.
fn page(server: &Server, user: &Value) -> Browser {
    let (id, key) = (&user["user_id"], user["user_key"].as_str().unwrap());
    let parameters = format!("sesion={key}&myid={id}&devid={DEV}&v=4.08&uuid=u{id}&api=js");
    let mut browser = Browser::open_with(server.ws(), harness::browser::request(&parameters).as_bytes());
    let info = browser.next().unwrap();
    assert!(info.text().contains("\"authorized\":true"), "{info:?}");
    browser
}

/// A back end that works in the tenant of the chat.
fn sql(server: &Server) -> Client {
    let mut client = Client::open(server.cometql());
    client.run(&format!("USE db_{DEV}"));
    client
}

fn private(from: &Value, to: &Value, text: &str) -> Value {
    json!({
        "action": "private", "user_id": from["user_id"], "user_key": from["user_key"],
        "to": to["user_id"], "text": text,
    })
}

/// The private message a page gets next.
fn message(browser: &mut Browser) -> (String, Value) {
    loop {
        let text = browser.next_text().unwrap();
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["pipe"] == "msg" {
            let body = serde_json::from_str(frame["data"].as_str().unwrap()).unwrap();
            return (frame["event"].as_str().unwrap().to_owned(), body);
        }
    }
}

#[test]
fn somebody_enters_and_comes_back() {
    let server = server();
    let ann = enter(&server, "  Ann ");
    assert_eq!((&ann["dev_id"], &ann["name"]), (&json!(DEV), &json!("Ann")));
    assert_eq!(ann["rooms"], json!(["web_lobby", "web_music", "web_kitchen"]));
    assert!((1..=1000).contains(&ann["user_id"].as_u64().unwrap()));
    assert_eq!(ann["user_key"].as_str().unwrap().len(), 32);
    page(&server, &ann);
    let mut sql = sql(&server);
    for room in ["web_lobby", "web_music", "web_kitchen"] {
        let select = format!("SELECT length FROM pipes_settings WHERE name = '{room}'");
        assert_eq!(sql.rows(&select), [["50"]]);
    }
    let back = json!({"action": "return", "user_id": ann["user_id"], "user_key": ann["user_key"]});
    assert_eq!(ask(&server, &back).json(), ann);
    assert_ne!(
        enter(&server, "Ann")["user_id"],
        ann["user_id"],
        "names are not unique"
    );
    let renamed = json!({
        "action": "rename", "user_id": ann["user_id"], "user_key": ann["user_key"], "name": "Anna",
    });
    assert_eq!(ask(&server, &renamed).json()["name"], "Anna");
    let server = server.restart();
    assert_eq!(ask(&server, &back).json()["name"], "Anna");
}

/// Nobody is somebody else, and a site's own users are nobody here.
#[test]
fn keys_are_checked() {
    let server = server();
    let (ann, bob) = (enter(&server, "Ann"), enter(&server, "Bob"));
    Client::open(server.cometql()).run("INSERT INTO users_auth (id, hash) VALUES (77777, 'key')");
    for (id, key) in [
        (ann["user_id"].clone(), bob["user_key"].clone()),
        (ann["user_id"].clone(), json!("")),
        (ann["user_id"].clone(), json!("' OR 1=1 -- ")),
        (json!(77777), json!("key")),
        (json!(0), json!("")),
        (json!(u32::MAX), json!("x")),
    ] {
        for action in [
            json!({"action": "return", "user_id": id, "user_key": key}),
            json!({"action": "rename", "user_id": id, "user_key": key, "name": "Eve"}),
            json!({"action": "private", "user_id": id, "user_key": key, "to": bob["user_id"], "text": "x"}),
        ] {
            let answer = ask(&server, &action);
            assert_eq!(answer.status, 403, "{action}");
            assert!(!answer.refusal().is_empty());
        }
    }
}

#[test]
fn private_messages() {
    let server = server();
    let (ann, bob) = (enter(&server, "Ann"), enter(&server, "Bob"));
    let mut of_ann = page(&server, &ann);
    let answer = ask(&server, &private(&ann, &bob, "are you there?")).json();
    assert_eq!(answer, json!({"delivered": 0, "queued": 1}));
    let mut of_bob = page(&server, &bob);
    let (event, body) = message(&mut of_bob);
    assert_eq!(event, "private");
    assert_eq!(body["from"], json!({"id": ann["user_id"], "name": "Ann"}));
    assert_eq!(body["text"], "are you there?");
    assert!(body["at"].as_u64().unwrap() > 1_700_000_000_000, "milliseconds");
    let (event, copy) = message(&mut of_ann);
    assert_eq!((event.as_str(), &copy), ("sent", &body));
    assert_eq!(copy["to"], json!({"id": bob["user_id"], "name": "Bob"}));
    let answer = ask(&server, &private(&bob, &ann, "yes")).json();
    assert_eq!(answer, json!({"delivered": 1, "queued": 0}));
    assert_eq!(message(&mut of_ann).1["text"], "yes");
    assert_eq!(message(&mut of_bob).0, "sent");

    let answer = ask(&server, &private(&bob, &bob, "to myself")).json();
    assert_eq!(answer["delivered"], 1);
    assert_eq!(message(&mut of_bob).0, "private", "no copy of it");
    let nobody = json!({"user_id": 1001});
    assert_eq!(ask(&server, &private(&ann, &nobody, "x")).status, 404);
}

/// Texts are data, whatever they contain.
#[test]
fn nothing_becomes_a_statement() {
    let server = server();
    let nasty = "');DELETE FROM users_auth; -- \" \\ \\' \0 \u{2028} 😀\n{\"a\":\"\\u0041\"}";
    let name = "O'Neil\\\"`; -- 😀";
    let (ann, bob) = (enter(&server, name), enter(&server, "{\"x\":1}"));
    assert_eq!(ann["name"], name);
    let mut of_bob = page(&server, &bob);
    for text in [
        nasty,
        "{\"json\":true}",
        "\\",
        "'",
        "'';",
        "?",
        &"😀".repeat(4000),
    ] {
        assert_eq!(ask(&server, &private(&ann, &bob, text)).status, 200, "{text:?}");
        let (_, body) = message(&mut of_bob);
        assert_eq!(
            (body["text"].as_str(), body["from"]["name"].as_str()),
            (Some(text), Some(name))
        );
    }
    let back = json!({"action": "return", "user_id": bob["user_id"], "user_key": bob["user_key"]});
    assert_eq!(ask(&server, &back).json()["name"], "{\"x\":1}");
    for (name, status) in [
        ("a\0b", 400),
        ("", 400),
        ("   ", 400),
        ("Ann\u{200b}", 400),
        ("\u{202e}nnA", 400),
        (&"x".repeat(33), 400),
        (&"ü".repeat(32), 200),
    ] {
        let answer = ask(&server, &json!({"action": "enter", "name": name}));
        assert_eq!(answer.status, status, "{name:?}");
    }
    for (text, status) in [(String::new(), 400), ("x".repeat(4001), 400)] {
        assert_eq!(ask(&server, &private(&ann, &bob, &text)).status, status);
    }
}

#[test]
fn bodies_that_are_wrong() {
    let server = server();
    let right = Request::post("/demo/api", &json!({"action": "enter", "name": "Ann"}));
    for body in [
        &b""[..],
        b"{}",
        b"[]",
        b"{\"action\":\"enter\"}",
        b"{\"action\":\"enter\",\"name\":7}",
        b"{\"action\":\"delete\",\"name\":\"Ann\"}",
        b"{\"action\":\"return\",\"user_id\":-1,\"user_key\":\"x\"}",
        b"{\"action\":\"enter\",\"name\":\"\\ud800\"}",
    ] {
        let answer = right.clone().body(body).send(server.ws());
        assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(body));
    }
    let huge = right.clone().body(&[b' '; 16 * 1024 + 1]);
    assert_eq!(huge.send(server.ws()).status, 413);
    for (request, status) in [
        (right.clone().header("Origin", "https://evil.example"), 403),
        (right.clone().header("Origin", "null"), 403),
        (right.clone().header("Content-Type", "text/plain"), 415),
        (right.header("Origin", "http://localhost"), 200),
    ] {
        let answer = request.send(server.ws());
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

/// Q1: a body has as much time as the headers.
#[test]
fn slow_bodies() {
    let server = server_with(|settings| settings.ws.handshake_timeout_ms = 300);
    let mut slow = connect(server.ws());
    let bytes = Request::post("/demo/api", &json!({"action": "enter", "name": "Ann"})).bytes();
    slow.write_all(&bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(Answer::parse(&read_to_end(&mut slow)).status, 408);
}

/// Q1: whoever does not finish his request takes nobody's place.
#[test]
fn unfinished_requests_keep_nobody_out() {
    let server = server_with(|settings| {
        settings.pages.demo = Switch::On;
        settings.ws.trusted_proxies = TrustedProxies::parse(["127.0.0.1"]).unwrap();
    });
    let from = |place: u8| {
        Request::post("/demo/api", &json!({"action": "enter", "name": "Ann"}))
            .header("X-Forwarded-For", &format!("192.0.2.{place}"))
    };
    let unfinished: Vec<_> = (0..100)
        .map(|place| {
            let bytes = from(place).bytes();
            let mut socket = connect(server.ws());
            socket.write_all(&bytes[..bytes.len() - 1]).unwrap();
            socket
        })
        .collect();
    assert_eq!(from(200).send(server.ws()).status, 200);
    drop(unfinished);
}

/// Twenty a second and address, and forty at once.
#[test]
fn one_address_is_slowed_down() {
    let server = server_with(|settings| {
        settings.pages.demo = Switch::On;
        settings.ws.trusted_proxies = TrustedProxies::parse(["127.0.0.1"]).unwrap();
    });
    let from = |address: &str| {
        Request::post("/demo/api", &json!({"action": "none"}))
            .header("X-Forwarded-For", address)
            .send(server.ws())
    };
    let mut seen = 0;
    let refused = loop {
        let answer = from("192.0.2.1");
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.status, 400);
        seen += 1;
        assert!(seen < 100_000, "never");
    };
    assert!(seen >= 40, "{seen}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(from("192.0.2.2").status, 400);
}

/// What waits for one user is bounded.
#[test]
fn mailboxes_are_bounded() {
    let server = server();
    let (ann, bob) = (enter(&server, "Ann"), enter(&server, "Bob"));
    let _here = page(&server, &ann);
    let values = vec![format!("({}, 'private', '1')", bob["user_id"]); 19].join(",");
    let mut sql = sql(&server);
    sql.run(&format!(
        "INSERT INTO users_messages (id, event, message) VALUES {values}"
    ));
    assert_eq!(ask(&server, &private(&ann, &bob, "the last one")).status, 200);
    assert_eq!(ask(&server, &private(&ann, &bob, "too much")).status, 429);
}

/// There are a thousand users at most: somebody who never came gives his number to the next one.
#[test]
fn users_are_bounded() {
    let server = server();
    let ann = enter(&server, "Ann");
    let _here = page(&server, &ann);
    let mut sql = sql(&server);
    everybody_else(&mut sql, &ann, "demo0123456789abcdef0123456789ab");
    for _ in 0..5 {
        let bob = enter(&server, "Bob");
        assert_ne!(bob["user_id"], ann["user_id"], "she is here");
        page(&server, &bob);
    }
}

/// Gives a key to all numbers the chat has but one.
fn everybody_else(sql: &mut Client, one: &Value, key: &str) {
    let values: Vec<String> = (1..=1000)
        .filter(|id| one["user_id"] != *id)
        .map(|id| format!("({id}, '{key}')"))
        .collect();
    sql.run(&format!(
        "INSERT INTO users_auth (id, hash) VALUES {}",
        values.join(",")
    ));
}

/// Whoever lets the chat share a tenant with a site does not lose the site's users to it.
#[test]
fn users_of_a_site_are_left_alone() {
    let server = server();
    let mut sql = sql(&server);
    sql.run("INSERT INTO pipes_settings (name, length) VALUES ('web_lobby', 99)");
    sql.run("INSERT INTO users_auth (id, hash) VALUES (2000, 'key'), (2001, 'demo7')");
    let ann = enter(&server, "Ann");
    assert_eq!(
        sql.rows(
            "SELECT length FROM pipes_settings WHERE name IN ('web_lobby', 'web_music') ORDER BY length"
        ),
        [["50"], ["99"]]
    );
    for (id, key) in [(2000, "key"), (2001, "demo7")] {
        let stranger = json!({"user_id": id, "user_key": key});
        assert_eq!(ask(&server, &private(&stranger, &ann, "x")).status, 403);
        assert_eq!(ask(&server, &private(&ann, &stranger, "x")).status, 404);
        let back = json!({"action": "return", "user_id": id, "user_key": key});
        assert_eq!(ask(&server, &back).status, 403);
    }
    // Somebody who never connected would give his number away, if it is among those that are looked at.
    let _here = page(&server, &ann);
    everybody_else(&mut sql, &ann, "ofTheSite");
    sql.run("INSERT INTO users_messages (id, event, message) VALUES (1, 'e', 'm'), (2, 'e', 'm')");
    let full = ask(&server, &json!({"action": "enter", "name": "Bob"}));
    assert_eq!((full.status, full.header("retry-after")), (503, Some("60")));
    let kept = "SELECT COUNT(*) FROM users_messages WHERE id IN (1, 2)";
    let count = 2 - u8::from(ann["user_id"] == 1) - u8::from(ann["user_id"] == 2);
    assert!(sql.rows(kept)[0][0].parse::<u8>().unwrap() >= count);
}

/// A user whom a site knows by his data, because he comes with a token, is somebody, too.
#[test]
fn numbers_with_data_are_taken() {
    let server = server();
    let values: Vec<String> = (1..=1000).map(|id| format!("({id}, 'x')")).collect();
    sql(&server).run(&format!(
        "INSERT INTO users_data (id, data) VALUES {}",
        values.join(",")
    ));
    let full = ask(&server, &json!({"action": "enter", "name": "Bob"}));
    assert_eq!(full.status, 503);
}

#[test]
fn who_may_come() {
    let enter = Request::post("/demo/api", &json!({"action": "enter", "name": "Ann"}));
    let page = Request::get("/demo");
    let local = server();
    let off = server_with(|settings| settings.pages.demo = Switch::Off);
    let on = server_with(|settings| {
        settings.pages.demo = Switch::On;
        settings.pages.demo_dev = DevId(7);
    });
    for request in [&enter, &page] {
        assert_eq!(request.send(local.ws()).status, 200);
        assert_eq!(
            request
                .clone()
                .header("Host", "evil.example")
                .send(local.ws())
                .status,
            404
        );
        assert_eq!(
            request
                .clone()
                .header("X-Forwarded-For", "192.0.2.1")
                .send(local.ws())
                .status,
            404
        );
        assert_eq!(request.send(off.ws()).status, 404);
        assert_eq!(
            request
                .clone()
                .header("Host", "push.example")
                .send(on.ws())
                .status,
            200
        );
    }
    assert!(page.send(off.ws()).body.contains("main.demo"));
    assert_eq!(enter.send(on.ws()).json()["dev_id"], 7);
    let open = server_with(|settings| settings.ws.listen = ([0, 0, 0, 0], 0).into());
    let address = SocketAddr::from(([127, 0, 0, 1], open.ws().port()));
    assert_eq!(enter.send(address).status, 404);
}

/// protocol.md 8.7: the last sessions there are belong to the site.
#[test]
fn while_the_memory_is_full_the_chat_waits() {
    let server = server_with(|settings| settings.core.memory_limit_bytes = 8 << 20);
    let ann = enter(&server, "Ann");
    let back = json!({"action": "return", "user_id": ann["user_id"], "user_key": ann["user_key"]});
    assert_eq!(ask(&server, &back).status, 200);
    let mut slow = connect(server.ws());
    let bytes = Request::post("/demo/api", &back).bytes();
    let (most, last) = bytes.split_at(bytes.len() - 1);
    slow.write_all(most).unwrap();
    // Whoever is answered after him has come after him.
    assert_eq!(ask(&server, &back).status, 200);
    let mut greedy = Client::open(server.cometql());
    let statement = packet(
        0,
        &[&[COM_STMT_PREPARE], format!("{:4000}", "BEGIN").as_bytes()].concat(),
    );
    let is_refused = |_| {
        greedy.write(&statement);
        greedy.read()[0] == 0xFF
    };
    assert!((0..250).any(is_refused), "it never becomes full");
    assert_eq!(ask(&server, &back).status, 503);
    slow.write_all(last).unwrap();
    assert_eq!(
        Answer::parse(&read_to_end(&mut slow)).status,
        503,
        "who began before"
    );
    Client::open(server.cometql()).run("DELETE FROM users_data WHERE id = 7");
}
