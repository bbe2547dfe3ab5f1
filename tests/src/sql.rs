//! A back end: `mysql_async` on the CometQL port (protocol.md 7).

use std::net::SocketAddr;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder, Row, Value};

use crate::server::PASSWORD;

/// Options for `root` with the right password.
pub fn options(server: SocketAddr) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname(server.ip().to_string())
        .tcp_port(server.port())
        .user(Some("root"))
        .pass(Some(PASSWORD))
        .db_name(Some("CometQL_v1"))
        .prefer_socket(false)
        // Too long is for the server to say.
        .max_allowed_packet(Some(64 << 20))
}

/// A logged-in session.
pub async fn connect(server: SocketAddr) -> Conn {
    Conn::new(options(server)).await.expect("root may log in")
}

/// Runs a statement that must work.
pub async fn run(session: &mut Conn, statement: &str) {
    session
        .query_drop(statement)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// The rows of a SELECT as text.
pub async fn rows(session: &mut Conn, statement: &str) -> Vec<Vec<String>> {
    let rows: Vec<Row> = session
        .query(statement)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    rows.into_iter()
        .map(|row| row.unwrap().into_iter().map(text).collect())
        .collect()
}

/// A cell as text; CometQL sends nothing else.
pub fn text(value: Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8(bytes).expect("cells are UTF-8"),
        other @ (Value::NULL
        | Value::Int(_)
        | Value::UInt(_)
        | Value::Float(_)
        | Value::Double(_)
        | Value::Date(..)
        | Value::Time(..)) => panic!("not a text: {other:?}"),
    }
}

/// The code of a server's error, if it was one.
pub fn code(error: &Error) -> Option<u16> {
    if let Error::Server(error) = error {
        Some(error.code)
    } else {
        None
    }
}

/// The code a statement is refused with.
pub async fn refused(session: &mut Conn, statement: &str) -> u16 {
    let error = session
        .query_drop(statement)
        .await
        .expect_err("the statement is refused");
    let short: String = statement.chars().take(80).collect();
    code(&error).unwrap_or_else(|| panic!("{short}: {error}"))
}
