//! mysql_async and sqlx: the list of tests/clients/README.md in Rust.

use comet_tests::server::{PASSWORD, Server};
use comet_tests::sql::{code, connect, options, refused, rows, run};
use comet_tests::tls::Certificate;
use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, SslOpts, TxOpts};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{ConnectOptions, Connection, Executor, Row};

const TEXT: &str = "Grüße 😀 \"quoted\" it's a \\ backslash\nand a line";

#[tokio::test]
async fn mysql_async_plain() {
    let server = Server::start();
    mysql_async_session(connect(server.cometql).await).await;
    let wrong = Conn::new(options(server.cometql).pass(Some("wrong"))).await;
    assert_eq!(code(&wrong.expect_err("a wrong password is refused")), Some(16));
}

#[tokio::test]
async fn mysql_async_tls() {
    let certificate = Certificate::new();
    let settings = certificate.settings("COMETQL");
    let server = Server::start_with(&settings.each_ref().map(|(name, value)| (&**name, &**value)));
    let roots = SslOpts::default().with_root_certs(vec![certificate.cert().into()]);
    let verified = options(server.cometql).ssl_opts(Some(roots));
    mysql_async_session(Conn::new(verified).await.expect("TLS with a checked certificate")).await;
}

async fn mysql_async_session(mut session: Conn) {
    assert_eq!(rows(&mut session, "SELECT DATABASE()").await, [["CometQL_v1"]]);
    session
        .exec_drop("INSERT INTO users_auth (id, hash) VALUES (?, ?)", (7, "asyncKey"))
        .await
        .expect("insert");
    assert_eq!(session.affected_rows(), 1);
    assert_eq!(session.last_insert_id(), Some(7));
    assert_eq!(
        rows(&mut session, "SELECT * FROM users_auth WHERE id = 7").await,
        [["7", "asyncKey"]]
    );
    session
        .exec_drop(
            "INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', ?)",
            (TEXT,),
        )
        .await
        .expect("insert");
    assert_eq!(session.info(), "delivered=0 queued=1");
    let found: Vec<(String, String)> = session
        .exec("SELECT event, message FROM users_messages WHERE id = ?", (7,))
        .await
        .expect("select");
    assert_eq!(found, [("ev".to_owned(), TEXT.to_owned())]);
    mysql_async_rows_and_errors(&mut session).await;
    mysql_async_transaction_and_users(session).await;
}

async fn mysql_async_rows_and_errors(session: &mut Conn) {
    run(
        session,
        "INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    )
    .await;
    let listed = rows(session, "SELECT * FROM users_auth WHERE id IN (3, 1, 2)").await;
    assert_eq!(listed, [["3", "c"], ["1", "a"], ["2", "b"]]);
    assert_eq!(
        rows(
            session,
            "SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)"
        )
        .await,
        [["3"]]
    );
    assert_eq!(refused(session, "SELECT * FROM nowhere WHERE id = 1").await, 15);
    assert_eq!(refused(session, "SELEKT 1").await, 3);
    session.ping().await.expect("ping");
}

async fn mysql_async_transaction_and_users(mut session: Conn) {
    let mut transaction = session.start_transaction(TxOpts::default()).await.expect("begin");
    transaction
        .query_drop("INSERT INTO users_auth (id, hash) VALUES (9, 't')")
        .await
        .expect("insert");
    transaction.commit().await.expect("commit");
    assert_eq!(
        rows(&mut session, "SELECT hash FROM users_auth WHERE id = 9").await,
        [["t"]]
    );
    let right = ChangeUserOpts::default()
        .with_user(Some("3".into()))
        .with_pass(Some(PASSWORD.into()));
    session.change_user(right).await.expect("change of user");
    assert!(
        rows(&mut session, "SELECT hash FROM users_auth WHERE id = 9")
            .await
            .is_empty(),
        "another tenant now"
    );
    let wrong = ChangeUserOpts::default()
        .with_user(Some("root".into()))
        .with_pass(Some("wrong".into()));
    let error = session
        .change_user(wrong)
        .await
        .expect_err("a wrong password is refused");
    assert_eq!(code(&error), Some(16));
}

#[tokio::test]
async fn sqlx_on_a_server_with_tls() {
    let certificate = Certificate::new();
    let settings = certificate.settings("COMETQL");
    let server = Server::start_with(&settings.each_ref().map(|(name, value)| (&**name, &**value)));
    let options = MySqlConnectOptions::new()
        .host("127.0.0.1")
        .port(server.cometql.port())
        .username("root")
        .password(PASSWORD)
        .database("CometQL_v1")
        .ssl_mode(MySqlSslMode::Disabled);
    sqlx_session(options.connect().await.expect("root may log in")).await;
    let wrong = options.clone().password("wrong").connect().await;
    assert_eq!(
        sqlx_code(&wrong.expect_err("a wrong password is refused")),
        Some(16)
    );
}

async fn sqlx_session(mut session: MySqlConnection) {
    let database: String = sqlx::query_scalar("SELECT DATABASE()")
        .fetch_one(&mut session)
        .await
        .expect("select");
    assert_eq!(database, "CometQL_v1");
    let insert = sqlx::query("INSERT INTO users_data (id, data) VALUES (?, ?)")
        .bind(8)
        .bind(TEXT);
    let done = insert.execute(&mut session).await.expect("insert");
    assert_eq!((done.rows_affected(), done.last_insert_id()), (1, 8));
    let select = sqlx::query("SELECT id, data FROM users_data WHERE id = ?").bind(8);
    let row = select.fetch_one(&mut session).await.expect("select");
    assert_eq!(
        (row.get::<String, _>(0), row.get::<String, _>(1)),
        ("8".to_owned(), TEXT.to_owned())
    );
    session
        .execute("INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', 'x')")
        .await
        .expect("insert");
    let unknown = session
        .execute("SELECT * FROM nowhere WHERE id = 1")
        .await
        .expect_err("no such table");
    assert_eq!(sqlx_code(&unknown), Some(15));
    let syntax = session.execute("SELEKT 1").await.expect_err("no statement");
    assert_eq!(sqlx_code(&syntax), Some(3));
    session.ping().await.expect("ping");
    let mut transaction = session.begin().await.expect("begin");
    transaction
        .execute("INSERT INTO users_auth (id, hash) VALUES (9, 't')")
        .await
        .expect("insert");
    transaction.commit().await.expect("commit");
    let hash: String = sqlx::query_scalar("SELECT hash FROM users_auth WHERE id = ?")
        .bind(9)
        .fetch_one(&mut session)
        .await
        .expect("select");
    assert_eq!(hash, "t");
}

/// The server's error number.
fn sqlx_code(error: &sqlx::Error) -> Option<u16> {
    let error = error
        .as_database_error()?
        .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()?;
    Some(error.number())
}
