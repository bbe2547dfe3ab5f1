//! `POST /demo/api`: what the back end of a site does, for the chat at `/demo`. Its users live in a tenant of their own.
//!
//! Promise: users, their messages, requests at once and requests of one address are bounded; nobody acts for somebody
//! else without his key; texts reach the core as parameters, never as part of a statement.

mod backend;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use comet_core::DevId;
use hyper::StatusCode;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};

use super::access::{Asked, Audience};
use super::answer::{Answer, Refusal, endpoint, not_found};
use super::endpoint::{self, FULL, UNABLE};
use crate::shard::Shard;
use crate::sql::{self, InternalSession};
use crate::turns::Turns;
use backend::Backend;

/// Longest request.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Requests at once.
const REQUESTS_MAX: usize = 64;
/// Requests of one address: at once, and the time until there is another one.
const BURST: u64 = 40;
const TURN_US: u64 = 50_000;
/// How long one request may take.
const TIME_MAX: Duration = Duration::from_secs(10);

const NOT_UNDERSTOOD: Refusal =
    Refusal::new(StatusCode::BAD_REQUEST, "this is no request of the demonstration");
const TOO_OFTEN: &str = "too many requests, slow down";

/// The door to the demonstration.
#[derive(Debug)]
pub(super) struct Demo {
    pub(super) audience: Audience,
    dev: DevId,
    turns: Turns,
    room: Arc<Semaphore>,
    /// Held while a free number is looked for and taken.
    entering: Arc<Mutex<()>>,
}

/// What a page asks.
#[derive(Deserialize, Debug)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Action {
    /// Somebody new.
    Enter { name: String },
    /// Somebody who was here before.
    Return { user_id: u32, user_key: String },
    /// Another name.
    Rename {
        user_id: u32,
        user_key: String,
        name: String,
    },
    /// A message to one person.
    Private {
        user_id: u32,
        user_key: String,
        to: u32,
        text: String,
    },
}

impl Action {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|_| NOT_UNDERSTOOD)
    }
}

/// What a request's body asks; `None`: it is refused.
pub(super) fn action(body: &[u8]) -> Option<String> {
    Some(format!("{:?}", Action::read(body).ok()?))
}

impl Demo {
    pub(super) fn new(audience: Audience, dev: DevId) -> Self {
        Self {
            audience,
            dev,
            turns: Turns::new(BURST, TURN_US),
            room: Arc::new(Semaphore::new(REQUESTS_MAX)),
            entering: Arc::default(),
        }
    }
}

/// Answers a request.
pub(super) async fn api(shard: &Rc<Shard>, asked: &Asked, body: Incoming) -> Answer {
    if !shard.shared.site.demo.audience.includes(asked) {
        return not_found();
    }
    match run(shard, asked, body).await {
        Ok(json) => endpoint(StatusCode::OK, json),
        Err(refusal) => refusal.answer(),
    }
}

async fn run(shard: &Rc<Shard>, asked: &Asked, body: Incoming) -> Result<String, Refusal> {
    let shared = &shard.shared;
    let demo = &shared.site.demo;
    endpoint::check_sender(asked)?;
    // The last sessions there are belong to the site, which makes room with them (protocol.md 8.7).
    let is_full = || shared.metrics.memory.is_full();
    if is_full() {
        return Err(UNABLE);
    }
    let turn = demo
        .turns
        .take(endpoint::client(asked, shared), shared.clock.mono());
    turn.map_err(|wait| endpoint::too_often(TOO_OFTEN, wait))?;
    // Read first: whoever sends slowly keeps nobody out.
    let body = endpoint::read(body, BODY_BYTES_MAX, shared).await?;
    if is_full() {
        return Err(UNABLE);
    }
    let room = demo.room.clone().try_acquire_owned().map_err(|_| FULL)?;
    let action = Action::read(&body)?;
    let (dev, entering) = (demo.dev, demo.entering.clone());
    let of_session = shard.clone();
    let work = async move |session: &mut InternalSession| {
        let _room = room;
        let mut backend = Backend {
            session,
            shared: &of_session.shared,
            dev,
        };
        match action {
            Action::Enter { name } => {
                let _alone = entering.lock().await;
                backend.enter(&name).await
            }
            Action::Return { user_id, user_key } => backend.come_back(user_id, &user_key).await,
            Action::Rename {
                user_id,
                user_key,
                name,
            } => backend.rename(user_id, &user_key, &name).await,
            Action::Private {
                user_id,
                user_key,
                to,
                text,
            } => backend.private(user_id, &user_key, to, text).await,
        }
    };
    let done = sql::with_session(shard.clone(), dev, TIME_MAX, work).await;
    done.ok_or(UNABLE)?.map(|answer| answer.to_string())
}
