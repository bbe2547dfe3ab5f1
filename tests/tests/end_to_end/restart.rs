//! What survives the server's own end (S10, S11, S12; protocol.md 5.1, 6, appendix B).

use comet_tests::page::Page;
use comet_tests::server::Server;
use comet_tests::sql::{connect, rows, run};

async fn fill(server: &Server) {
    let mut sql = connect(server.cometql).await;
    run(&mut sql, "INSERT INTO users_auth (id, hash) VALUES (5, 'key')").await;
    run(
        &mut sql,
        "INSERT INTO users_data (id, data) VALUES (5, '{\"name\":\"Ann\"}')",
    )
    .await;
    run(
        &mut sql,
        "INSERT INTO pipes_settings (name, length) VALUES ('web_log', 10)",
    )
    .await;
    run(
        &mut sql,
        "INSERT INTO pipes_messages (name, event, message) VALUES ('web_log', 'e', 'kept')",
    )
    .await;
    run(&mut sql, "INSERT INTO revoked_tokens (token) VALUES ('t')").await;
    let mut page = Page::login(server.ws, 5, "key", "tab").await;
    // Delivered live, and perhaps acknowledged: only what comes now must come again.
    run(
        &mut sql,
        "INSERT INTO users_messages (id, event, message) VALUES (5, 'e', 'live')",
    )
    .await;
    assert_eq!(page.frame().await["data"], "live");
    while !rows(&mut sql, "SELECT * FROM users_messages WHERE id = 5")
        .await
        .is_empty()
    {
        page.drain("paid").await;
    }
    drop(page);
    while rows(&mut sql, "SELECT time FROM users_time WHERE id = 5").await == [["0"]] {}
    for text in ["one", "two 😀", "three"] {
        run(
            &mut sql,
            &format!("INSERT INTO users_messages (id, event, message) VALUES (5, 'e', '{text}')"),
        )
        .await;
    }
}

async fn everything_is_there(server: &Server) {
    let mut sql = connect(server.cometql).await;
    assert_eq!(
        rows(&mut sql, "SELECT data FROM users_data WHERE id = 5").await,
        [["{\"name\":\"Ann\"}"]]
    );
    assert_eq!(
        rows(
            &mut sql,
            "SELECT message FROM pipes_messages WHERE name = 'web_log'"
        )
        .await,
        [["kept"]]
    );
    assert_eq!(
        rows(&mut sql, "SELECT * FROM pipes_settings").await,
        [["web_log", "10"]]
    );
    assert_eq!(rows(&mut sql, "SELECT * FROM revoked_tokens").await, [["t"]]);
    let mut page = Page::login(server.ws, 5, "key", "tab").await;
    for text in ["one", "two 😀", "three"] {
        let frame = page.frame().await;
        assert_eq!(
            (&frame["data"], &frame["fromQueue"]),
            (&text.into(), &true.into())
        );
    }
    assert!(
        page.drain("nothing").await.is_empty(),
        "what was acknowledged does not come again"
    );
    while !rows(&mut sql, "SELECT * FROM users_messages WHERE id = 5")
        .await
        .is_empty()
    {
        page.drain("paid").await;
    }
    // Nobody waits for the removal to be written; records keep their order, so this one's OK covers it.
    run(&mut sql, "INSERT INTO users_data (id, data) VALUES (6, 'x')").await;
}

#[tokio::test]
async fn killed() {
    let server = Server::start();
    fill(&server).await;
    let server = server.crash_and_restart();
    everything_is_there(&server).await;
    // And what was paid now is gone after the next crash, too.
    let server = server.crash_and_restart();
    let mut page = Page::login(server.ws, 5, "key", "tab").await;
    assert!(page.drain("nothing").await.is_empty());
}

#[tokio::test]
async fn stopped() {
    let server = Server::start();
    fill(&server).await;
    let server = server.stop_and_restart();
    everything_is_there(&server).await;
}

/// An orderly stop drops pages without a Close, so that they come back by themselves (S67, Q9).
#[tokio::test]
async fn pages_are_dropped_without_a_close() {
    let mut server = Server::start();
    let mut page = Page::anonymous(server.ws).await;
    let stopped = tokio::task::spawn_blocking(move || server.terminate());
    assert!(page.ends().await);
    assert!(stopped.await.expect("the server was stopped").success());
}
