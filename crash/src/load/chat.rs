//! One user with a page of version 5: it sends with send keys into a channel with a history and repeats what has no
//! outcome on its next connection; a back end sends it private messages, which it acknowledges.
//!
//! What must hold after a crash: the channel's history is a gapless row of numbers that ends between the last one
//! reported and the last one sent, each of them once; every private message answered OK waits in the queue or was handled by
//! the page; what had left the queue does not come back; an id names one message for ever; nobody is online (Q30).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use serde_json::Value;

use crate::page::Page;
use crate::process::{Addresses, Ending};
use crate::sql::{Reply, Session};

const USER: u32 = 500;
const CHANNEL: &str = "web_crash";
const HISTORY_MAX: u64 = 99;
/// Messages under way to the server at once.
const WINDOW: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Chat {
    /// The newest number sent into the channel.
    sent: u64,
    /// Sent and without an outcome yet.
    open: VecDeque<u64>,
    /// The newest number reported as stored.
    reported: u64,
    /// The newest number sent to the user.
    queued: u64,
    /// Those answered OK.
    acknowledged: BTreeSet<u64>,
    /// What the page handled, by id.
    handled: BTreeMap<String, u64>,
    /// What had left the queue at the last check.
    gone: BTreeSet<u64>,
    last_seen: u64,
    was_online: bool,
}

impl Chat {
    /// Registers the user. Once, before any crash.
    pub(crate) fn prepare(to: Addresses) -> Result<(), String> {
        let told = |error: io::Error| format!("preparing: {error}");
        let mut session = Session::connect(to.sql).map_err(told)?;
        for statement in [
            format!("INSERT INTO users_auth (id, hash) VALUES ({USER}, 'pagekey')"),
            format!("INSERT INTO pipes_settings (name, length) VALUES ('{CHANNEL}', {HISTORY_MAX})"),
        ] {
            session.execute(statement).map_err(told)?;
        }
        Ok(())
    }

    /// What was sent, by the page and to it.
    pub(crate) fn sent(&self) -> u64 {
        self.sent + self.queued
    }

    /// What was told to be safe so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.reported + self.acknowledged.len() as u64
    }

    /// Both sides at once, until the server is gone.
    pub(crate) fn work(&mut self, to: Addresses, ending: &Ending) -> Result<(), String> {
        let (first, mut sent) = (self.queued, self.queued);
        let mut acknowledged = BTreeSet::new();
        let outcome = std::thread::scope(|scope| {
            let back_end = scope.spawn(|| back_end(to, ending, first, &mut sent, &mut acknowledged));
            let outcome = self.page(to, ending);
            let other = back_end
                .join()
                .unwrap_or_else(|_| Err("the back end failed".to_owned()));
            outcome.and(other)
        });
        self.queued = sent;
        self.acknowledged.append(&mut acknowledged);
        outcome
    }

    fn page(&mut self, to: Addresses, ending: &Ending) -> Result<(), String> {
        let mut page = match Page::open(to.ws, USER, "pagekey", "crashing-tab") {
            Ok(page) => page,
            Err(error) => return ending.explains(&error),
        };
        // Nothing of the old connection will be answered any more: it is sent again, under the same send key.
        for number in self.open.clone() {
            if let Err(error) = page.send(&command(number)) {
                return ending.explains(&error);
            }
        }
        loop {
            while self.open.len() < WINDOW {
                self.sent += 1;
                self.open.push_back(self.sent);
                if let Err(error) = page.send(&command(self.sent)) {
                    return ending.explains(&error);
                }
            }
            let frame = match page.next() {
                Ok(frame) => frame,
                Err(error) => return ending.explains(&error),
            };
            self.frame(&frame, &mut page, ending)?;
        }
    }

    fn frame(&mut self, frame: &Value, page: &mut Page, ending: &Ending) -> Result<(), String> {
        if frame["authorized"] == true {
            self.was_online = true;
        }
        if let Some(number) = frame["re"].as_u64() {
            return self.reported(number, frame, ending);
        }
        let (Some(id), Some(number)) = (frame["uuid"].as_str(), frame["data"].as_u64()) else {
            return Ok(());
        };
        if frame["pipe"] != "msg" {
            return Ok(());
        }
        let before = self.handled.insert(id.to_owned(), number);
        if before.is_some_and(|before| before != number) {
            return Err(format!("the id {id} names {before:?} and {number}"));
        }
        // Whether it leaves shows on the next frame.
        let _ = page.send(&format!("ack⏎{id}"));
        Ok(())
    }

    fn reported(&mut self, number: u64, frame: &Value, ending: &Ending) -> Result<(), String> {
        if frame["event"] != "answer" {
            return Err(format!("number {number} was answered {frame}"));
        }
        // A server that is stopping says so, and the message is sent again later.
        if frame["data"]["error"] != "" {
            let finding = || format!("number {number} was refused: {frame}");
            return ending.has_begun().then_some(()).ok_or_else(finding);
        }
        self.open.retain(|open| *open != number);
        self.reported = self.open.front().map_or(self.sent, |first| first - 1);
        Ok(())
    }

    /// Compares with what the server holds, before the page comes back.
    pub(crate) fn check(&mut self, session: &mut Session) -> Result<(), String> {
        let mut column = |statement: String| -> Result<Vec<u64>, String> {
            let rows = session
                .rows(statement)
                .map_err(|error| format!("asking failed: {error}"))?;
            let number = |row: &Vec<String>| row.first()?.parse().ok();
            Ok(rows.iter().filter_map(number).collect())
        };
        let history = column(format!(
            "SELECT message FROM pipes_messages WHERE name = '{CHANNEL}'"
        ))?;
        let queue = column(format!("SELECT message FROM users_messages WHERE id = {USER}"))?;
        let seen = session
            .rows(format!("SELECT * FROM users_time WHERE id = {USER}"))
            .map_err(|error| format!("asking failed: {error}"))?;
        self.check_history(&history)?;
        self.check_queue(&queue)?;
        let time = seen
            .first()
            .and_then(|row| row.get(1))
            .and_then(|time| time.parse::<i64>().ok());
        self.check_time(time.unwrap_or(-1))
    }

    fn check_history(&self, history: &[u64]) -> Result<(), String> {
        let newest = history.last().copied().unwrap_or(0);
        let kept = newest.min(HISTORY_MAX);
        let expected: Vec<u64> = (newest - kept + 1..=newest).collect();
        if history != expected || newest < self.reported || newest > self.sent {
            return Err(format!(
                "history {history:?}, reported up to {}, sent up to {}",
                self.reported, self.sent
            ));
        }
        Ok(())
    }

    fn check_queue(&mut self, queue: &[u64]) -> Result<(), String> {
        if !queue.is_sorted_by(|a, b| a < b) || queue.last().is_some_and(|newest| *newest > self.queued) {
            return Err(format!("the queue is out of order: {queue:?}"));
        }
        let there: BTreeSet<u64> = queue.iter().copied().collect();
        if let Some(back) = there.intersection(&self.gone).next() {
            return Err(format!("private message {back} is back"));
        }
        let handled: BTreeSet<u64> = self.handled.values().copied().collect();
        let lost = self
            .acknowledged
            .iter()
            .find(|number| !there.contains(number) && !handled.contains(number));
        if let Some(lost) = lost {
            return Err(format!("private message {lost} was acknowledged and is missing"));
        }
        self.gone.extend(handled.difference(&there));
        Ok(())
    }

    fn check_time(&mut self, time: i64) -> Result<(), String> {
        let time = u64::try_from(time).unwrap_or(0);
        if (self.was_online && self.last_seen > 0 && time == 0) || time < self.last_seen {
            return Err(format!("last seen {time}, before it was {}", self.last_seen));
        }
        self.last_seen = time;
        Ok(())
    }
}

fn command(number: u64) -> String {
    format!("web_pipe2 {number}⏎{CHANNEL}⏎n⏎crashing-{number:08}⏎{number}")
}

/// Sends numbered private messages until the server is gone.
fn back_end(
    to: Addresses,
    ending: &Ending,
    first: u64,
    sent: &mut u64,
    acknowledged: &mut BTreeSet<u64>,
) -> Result<(), String> {
    let mut session = match Session::connect(to.sql) {
        Ok(session) => session,
        Err(error) => return ending.explains(&error),
    };
    for number in first + 1.. {
        *sent = number;
        let insert =
            format!("INSERT INTO users_messages (id, event, message) VALUES ({USER}, 'n', '{number}')");
        if let Err(error) = session.send(&[insert]) {
            return ending.explains(&error);
        }
        match session.reply() {
            Ok(Reply::Ok) => acknowledged.insert(number),
            // 11: the queue is full, because the page is slower than we are; the number is simply missing.
            Ok(Reply::Refused(11)) => continue,
            Ok(Reply::Refused(500)) if ending.has_begun() => return Ok(()),
            Err(error) => return ending.explains(&error),
            Ok(reply) => return Err(format!("private message {number}: {reply:?}")),
        };
    }
    Ok(())
}
