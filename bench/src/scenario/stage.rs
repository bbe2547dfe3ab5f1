//! What every scenario does before it measures: open pages and wait for their F1, subscribe them and wait until the
//! server counts them, register users.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::clock;
use crate::failure::Failure;
use crate::net::{Event, Id, Net};
use crate::progress::Progress;
use crate::sql::client::Client;
use crate::ws::handshake::Identity;
use crate::ws::message::Message;

/// Without any progress for this long, a stage has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Handshakes in progress at once where a scenario does not say.
pub(crate) const OPENING: usize = 256;
/// Names per question; the server takes 4,000 values per list (7.3).
const NAMES_PER_QUESTION: usize = 1000;

/// Opens a page for each identity, at most `window` handshakes at once. Frames after F1 go to `later` together with the
/// number of the page.
pub(crate) fn open_pages(
    net: &mut Net,
    server: SocketAddr,
    identities: &[Identity],
    window: usize,
    mut later: impl FnMut(usize, &[u8]),
) -> Result<Vec<Id>, Failure> {
    let mut ids = Vec::with_capacity(identities.len());
    let mut numbers: HashMap<Id, usize> = HashMap::with_capacity(identities.len());
    let mut open = vec![false; identities.len()];
    let mut opened = 0;
    let mut progress = Progress::new("connect");
    let mut quiet_since = clock::nanos();
    while opened < identities.len() {
        while ids.len() < identities.len() && ids.len() - opened < window {
            let id = net.connect(server, &identities[ids.len()])?;
            numbers.insert(id, ids.len());
            ids.push(id);
        }
        let before = opened;
        let mut trouble = None;
        net.turn(Duration::from_millis(100), |event| match event {
            Event::Text(id, frame) => {
                let Some(&number) = numbers.get(&id) else { return };
                if open[number] {
                    later(number, frame);
                    return;
                }
                open[number] = true;
                opened += 1;
                if let Err(text) = check_server_info(frame, identities[number].user != 0) {
                    trouble = Some(text);
                }
            }
            Event::Gone(id, reason) => {
                let number = numbers.get(&id).copied().unwrap_or_default();
                trouble = Some(format!(
                    "page {number} of {} ended while opening: {reason}",
                    identities.len()
                ));
            }
            Event::Ping(..) | Event::Reply(..) => {}
        })?;
        if let Some(text) = trouble {
            return Err(Failure::told(text));
        }
        let now = clock::nanos();
        if opened > before {
            quiet_since = now;
        } else if now > quiet_since + clock::span(PATIENCE) {
            return Err(Failure::told(format!(
                "only {opened} of {} pages opened",
                identities.len()
            )));
        }
        progress.tick(|| format!("{opened} of {}", identities.len()));
    }
    Ok(ids)
}

/// The first frame of a connection must be F1 and know whether it is a user.
pub(crate) fn check_server_info(frame: &[u8], authorized: bool) -> Result<(), String> {
    let message = Message::parse(frame)?;
    if !message.is_server_info() {
        return Err(format!(
            "the first frame is not F1: {}",
            String::from_utf8_lossy(frame)
        ));
    }
    if message.authorized != authorized {
        return Err(format!(
            "a page has authorized={} instead of {authorized}",
            message.authorized
        ));
    }
    Ok(())
}

/// Subscribes each page to one channel and waits until the server counts them all (7.11).
pub(crate) fn subscribe(net: &mut Net, control: &mut Client, pages: &[(Id, String)]) -> Result<(), Failure> {
    let mut wanted: HashMap<&str, u64> = HashMap::new();
    for (id, name) in pages {
        net.send(*id, &format!("subscription\n{name}"));
        *wanted.entry(name).or_default() += 1;
    }
    let names: Vec<&str> = wanted.keys().copied().collect();
    let mut progress = Progress::new("subscribe");
    let deadline = clock::nanos() + clock::span(PATIENCE);
    loop {
        let mut gone = None;
        net.turn(Duration::from_millis(10), |event| {
            if let Event::Gone(_, reason) = event {
                gone = Some(reason);
            }
        })?;
        if let Some(reason) = gone {
            return Err(Failure::told(format!("a page ended while subscribing: {reason}")));
        }
        let counted = subscribers(control, &names)?;
        if counted >= pages.len() as u64 {
            return Ok(());
        }
        if clock::nanos() > deadline {
            return Err(Failure::told(format!(
                "the server counts {counted} of {} subscribers",
                pages.len()
            )));
        }
        progress.tick(|| format!("{counted} of {}", pages.len()));
    }
}

/// Connections subscribed to these channels, added up (7.11).
pub(crate) fn subscribers(control: &mut Client, names: &[&str]) -> Result<u64, Failure> {
    let mut sum = 0;
    for names in names.chunks(NAMES_PER_QUESTION) {
        let list = names.join("', '");
        for row in control.rows(&format!("SELECT name, users FROM pipes WHERE name IN ('{list}')"))? {
            sum += row
                .get(1)
                .and_then(|users| users.parse::<u64>().ok())
                .unwrap_or(0);
        }
    }
    Ok(sum)
}

/// The key of a user of a run.
pub(crate) fn key_of(user: u32) -> String {
    format!("key_{user}")
}

/// A uuid of 32 name characters for a page of a run.
pub(crate) fn uuid_of(page: usize) -> String {
    format!("bench_page_{page:021}")
}

/// Page `number` of a run, anonymous or as user `number` + 1.
pub(crate) fn identity(number: usize, authorized: bool) -> Identity {
    let uuid = uuid_of(number);
    if !authorized {
        return Identity::anonymous(uuid);
    }
    let user = u32::try_from(number + 1).expect("far fewer pages than 2^32");
    Identity {
        user,
        key: key_of(user),
        uuid,
    }
}

/// Registers the keys of users (7.6), many with one statement.
pub(crate) fn register_users(control: &mut Client, users: impl Iterator<Item = u32>) -> Result<(), Failure> {
    let mut users = users.peekable();
    control.execute_all(std::iter::from_fn(|| {
        users.peek()?;
        let rows = users.by_ref().take(NAMES_PER_QUESTION);
        let rows: Vec<String> = rows.map(|user| format!("({user}, '{}')", key_of(user))).collect();
        Some(format!(
            "INSERT INTO users_auth (id, hash) VALUES {}",
            rows.join(", ")
        ))
    }))
}

/// Takes back what is still owed to users from before.
pub(crate) fn forget_queues(control: &mut Client, users: &[u32]) -> Result<(), Failure> {
    control.execute_all(users.chunks(NAMES_PER_QUESTION).map(|users| {
        let list: Vec<String> = users.iter().map(ToString::to_string).collect();
        format!("DELETE FROM users_messages WHERE id IN ({})", list.join(", "))
    }))
}

/// Messages the server still owes these users (7.9).
pub(crate) fn queued(control: &mut Client, users: &[u32]) -> Result<u64, Failure> {
    let mut sum = 0;
    for users in users.chunks(NAMES_PER_QUESTION) {
        let list = users
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let rows = control.rows(&format!(
            "SELECT COUNT(*) FROM users_messages WHERE id IN ({list})"
        ))?;
        sum += rows
            .first()
            .and_then(|row| row.first())
            .and_then(|count| count.parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(sum)
}

/// Waits until nothing is owed to these users any more, answering Pings meanwhile; what is left after `patience`.
pub(crate) fn wait_until_paid(
    net: &mut Net,
    control: &mut Client,
    users: &[u32],
    patience: Duration,
    mut on_frame: impl FnMut(Id, &[u8]),
) -> Result<u64, Failure> {
    let deadline = clock::nanos() + clock::span(patience);
    let mut progress = Progress::new("wait for empty queues");
    loop {
        let left = queued(control, users)?;
        if left == 0 || clock::nanos() > deadline {
            return Ok(left);
        }
        progress.tick(|| format!("{left} messages left"));
        net.turn(Duration::from_millis(50), |event| {
            if let Event::Text(id, frame) = event {
                on_frame(id, frame);
            }
        })?;
    }
}

/// Keeps the network going for a while, for frames that should not come.
pub(crate) fn linger(
    net: &mut Net,
    duration: Duration,
    mut on_frame: impl FnMut(Id, &[u8]),
) -> Result<(), Failure> {
    let end = clock::nanos() + clock::span(duration);
    while clock::nanos() < end {
        net.turn(Duration::from_millis(20), |event| {
            if let Event::Text(id, frame) = event {
                on_frame(id, frame);
            }
        })?;
    }
    Ok(())
}
