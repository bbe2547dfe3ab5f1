//! Load from several processes. One process may hold as many sockets as its limit of open files says (`ulimit -Hn`), so
//! more pages than that are shared by processes of this same binary. They get orders and tell counters as lines of JSON
//! over standard input and output; everything a page receives is judged where it arrives.

mod crowd;
mod inbox;
pub(crate) mod news;
mod room;
pub(crate) mod worker;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, While as _};
use crate::proc;
use news::News;

/// What a worker can be told to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Open every page that is not open, and subscribe it.
    Open,
    /// Close all sockets at once, as killed browsers do.
    Drop,
    /// Ask a question on every open page.
    Ask,
    /// Count as lost what has not come of this many acknowledged messages: by session, and by room.
    Judge { sessions: Vec<u32>, rooms: Vec<u32> },
}

/// Pages of a run, before they are shared out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) pages: usize,
    /// One user with a key per page, numbered from 1.
    pub(crate) authorized: bool,
    /// Handshakes in progress at once, of all workers.
    pub(crate) opening: usize,
    pub(crate) rooms: usize,
    pub(crate) own_channels: bool,
    /// Every how-many-th page asks for the history of its room when it comes back; 0 for none.
    pub(crate) history: usize,
}

/// The channel a page shares with others.
pub(crate) fn room_name(room: usize) -> String {
    format!("bench_room_{room}")
}

/// The channel a page has for itself.
pub(crate) fn own_channel(page: usize) -> String {
    format!("bench_own_{page}")
}

struct Worker {
    child: Child,
    news: Receiver<News>,
    latest: News,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends with its standard input; killing spares the wait. Already gone is fine.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub(crate) struct Workers {
    workers: Vec<Worker>,
    orders: u64,
}

impl Workers {
    /// Starts as many processes as the pages need and waits until all of them are there.
    pub(crate) fn start(server: SocketAddr, plan: &Plan) -> Result<Self, Failure> {
        let allowed = usize::try_from(proc::allowed_connections()).unwrap_or(usize::MAX);
        let count = plan.pages.div_ceil(allowed.max(1)).max(1);
        if count > usize::from(u8::MAX) {
            return Err(Failure::told(format!(
                "{count} processes would be needed; raise the limit of open files"
            )));
        }
        let mut workers = Vec::new();
        for number in 0..count {
            let first = plan.pages * number / count;
            let end = plan.pages * (number + 1) / count;
            workers.push(Worker::start(server, plan, number, first, end - first, count)?);
        }
        let mut workers = Self { workers, orders: 0 };
        for worker in &mut workers.workers {
            worker.latest = worker
                .news
                .recv_timeout(Duration::from_secs(20))
                .map_err(|_| Failure::told("a worker process did not start"))?;
        }
        Ok(workers)
    }

    pub(crate) fn count(&self) -> usize {
        self.workers.len()
    }

    /// Gives an order to all; `is_done` tells when all have carried it out.
    pub(crate) fn order(&mut self, order: &Order) -> Result<(), Failure> {
        let line = serde_json::to_string(order).map_err(|error| Failure::told(error.to_string()))?;
        for worker in &mut self.workers {
            let input = worker.child.stdin.as_mut();
            let input = input.ok_or_else(|| Failure::told("a worker process has no input"))?;
            writeln!(input, "{line}").or_while("tell a worker process what to do")?;
        }
        self.orders += 1;
        Ok(())
    }

    /// The sum of what all have told so far; does not wait.
    pub(crate) fn news(&mut self) -> Result<News, Failure> {
        for worker in &mut self.workers {
            loop {
                match worker.news.try_recv() {
                    Ok(news) => worker.latest = news,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        return Err(Failure::told("a worker process has ended"));
                    }
                }
            }
        }
        Ok(News::sum(self.workers.iter().map(|worker| &worker.latest)))
    }

    /// Whether these news are from after the last order.
    pub(crate) fn is_done(&self, news: &News) -> bool {
        news.done >= self.orders
    }
}

impl Worker {
    fn start(
        server: SocketAddr,
        plan: &Plan,
        number: usize,
        first: usize,
        count: usize,
        workers: usize,
    ) -> Result<Self, Failure> {
        let own = std::env::current_exe().or_while("find the own binary")?;
        let mut command = Command::new(own);
        command.args(["worker", "--ws", &server.to_string()]);
        let opening = (plan.opening / workers).max(1);
        for (name, value) in [
            ("--number", number),
            ("--first", first),
            ("--count", count),
            ("--opening", opening),
            ("--rooms", plan.rooms),
            ("--users", plan.pages),
            ("--history", plan.history),
        ] {
            command.args([name, &value.to_string()]);
        }
        command.args(plan.authorized.then_some("--authorized"));
        command.args(plan.own_channels.then_some("--own"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().or_while("start a worker process")?;
        let output = child.stdout.take();
        let output = output.ok_or_else(|| Failure::told("a worker process has no output"))?;
        let (sender, news) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for news in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send(news).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            news,
            latest: News::default(),
        })
    }
}
