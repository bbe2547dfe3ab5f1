//! `POST /console/query`: CometQL for the page `/console` (cometql.md). The statements of a request are one session.
//!
//! Promise: nothing runs without the password; guessing it is slow; pages of other sites cannot ask; what one request
//! can make the server hold is bounded. Neither password nor statements with their values reach the log.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use comet_core::cometql::{Cell, Rows};
use comet_core::{Answer as Outcome, DevId, ErrorCode, QueryError, Reply};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::access::{Asked, Audience};
use super::answer::{Answer, Refusal, endpoint, not_found};
use super::endpoint::{self, FULL, UNABLE};
use super::json::push_quoted;
use crate::rt::task;
use crate::shard::Shard;
use crate::shared::Shared;
use crate::sql::{self, InternalSession, NotLetIn, Unanswered};

/// Longest request.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Statements of one request.
const STATEMENTS_MAX: usize = 1000;
/// Longest answer; a result that does not fit is an error.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Bytes written between two turns of the shard's other tasks.
const TURN_BYTES: usize = 256 << 10;
/// Requests at once.
const REQUESTS_MAX: usize = 8;
/// How long the statements of one request may take.
const TIME_MAX: Duration = Duration::from_secs(30);
/// What a page has to send, and no page of another site can send unasked.
const MARK: &str = "x-comet-console";

const UNMARKED: Refusal = Refusal::new(StatusCode::FORBIDDEN, "the header X-Comet-Console: 1 is missing");
const WRONG_LOGIN: Refusal = Refusal::new(StatusCode::UNAUTHORIZED, "user name or password is wrong");
const NOT_UNDERSTOOD: Refusal = Refusal::new(
    StatusCode::BAD_REQUEST,
    "the request must be {\"statements\":[\"…\"]}, with or without \"dev_id\"",
);
const TOO_MANY: Refusal = Refusal::new(StatusCode::BAD_REQUEST, "at most 1000 statements at once");
const NO_TENANT: Refusal = Refusal::new(
    StatusCode::BAD_REQUEST,
    "dev_id must be below main.dev_index_size",
);
const TOO_MANY_FAILURES: &str = "too many wrong passwords, try again later";

const LONG_RESULT: QueryError = QueryError::new(
    ErrorCode::TooLong,
    "the result is longer than 8 MiB; LIMIT makes it shorter",
);
const LATE: QueryError = QueryError::new(
    ErrorCode::Internal,
    "no answer in time; the statement may take effect all the same",
);
const CLOSED: QueryError = QueryError::new(ErrorCode::Internal, "the server has closed the session");

/// The door to the console.
#[derive(Debug)]
pub(super) struct Console {
    pub(super) audience: Audience,
    room: Arc<Semaphore>,
}

#[derive(Deserialize)]
struct Request {
    dev_id: Option<u32>,
    statements: Vec<String>,
}

impl Request {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let request: Self = serde_json::from_slice(body).map_err(|_| NOT_UNDERSTOOD)?;
        if request.statements.len() > STATEMENTS_MAX {
            return Err(TOO_MANY);
        }
        Ok(request)
    }
}

/// The statements of a request's body; `None`: it is refused.
pub(super) fn statements(body: &[u8]) -> Option<Vec<String>> {
    Some(Request::read(body).ok()?.statements)
}

impl Console {
    pub(super) fn new(audience: Audience) -> Self {
        Self {
            audience,
            room: Arc::new(Semaphore::new(REQUESTS_MAX)),
        }
    }

    /// The tenant of whoever knows the password.
    fn log_in(asked: &Asked, shared: &Shared) -> Result<DevId, Refusal> {
        let client = endpoint::client(asked, shared);
        let given = credentials(asked);
        let given = given
            .as_ref()
            .map(|(user, password)| (user.as_bytes(), password.as_bytes()));
        sql::decide_plain(shared, client, given).map_err(|why| {
            shared.metrics.logins_refused.inc();
            tracing::info!(peer = %client, "login to the console refused");
            match why {
                NotLetIn::Wrong(_) => WRONG_LOGIN,
                NotLetIn::Throttled(wait) => {
                    shared.metrics.logins_throttled.inc();
                    endpoint::too_often(TOO_MANY_FAILURES, wait)
                }
            }
        })
    }
}

/// User name and password of `Authorization: Basic` (RFC 7617).
pub(super) fn credentials(asked: &Asked) -> Option<(String, String)> {
    let value = asked.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let (user, password) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    let is_basic = scheme.eq_ignore_ascii_case("basic");
    is_basic.then(|| (user.to_owned(), password.to_owned()))
}

/// Answers a request.
pub(super) async fn query(shard: &Rc<Shard>, asked: &Asked, body: Incoming) -> Answer {
    if !shard.shared.site.console.audience.includes(asked) {
        return not_found();
    }
    match run(shard, asked, body).await {
        Ok(json) => endpoint(StatusCode::OK, json),
        Err(refusal) => refusal.answer(),
    }
}

async fn run(shard: &Rc<Shard>, asked: &Asked, body: Incoming) -> Result<String, Refusal> {
    let shared = &shard.shared;
    let console = &shared.site.console;
    if asked.headers.get(MARK).is_none_or(|value| value != "1") {
        return Err(UNMARKED);
    }
    endpoint::check_sender(asked)?;
    let of_login = Console::log_in(asked, shared)?;
    let room = console.room.clone().try_acquire_owned().map_err(|_| FULL)?;
    let body = endpoint::read(body, BODY_BYTES_MAX, shared).await?;
    let request = Request::read(&body)?;
    drop(body);
    let dev = request.dev_id.map_or(of_login, DevId);
    if dev.0 >= shared.limits.dev_index_size {
        return Err(NO_TENANT);
    }
    let began = shared.clock.mono();
    let statements = request.statements;
    let work = async move |session: &mut InternalSession| {
        // Whoever does not wait for his answer does not make room for another one.
        let _room = room;
        results(session, &statements).await
    };
    let results = sql::with_session(shard.clone(), dev, TIME_MAX, work);
    let mut json = results.await.ok_or(UNABLE)?;
    let elapsed = shared.clock.mono().micros_since(began);
    json.push_str(&format!(",\"elapsed_us\":{elapsed}}}"));
    Ok(json)
}

/// The beginning of the answer, up to the results. The first error is the last result.
async fn results(session: &mut InternalSession, statements: &[String]) -> String {
    let mut out = String::from("{\"results\":[");
    for (number, statement) in statements.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        let reply = session.run(statement).await;
        let written = match reply {
            Ok(Reply { result, .. }) => match result {
                Ok(Outcome::Done(done)) => {
                    push_done(&mut out, done.affected, done.insert_id, &sql::info(&done));
                    Ok(())
                }
                // As MySQL clients are told (protocol.md 7.2).
                Ok(Outcome::Rows(rows)) if rows.columns.is_empty() => {
                    push_done(&mut out, 0, 0, "");
                    Ok(())
                }
                Ok(Outcome::Rows(rows)) => push_rows(&mut out, rows).await,
                Err(error) => Err(error),
            },
            Err(Unanswered::TooLate) => Err(LATE),
            Err(Unanswered::Closed) => Err(CLOSED),
        };
        if let Err(error) = written {
            push_error(&mut out, error);
            break;
        }
    }
    out.push(']');
    out
}

fn push_done(out: &mut String, affected: u64, insert_id: u64, info: &str) {
    out.push_str(&format!(
        "{{\"affected\":{affected},\"insert_id\":{insert_id},\"info\":"
    ));
    push_quoted(out, info);
    out.push('}');
}

fn push_error(out: &mut String, error: QueryError) {
    let code = error.code.number();
    out.push_str(&format!(
        "{{\"error\":{{\"code\":{code},\"sqlstate\":\"HY000\",\"message\":"
    ));
    push_quoted(out, &error.text);
    out.push_str("}}");
}

/// Writes a result set, or nothing if it is too long.
async fn push_rows(out: &mut String, Rows { columns, rows }: Rows) -> Result<(), QueryError> {
    let start = out.len();
    out.push_str("{\"columns\":[");
    push_list(out, &columns, |out, name| push_quoted(out, name));
    out.push_str("],\"rows\":[");
    let mut pause_at = out.len() + TURN_BYTES;
    for (number, row) in rows.into_iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        out.push('[');
        push_list(out, &row, push_cell);
        out.push(']');
        if out.len() > ANSWER_BYTES_MAX {
            out.truncate(start);
            return Err(LONG_RESULT);
        }
        if out.len() >= pause_at {
            pause_at = out.len() + TURN_BYTES;
            task::yield_now().await;
        }
    }
    out.push_str("]}");
    Ok(())
}

fn push_list<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        push(out, item);
    }
}

fn push_cell(out: &mut String, cell: &Cell) {
    match cell {
        Cell::Int(number) => out.push_str(&number.to_string()),
        Cell::Text(text) => push_quoted(out, text),
    }
}
