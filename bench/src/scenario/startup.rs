//! A server that has much to remember is started: how long until a statement and a WebSocket handshake are answered, and
//! that it does remember.

use super::stage;
use crate::args::scale::StartupArgs;
use crate::clock;
use crate::failure::Failure;
use crate::net::Net;
use crate::progress::Progress;
use crate::report::Round;
use crate::server::Server;
use crate::sql::client::Client;
use crate::stamp::{STAMP_LEN, Stamp};

/// Rows of one INSERT.
const ROWS: usize = 500;
/// Statements sent before the first answer is waited for.
const BATCH: usize = 8;
/// Users whose key and queue are looked at after each start.
const SAMPLES: u32 = 1000;

/// Fills the store of a server that was started for it and ends the server.
pub(crate) fn fill(server: &mut Server, args: &StartupArgs) -> Result<f64, Failure> {
    let begun = clock::nanos();
    let mut control = server.client()?;
    let mut progress = Progress::new("store users");
    let users: Vec<u32> = (1..=args.users).collect();
    for (at, users) in users.chunks(ROWS * BATCH).enumerate() {
        stage::register_users(&mut control, users.iter().copied())?;
        progress.tick(|| format!("{} of {}", at * ROWS * BATCH, args.users));
    }
    let mut progress = Progress::new("store messages");
    let messages: Vec<u32> = (0..args.messages).collect();
    for (at, messages) in messages.chunks(ROWS * BATCH).enumerate() {
        control.execute_all(messages.chunks(ROWS).map(|messages| statement(args, messages)))?;
        progress.tick(|| format!("{} of {}", at * ROWS * BATCH, args.messages));
    }
    drop(control);
    let seconds = clock::seconds(begun, clock::nanos());
    server.end()?;
    Ok(f64::from(args.users + args.messages) / seconds)
}

/// The first `each` messages belong to user 1, and so on.
fn statement(args: &StartupArgs, messages: &[u32]) -> String {
    let mut text = String::from("INSERT INTO users_messages (id, event, message) VALUES ");
    for (at, message) in messages.iter().enumerate() {
        let user = message / args.each;
        text.push_str(if at == 0 { "(" } else { ", (" });
        text.push_str(&(user + 1).to_string());
        text.push_str(", 'bench', '");
        Stamp {
            publisher: 0,
            sequence: message % args.each,
            slot: user,
            nanos: 0,
        }
        .padded(args.body.max(STAMP_LEN), &mut text);
        text.push_str("')");
    }
    text
}

/// One start of the filled server, which is ended again.
pub(crate) fn round(server: &mut Server, args: &StartupArgs) -> Result<Round, Failure> {
    let mut round = Round::default();
    let begun = clock::nanos();
    server.restart()?;
    let mut control = server.client()?;
    control.rows("SELECT hash FROM users_auth WHERE id = 1")?;
    let statement = clock::seconds(begun, clock::nanos());
    let mut net = Net::new()?;
    // A user without messages: those of the others must still be there at the next start.
    let page = stage::identity(args.users as usize - 1, true);
    let ids = stage::open_pages(&mut net, server.ws, &[page], 1, |_, _| {})?;
    let handshake = clock::seconds(begun, clock::nanos());
    round.add("first_statement", statement, "s from start to answer");
    round.add("first_handshake", handshake, "s from start to F1 of a user");
    round.add("ready", statement.max(handshake), "s");
    round.add_known("rss", server.rss_bytes().map(|bytes| bytes / 1024.0), "KiB");
    round.add_known("cpu", server.cpu_seconds(), "s of server CPU");
    for id in ids {
        net.drop_socket(id);
    }
    check(&mut control, args, &mut round)?;
    drop(control);
    let ended = clock::nanos();
    server.end()?;
    round.add("end", clock::seconds(ended, clock::nanos()), "s to end in order");
    Ok(round)
}

/// Looks at users from the whole range: each has his key and his messages.
fn check(control: &mut Client, args: &StartupArgs, round: &mut Round) -> Result<(), Failure> {
    let step = (args.users / SAMPLES).max(1);
    let mut wrong = 0_u32;
    let mut checked = 0_u32;
    for user in (0..args.users).step_by(step as usize) {
        let rows = control.rows(&format!("SELECT hash FROM users_auth WHERE id = {}", user + 1))?;
        wrong += u32::from(rows != [[stage::key_of(user + 1)]]);
        let rows = control.rows(&format!(
            "SELECT message FROM users_messages WHERE id = {}",
            user + 1
        ))?;
        let stamps = rows.iter().filter_map(|row| Stamp::find(row.first()?.as_bytes()));
        let numbers = stamps
            .filter(|stamp| stamp.slot == user)
            .map(|stamp| stamp.sequence);
        let due = args
            .messages
            .saturating_sub(user.saturating_mul(args.each))
            .min(args.each);
        wrong += u32::from(!numbers.eq(0..due));
        checked += 1;
    }
    round.add("checked", f64::from(checked), "users, their key and their queue");
    if wrong > 0 {
        round.fault(format!(
            "{wrong} keys or queues of {checked} users are not what was stored"
        ));
    }
    Ok(())
}

/// Settings while the store is being filled: nobody asks how.
pub(crate) fn while_filling() -> Vec<(String, String)> {
    vec![("COMET_DURABILITY".into(), "os".into())]
}
