//! A page's life: what the promises S1 to S67 say about the server, over real WebSockets and MySQL sessions.

use comet_tests::page::{Page, path, path_of};
use comet_tests::server::Server;
use comet_tests::sql::{connect, refused, rows, run};
use tokio_tungstenite::tungstenite::Message;

/// S5, S16, S19, S42, S45, S31, S46, S51, S64: two pages of different users talk, the server's site only gave the keys.
#[tokio::test]
async fn two_pages_talk() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    run(
        &mut sql,
        "INSERT INTO users_auth (id, hash )VALUES (1, 'auth_hash1');",
    )
    .await;
    run(
        &mut sql,
        "INSERT INTO users_auth (id, hash )VALUES (2, 'auth_hash2');",
    )
    .await;
    let mut anna = Page::login(server.ws, 1, "auth_hash1", "anna").await;
    let mut ben = Page::login(server.ws, 2, "auth_hash2", "ben").await;
    ben.subscribe(&["web_chat", "other"]).await;
    anna.send("web_pipe2⏎web_chat⏎say⏎*⏎{\"text\":\"it's \\\"me\\\" 😀\"}")
        .await;
    let heard = ben.frame().await;
    assert_eq!(
        (&heard["pipe"], &heard["event"]),
        (&"web_chat".into(), &"say".into())
    );
    assert_eq!(heard["user_id"], 1);
    let data: serde_json::Value = serde_json::from_str(heard["data"].as_str().expect("text")).expect("JSON");
    assert_eq!(data["text"], "it's \"me\" 😀");
    let report = anna.frame().await;
    assert_eq!(report["pipe"], "_answer_to_web_chat");
    assert_eq!(report["data"]["number_messages"], 1);
}

/// S1, S26, S28, S29, S44, S59, S66: the back end reaches every subscriber of every channel, and nobody else.
#[tokio::test]
async fn the_back_end_publishes() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    let mut one = Page::anonymous(server.ws).await;
    let mut two = Page::anonymous(server.ws).await;
    one.subscribe(&["news", "web_a"]).await;
    two.subscribe(&["news"]).await;
    run(&mut sql, "INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'ev', 'Grüße, it\\'s \\\\ 😀'), ('web_a', '', '{\"n\":1}')").await;
    for page in [&mut one, &mut two] {
        let frame = page.frame().await;
        // Not JSON and with a backslash: a JSON string in a string (E3), which clients turn back into the text.
        let data: String =
            serde_json::from_str(frame["data"].as_str().expect("text")).expect("a JSON string");
        assert_eq!(data, "Grüße, it's \\ 😀");
        assert!(frame.get("user_id").is_none(), "CometQL has no sender (S51)");
    }
    assert_eq!(one.frame().await["data"], "{\"n\":1}");
    assert!(
        two.drain("nothing").await.is_empty(),
        "S66: only its own channels"
    );
    assert_eq!(
        rows(&mut sql, "SELECT * FROM pipes WHERE name IN ('news', 'web_a')").await,
        [["news", "2"], ["web_a", "1"]]
    );
}

/// S7, S8, S9, S10, S15: private messages reach all sixteen devices, wait for the absent, and avoid impostors.
#[tokio::test]
async fn private_messages() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    run(&mut sql, "INSERT INTO users_auth (id, hash) VALUES (5, 'key')").await;
    run(
        &mut sql,
        "INSERT INTO users_messages (id, event, message) VALUES (5, 'event1', 'early')",
    )
    .await;
    let mut devices = Vec::new();
    for number in 0..16 {
        let mut page = Page::login(server.ws, 5, "key", &format!("browser{number}")).await;
        if number == 0 {
            let frame = page.frame().await;
            assert_eq!(
                (&frame["data"], &frame["fromQueue"]),
                (&"early".into(), &true.into())
            );
            // The answer to the Ping leaves while the page reads on; wait until the server has it.
            while !rows(&mut sql, "SELECT * FROM users_messages WHERE id = 5")
                .await
                .is_empty()
            {
                page.drain("paid").await;
            }
        }
        devices.push(page);
    }
    let mut impostor = Page::open(server.ws, &path("5", "wrong", "x")).await;
    assert_eq!(impostor.frame().await["authorized"], false);
    run(
        &mut sql,
        "INSERT INTO users_messages (id, event, message) VALUES (5, 'event1', 'to all')",
    )
    .await;
    for page in &mut devices {
        let frame = page.frame().await;
        assert_eq!(
            (&frame["pipe"], &frame["event"], &frame["data"]),
            (&"msg".into(), &"event1".into(), &"to all".into())
        );
        assert_eq!(frame["uuid"].as_str().map(str::len), Some(36));
    }
    assert!(impostor.drain("nothing").await.is_empty());
}

/// S17, S18, S65: deleting the key cuts the page off; it comes back unauthorized, and authorized once the key is back.
#[tokio::test]
async fn a_key_is_withdrawn() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    run(&mut sql, "INSERT INTO users_auth (id, hash) VALUES (5, 'key')").await;
    let mut page = Page::login(server.ws, 5, "key", "b").await;
    run(&mut sql, "DELETE FROM users_auth WHERE id = 5").await;
    assert!(
        page.ends().await,
        "without a Close frame, or clients would not come back"
    );
    let mut again = Page::open(server.ws, &path("5", "key", "b")).await;
    assert_eq!(again.frame().await["authorized"], false);
    run(&mut sql, "INSERT INTO users_auth (id, hash) VALUES (5, 'key')").await;
    Page::login(server.ws, 5, "key", "b").await;
}

/// S35, S36, S37, S38, S39, S40: who is online, and who is on the page.
#[tokio::test]
async fn presence() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    run(&mut sql, "INSERT INTO users_auth (id, hash) VALUES (5, 'key')").await;
    let mut watcher = Page::anonymous(server.ws).await;
    watcher.subscribe(&["user_status_5", "track_page"]).await;
    let mut visitor = Page::login(server.ws, 5, "key", "tab").await;
    assert_eq!(watcher.frame().await["event"], "online");
    visitor.subscribe(&["track_page"]).await;
    let joined = watcher.frame().await;
    assert_eq!(
        (
            &joined["event"],
            &joined["data"]["user_id"],
            &joined["data"]["uuid"]
        ),
        (&"subscription".into(), &5.into(), &"tab".into())
    );
    visitor.subscribe(&["track_page", "web_more"]).await;
    watcher.send("track_pipe_users⏎track_page⏎m").await;
    let users = watcher.frame().await;
    assert_eq!(
        users["data"].as_array().map(Vec::len),
        Some(2),
        "no false leaving in between (S39): {users}"
    );
    drop(visitor);
    assert_eq!(watcher.frame().await["event"], "offline");
    assert_eq!(watcher.frame().await["event"], "unsubscription");
}

/// S53, S54, S55, S56, S27: history of a channel with a name of 31 characters.
#[tokio::test]
async fn history() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    let name = format!("web_{}", "n".repeat(27));
    run(
        &mut sql,
        &format!("INSERT INTO pipes_settings (\"name\", \"length\") VALUES ('{name}', 2)"),
    )
    .await;
    let mut page = Page::anonymous(server.ws).await;
    for text in ["one", "two", "three"] {
        page.send(&format!("web_pipe2⏎{name}⏎e⏎*⏎{text}")).await;
        assert_eq!(page.frame().await["event"], "answer");
    }
    page.send(&format!("pipe_log⏎{name}⏎m")).await;
    for text in ["two", "three"] {
        let frame = page.frame().await;
        assert_eq!((&frame["data"], &frame["history"]), (&text.into(), &true.into()));
    }
    assert!(page.drain("nothing").await.is_empty());
}

/// S23, S57, S58: anonymous pages count `web_*` channels, and are refused for others.
#[tokio::test]
async fn counting() {
    let server = Server::start();
    let mut page = Page::anonymous(server.ws).await;
    page.subscribe(&["web_chat", "chat_pipe"]).await;
    page.send("pipe_count⏎web_chat⏎m").await;
    assert_eq!(page.frame().await["data"]["user_in_pipe"], 1);
    page.send("pipe_count⏎chat_pipe⏎m").await;
    let refused = page.frame().await;
    assert_eq!(
        (&refused["event"], refused.get("marker")),
        (&"error".into(), None)
    );
}

/// S21, S22, S63: a 3.25 page on a port of its own gets its dialect.
#[tokio::test]
async fn an_old_client() {
    let server = Server::start();
    let mut page = Page::open(server.ws, &path_of(0, "", "", "3.25", "u")).await;
    let info = page.frame().await;
    assert_eq!(
        (&info["authorized"], &info["event_name"]),
        (&"false".into(), &"serverInfo".into())
    );
}

/// S24, S25, S67: `restart()` sends a Close; the server only drops the connection (Q9), and the next one subscribes anew.
#[tokio::test]
async fn a_page_restarts() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    let mut page = Page::anonymous(server.ws).await;
    page.subscribe(&["news"]).await;
    page.send_message(Message::Close(None))
        .await
        .expect("a Close can be sent");
    assert!(page.ends().await, "and is not answered by one");
    let mut page = Page::anonymous(server.ws).await;
    page.subscribe(&["news"]).await;
    run(
        &mut sql,
        "INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'e', 'again')",
    )
    .await;
    assert_eq!(page.frame().await["data"], "again");
}

/// S62: the client is part of the server.
#[tokio::test]
async fn the_client_file() {
    let server = Server::start();
    for path in ["/CometServerApi.js", "//comet-server/CometServerApi.js?v=1"] {
        let answer = server.http(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("cometApi"),
            "{answer}"
        );
        assert!(answer.to_ascii_lowercase().contains("javascript"), "{answer}");
    }
}

/// S62: a site's own file takes its place, with its type and without `..`.
#[tokio::test]
async fn a_client_file_of_the_site() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("CometServerApi.js"), "var cometApi;").expect("a file");
    let base = folder.path().to_string_lossy().into_owned();
    let server = Server::start_with(&[("COMET_BASE_DIR", &base)]);
    let get = |path: &str| server.http(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    for path in ["/CometServerApi.js", "/comet-server/CometServerApi.js?v=1"] {
        let answer = get(path);
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("var cometApi;"),
            "{answer}"
        );
        assert!(answer.to_ascii_lowercase().contains("javascript"), "{answer}");
    }
    assert!(get("/../Cargo.toml").starts_with("HTTP/1.1 404"));
}

/// Q66: tenants never meet, whatever the name.
#[tokio::test]
async fn tenants_are_separate() {
    let server = Server::start();
    let mut sql = connect(server.cometql).await;
    let mut here = Page::anonymous(server.ws).await;
    let mut there = Page::open(server.ws, &path_of(4, "", "", "4.08", "u")).await;
    there.frame().await;
    here.subscribe(&["web_a"]).await;
    there.subscribe(&["web_a"]).await;
    run(&mut sql, "USE db_4").await;
    run(
        &mut sql,
        "INSERT INTO pipes_messages (name, event, message) VALUES ('web_a', 'e', 'for 4')",
    )
    .await;
    assert_eq!(there.frame().await["data"], "for 4");
    assert!(here.drain("nothing").await.is_empty());
    assert_eq!(refused(&mut sql, "USE db_x").await, 15);
}
