//! A back end: sessions that send statements, one after another or several at once, and end well or badly.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use comet_server::rt::sim::{connect, draw, elapsed};
use madsim::time::{sleep, timeout};

use crate::ledger::{Publication, Sender, To, text};
use crate::mysql::{Answer, Session, query};
use crate::page::CHANNELS;
use crate::world::{HISTORY, PASSWORD, Phase, SERVER_COMETQL, World};

/// How long it may take to log in.
const LOGIN_MAX: Duration = Duration::from_secs(30);
/// How long a statement may stay without answer, whatever the network does in the meantime.
const PATIENCE: Duration = Duration::from_secs(100);

/// What a statement said.
enum Said {
    Private {
        number: u64,
        user: u32,
    },
    /// Its place in the ledger.
    Message(usize),
    History {
        number: u64,
    },
    Nothing,
}

/// Works until the turmoil is over.
pub(crate) async fn live(world: Rc<World>, host: IpAddr) {
    while world.phase() == Phase::Turmoil {
        sleep(Duration::from_millis(draw(1..1000))).await;
        if let Some(session) = log_in(host).await {
            work(&world, session).await;
        }
    }
}

/// A session, if the server can be reached.
pub(crate) async fn log_in(host: IpAddr) -> Option<Session> {
    let opening = async {
        let stream = connect(host, SERVER_COMETQL).await?;
        Session::open(stream, PASSWORD).await
    };
    timeout(LOGIN_MAX, opening).await.ok()?.ok()
}

async fn work(world: &World, mut session: Session) {
    let sender = world.ledger.borrow_mut().new_sender();
    let mut number = 0;
    for _ in 0..draw(1..300) {
        if world.phase() != Phase::Turmoil {
            break;
        }
        let batch: Vec<(String, Said)> = (0..draw(1..5))
            .map(|_| {
                number += 1;
                statement(world, sender, number)
            })
            .collect();
        if !send(world, &mut session, sender, batch).await {
            return;
        }
        sleep(Duration::from_millis(draw(1..world.pause_max_ms))).await;
    }
    leave(world, session).await;
}

fn statement(world: &World, sender: Sender, number: u64) -> (String, Said) {
    let padding = draw(0..world.padding_max) as usize;
    match draw(0..10) {
        0..5 => {
            let user = 1 + draw(0..u64::from(world.users)) as u32;
            let body = text(To::User(user), sender, number, padding);
            let sql =
                format!("INSERT INTO users_messages (id, event, message) VALUES ({user}, 'ev', '{body}')");
            (sql, Said::Private { number, user })
        }
        5..8 => to_channel(world, sender, number, padding),
        8 if world.history_has_room() => {
            let body = text(To::History, sender, number, 0);
            let sql = format!(
                "INSERT INTO pipes_messages (name, event, message) VALUES ('{HISTORY}', 'ev', '{body}')"
            );
            (sql, Said::History { number })
        }
        _ => (
            "SELECT id FROM users_messages WHERE id IN (1, 2, 3)".to_owned(),
            Said::Nothing,
        ),
    }
}

fn to_channel(world: &World, sender: Sender, number: u64, padding: usize) -> (String, Said) {
    let channel = draw(0..2) as usize;
    let body = text(To::Channel(channel), sender, number, padding);
    let name = CHANNELS[channel];
    let sql = format!("INSERT INTO pipes_messages (name, event, message) VALUES ('{name}', 'ev', '{body}')");
    let publications = &mut world.ledger.borrow_mut().publications;
    publications.push(Publication {
        channel,
        sender,
        number,
        begun: elapsed(),
        answered: None,
    });
    (sql, Said::Message(publications.len() - 1))
}

/// False: the connection is gone.
async fn send(world: &World, session: &mut Session, sender: Sender, batch: Vec<(String, Said)>) -> bool {
    let losses = world.power_losses.get();
    let bytes: Vec<u8> = batch.iter().flat_map(|(sql, _)| query(sql)).collect();
    let begun = elapsed();
    match timeout(PATIENCE, session.write(&bytes)).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) | Err(_) => return false,
    }
    for (sql, said) in batch {
        world.ledger.borrow_mut().statements += 1;
        match timeout(PATIENCE, session.answer()).await {
            Ok(Ok(answer)) => note(world, sender, &sql, &said, &answer),
            Ok(Err(_)) => return false,
            // The server that knew of it has lost power since, and nobody is left to tell.
            Err(_) if world.power_losses.get() > losses => return false,
            Err(_) => panic!("7.2: neither answered nor ended, sent at {begun:?}: {sql}"),
        }
    }
    true
}

fn note(world: &World, sender: Sender, sql: &str, said: &Said, answer: &Answer) {
    let ledger = &mut world.ledger.borrow_mut();
    match (said, answer) {
        // The disk refuses; whether it happened is open.
        (_, Answer::Refused(500)) => {}
        (_, Answer::Refused(code)) => panic!("refused with {code}: {sql}"),
        (&Said::Private { number, user }, Answer::Done) => {
            ledger.accepted.insert((sender, number), user);
        }
        (&Said::Message(place), Answer::Done) => ledger.publications[place].answered = Some(elapsed()),
        (&Said::History { number }, Answer::Done) => {
            ledger.in_history.insert((sender, number));
        }
        (Said::Nothing, Answer::Rows(_)) => {}
        (_, answer) => panic!("answered with {answer:?}: {sql}"),
    }
}

/// Sends many small messages at once, fewer than a reader is allowed to be behind.
pub(crate) async fn burst(world: &World, mut session: Session) {
    let sender = world.ledger.borrow_mut().new_sender();
    let batch = (1..=20).map(|number| to_channel(world, sender, number, 100));
    let all_answered = send(world, &mut session, sender, batch.collect()).await;
    assert!(all_answered, "a session of the administrator ends");
}

async fn leave(world: &World, mut session: Session) {
    if !world.is_rough {
        return;
    }
    match draw(0..6) {
        0 => session.into_stream().reset(),
        1 => session.into_stream().vanish(),
        2 => {
            let bytes = query("INSERT INTO users_data (id, data) VALUES (1, 'half')");
            let half = draw(1..bytes.len() as u64) as usize;
            // It is reset in any case.
            let _ = session.write(&bytes[..half]).await;
            sleep(Duration::from_millis(draw(1..20))).await;
            session.into_stream().reset();
        }
        _ => {}
    }
}
