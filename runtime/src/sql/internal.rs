//! A CometQL session without a MySQL client: for the console and the demonstration, which come over HTTP.
//!
//! Promise: the core and the counters cannot tell it from any other session; it is always closed, also if whoever
//! asked is gone; it ends at its time limit. Statements run one after another.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use comet_core::cometql::{self, Param, Statement};
use comet_core::{DevId, Event, Login, Mono, QueryError, Reply, RequestId, SessionId};

use super::mailbox::Mailbox;
use super::statement;
use crate::rt::task;
use crate::rt::time::timeout;
use crate::shard::Shard;

/// Why there is no reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unanswered {
    /// The server stops, or the core closed the session.
    Closed,
    /// The time limit of the session is over. The statement may still take effect.
    TooLate,
}

/// A session that is logged in.
pub(crate) struct InternalSession {
    shard: Rc<Shard>,
    id: SessionId,
    mailbox: Rc<Mailbox>,
    /// For the statement log.
    dev: DevId,
    next: u64,
    ends: Mono,
}

/// Does `work` with a session of its own for this tenant, which lasts `limit` at most. Goes on if the caller is
/// dropped. `None`: the server stops.
pub(crate) async fn with_session<T: 'static>(
    shard: Rc<Shard>,
    dev: DevId,
    limit: Duration,
    work: impl AsyncFnOnce(&mut InternalSession) -> T + 'static,
) -> Option<T> {
    let task = task::spawn_local(async move {
        let mut session = InternalSession::open(shard, dev, limit).await?;
        let done = work(&mut session).await;
        session.close().await;
        Some(done)
    });
    // Only a panic could come instead.
    task.await.ok().flatten()
}

impl InternalSession {
    async fn open(shard: Rc<Shard>, dev: DevId, limit: Duration) -> Option<Self> {
        let id = shard.next_session();
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let ends = shard.shared.clock.mono().plus_ms(limit_ms);
        let session = Self {
            shard,
            id,
            mailbox: Rc::default(),
            dev,
            next: 0,
            ends,
        };
        let shared = &session.shard.shared;
        session.shard.register_session(id, session.mailbox.clone());
        shared.metrics.sessions.inc();
        shared.metrics.sessions_opened.inc();
        let opened = Event::SessionOpened {
            session: id,
            login: Login::Tenant(dev),
            database: cometql::DATABASE.into(),
        };
        if shared.events.send(vec![opened], |_| {}).await.is_err() {
            session.close().await;
            return None;
        }
        Some(session)
    }

    async fn close(self) {
        self.shard.forget_session(self.id);
        let shared = &self.shard.shared;
        shared.metrics.sessions.dec();
        let closed = Event::SessionClosed { session: self.id };
        // The core may have stopped before; then nobody counts any more.
        let _ = shared.events.send(vec![closed], |_| {}).await;
    }

    /// Runs a statement somebody typed.
    pub(crate) async fn run(&mut self, text: &str) -> Result<Reply, Unanswered> {
        let limits = self.shard.shared.limits;
        let statement = statement::parse(self.dev, text.as_bytes(), &limits);
        self.ask(statement).await
    }

    /// Runs a statement of our own with values for its `?`, which are taken as they are (protocol.md 7.2).
    pub(crate) async fn execute(&mut self, text: &str, params: &[Param]) -> Result<Reply, Unanswered> {
        let limits = self.shard.shared.limits;
        let prepared = cometql::prepare(text.as_bytes(), &limits);
        let statement = prepared.and_then(|prepared| prepared.bind(params, &limits));
        self.ask(statement).await
    }

    async fn ask(&mut self, mut statement: Result<Statement, QueryError>) -> Result<Reply, Unanswered> {
        statement::complete(&mut statement, &mut self.dev);
        let req = RequestId(self.next);
        self.next += 1;
        let query = Event::Query {
            session: self.id,
            req,
            statement,
        };
        let shared: Arc<_> = self.shard.shared.clone();
        let left = Duration::from_micros(self.ends.micros_since(shared.clock.mono()));
        let answered = timeout(left, async {
            let sent = shared.events.send(vec![query], |_| {}).await;
            sent.map_err(|_| Unanswered::Closed)?;
            self.reply(req).await
        });
        let reply = answered.await.map_err(|_| Unanswered::TooLate)??;
        if let Err(error) = &reply.result {
            shared.metrics.query_error(error.code);
        }
        Ok(reply)
    }

    async fn reply(&self, req: RequestId) -> Result<Reply, Unanswered> {
        std::future::poll_fn(|cx| {
            let waiting = self.mailbox.poll(cx);
            let found = waiting.then(|| self.mailbox.take().into_iter().find(|(of, _)| *of == req));
            match found.flatten() {
                Some((_, reply)) => Poll::Ready(Ok(reply)),
                None if self.mailbox.is_closed() => Poll::Ready(Err(Unanswered::Closed)),
                None => Poll::Pending,
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use comet_core::{Answer, Done};
    use tokio::sync::mpsc::Receiver;
    use tokio::task::LocalSet;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{self, Env};
    use crate::entropy::Entropy;
    use crate::memory::Memory;
    use crate::{events, server};

    const LIMIT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);
    const DEV: DevId = DevId(3);

    /// A shard, and the place of the core.
    fn shard() -> (Rc<Shard>, Receiver<Vec<Event>>) {
        let dir = tempfile::tempdir().unwrap();
        let cli = crate::cli::Cli {
            password: Some("x".to_owned()),
            data_dir: Some(dir.path().display().to_string()),
            ..crate::cli::Cli::default()
        };
        let settings = config::load(&cli, &Env::new()).unwrap().settings;
        let config = settings.core.clone().check().unwrap();
        let addresses = server::Addresses {
            ws: settings.ws.listen,
            cometql: None,
            metrics: None,
        };
        let (sender, receiver) = events::queue(Arc::new(Memory::new(0)));
        let (clock, entropy) = (Clock::start(), Entropy::open().unwrap());
        let shared = server::shared(&settings, &config, addresses, sender, clock, entropy).unwrap();
        (Rc::new(Shard::new(0, Arc::new(shared))), receiver)
    }

    /// What the core is told next; each batch is one event.
    async fn next(core: &mut Receiver<Vec<Event>>) -> &'static str {
        let mut batch = core.recv().await.unwrap();
        match (batch.pop(), batch.pop()) {
            (
                Some(Event::SessionOpened {
                    login: Login::Tenant(DEV),
                    ..
                }),
                None,
            ) => "opened",
            (Some(Event::Query { statement: Ok(_), .. }), None) => "query",
            (Some(Event::SessionClosed { .. }), None) => "closed",
            other => panic!("{other:?}"),
        }
    }

    async fn told(core: &mut Receiver<Vec<Event>>) -> [&'static str; 3] {
        [next(core).await, next(core).await, next(core).await]
    }

    #[tokio::test]
    async fn a_session_ends_at_its_limit() {
        let (shard, mut core) = shard();
        let work = async |session: &mut InternalSession| session.run("SELECT 1").await.unwrap_err();
        let local = LocalSet::new();
        let ended = local
            .run_until(with_session(shard.clone(), DEV, LIMIT, work))
            .await;
        assert_eq!(ended, Some(Unanswered::TooLate));
        assert_eq!(told(&mut core).await, ["opened", "query", "closed"]);
        assert_eq!(shard.shared.metrics.sessions.get(), 0);
    }

    #[tokio::test]
    async fn a_session_the_core_closes_is_over() {
        let (shard, mut core) = shard();
        let of_shard = shard.clone();
        let work = async move |session: &mut InternalSession| {
            let mailbox = session.mailbox.clone();
            task::spawn_local(async move { mailbox.close() });
            (
                session.run("SELECT 1").await.unwrap_err(),
                of_shard.shared.metrics.sessions.get(),
            )
        };
        let local = LocalSet::new();
        let ended = local.run_until(with_session(shard, DEV, LONG, work)).await;
        assert_eq!(ended, Some((Unanswered::Closed, 1)));
        assert_eq!(told(&mut core).await, ["opened", "query", "closed"]);
    }

    #[tokio::test]
    async fn without_a_core_there_is_no_session() {
        let (shard, core) = shard();
        drop(core);
        let work = async |_: &mut InternalSession| panic!("nobody is there");
        let local = LocalSet::new();
        let ended: Option<()> = local
            .run_until(with_session(shard.clone(), DEV, LONG, work))
            .await;
        assert_eq!(ended, None);
        assert_eq!(shard.shared.metrics.sessions.get(), 0);
    }

    /// Whoever asked may be gone: the statement is executed, and the session closed.
    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_nothing_behind() {
        let (shard, mut core) = shard();
        let work = async |session: &mut InternalSession| session.run("SET x").await.map(drop);
        let local = LocalSet::new();
        let asking = with_session(shard.clone(), DEV, LONG, work);
        local
            .run_until(async {
                timeout(Duration::ZERO, asking).await.unwrap_err();
                let Some(Event::SessionOpened { session, .. }) = core.recv().await.unwrap().pop() else {
                    panic!("opened first")
                };
                assert_eq!(next(&mut core).await, "query");
                let reply = Reply {
                    result: Ok(Answer::Done(Done::default())),
                    in_transaction: false,
                };
                shard.reply(session, RequestId(0), reply);
                assert_eq!(next(&mut core).await, "closed");
            })
            .await;
    }
}
