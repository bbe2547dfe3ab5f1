//! A store with any rows (protocol.md, appendix B): either the start is refused in a sentence, or there is a server that
//! keeps all its invariants and can be used.

use std::net::Ipv4Addr;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use comet_core::cometql::{Limits, parse};
use comet_core::wire::{self, RequestHeaders};
use comet_core::{
    Action, CheckedConfig, CloseCause, ConnId, Core, DevId, Durable, Event, Login, Mono, Now, RequestId, Seq,
    SessionId, UnixMillis,
};
use comet_server::fuzzing::{Cell, TABLES, load};

use crate::config;

const TEXTS: [&str; 12] = [
    "web_a",
    "ab",
    "a",
    "",
    "e",
    "key",
    "01890000-0000-7000-8000-000000000001",
    "01890000-0000-7000-8000-00000000000X",
    "trust_a",
    "\0",
    "a text\u{e9}",
    "msg",
];
const NUMBERS: [i64; 14] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    -1,
    65_535,
    2_147_483_647,
    2_147_483_648,
    4_294_967_296,
    i64::MAX,
    i64::MIN,
];

/// `data` is a list of choices: rows, and whether the tables refuse wrong types.
pub fn store(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let checked = choices.ratio(1, 2).unwrap_or(true);
    let mut rows = Vec::new();
    while !choices.is_empty() && rows.len() < 40 {
        let Ok(row) = row(&mut choices) else { break };
        rows.push(row);
    }
    match load(rows, checked) {
        Ok(durable) => serve(durable),
        Err(sentence) => assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence}"),
    }
}

/// Mostly what the columns of the table want.
fn row(choices: &mut Unstructured<'_>) -> Result<(usize, Vec<Cell>)> {
    let table = choices.choose_index(TABLES.len())?;
    let kinds = match TABLES[table].0 {
        "users_auth" | "users_data" => "nus",
        "users_time" => "nun",
        "users_messages" => "nnuinss",
        "pipes_settings" => "ncn",
        "pipe_messages" => "ncninssu",
        _ => "nsn",
    };
    let cells = kinds
        .chars()
        .map(|kind| cell(choices, kind))
        .collect::<Result<_>>()?;
    Ok((table, cells))
}

fn cell(choices: &mut Unstructured<'_>, kind: char) -> Result<Cell> {
    if choices.ratio(1, 32)? {
        let length = choices.int_in_range(0..=8)?;
        return Ok(match choices.int_in_range(0..=4u8)? {
            0 => Cell::Null,
            1 => Cell::Real(choices.arbitrary()?),
            2 => Cell::Blob(choices.bytes(choices.len().min(length))?.to_vec()),
            3 => Cell::Text((*choices.choose(&TEXTS)?).to_owned()),
            _ => Cell::Int(*choices.choose(&NUMBERS)?),
        });
    }
    Ok(match kind {
        'u' => Cell::Int(choices.int_in_range(1..=3)?),
        'n' if choices.ratio(1, 8)? => Cell::Int(*choices.choose(&NUMBERS)?),
        'n' => Cell::Int(choices.int_in_range(0..=2)?),
        'i' => Cell::Text(format!(
            "01890000-0000-7000-8000-0000000000{:02}",
            choices.int_in_range(0..=9u8)?
        )),
        'c' => Cell::Text((*choices.choose(&["web_a", "trust_a", "ab"])?).to_owned()),
        _ => Cell::Text((*choices.choose(&TEXTS)?).to_owned()),
    })
}

/// A start with this state, a page of a user, a statement for each table, and a stop.
fn serve(durable: Durable) {
    let config = config();
    let now = Now {
        mono: Mono::ZERO,
        unix: UnixMillis(1_700_000_000_000),
    };
    let mut disk = durable.clone();
    let mut actions = Vec::new();
    let mut core = Core::start(config.clone(), durable, 1, now, &mut actions);
    core.check();
    for event in events(&config) {
        core.handle(now, event, &mut actions);
        core.check();
    }
    for action in &actions {
        if let Action::Persist { record, .. } = action {
            disk.apply(record);
        }
    }
    assert_eq!(core.durable(), &disk, "the state is the fold of its records");
    let fits = |seq: Seq| seq <= Seq::END;
    assert!(fits(disk.max_seq()), "a position that no column holds");
}

const STATEMENTS: [&str; 8] = [
    "INSERT INTO users_messages (id, event, message) VALUES (1, 'e', 'x')",
    "INSERT INTO pipes_messages (name, event, message) VALUES ('web_a', 'e', 'x')",
    "INSERT INTO pipes_settings (name, length) VALUES ('web_a', 2)",
    "SELECT * FROM pipes_messages WHERE name = 'web_a'",
    "SELECT * FROM users_messages WHERE id = 1",
    "DELETE FROM users_messages WHERE id = 1 LIMIT 1",
    "DELETE FROM pipes_settings WHERE name = 'web_a'",
    "INSERT INTO users_auth (id, hash) VALUES (1, 'key')",
];

fn events(config: &CheckedConfig) -> Vec<Event> {
    let (conn, session) = (ConnId(1), SessionId(1));
    let client = Arc::new(RequestHeaders::default().client_info(Ipv4Addr::LOCALHOST.into()));
    let target = b"/ws/sesion=key&myid=1&devid=0&v=5.0&uuid=u";
    let hello = wire::hello(target, None, &[], config.dev_index_size);
    let mut events = vec![
        Event::Opened { conn, hello, client },
        Event::SessionOpened {
            session,
            login: Login::Tenant(DevId(0)),
            database: "".into(),
        },
    ];
    for text in [
        "subscription\nweb_a\ntrust_a",
        "pipe_log\nweb_a\n",
        "web_pipe2\nweb_a\ne\n*\nx",
    ] {
        let command = wire::decode(text, config.body_bytes_max);
        events.push(Event::Request { conn, command });
    }
    let limits = Limits::of(config);
    for (req, text) in (0..).map(RequestId).zip(STATEMENTS) {
        let statement = parse(text.as_bytes(), &limits);
        events.push(Event::Query {
            session,
            req,
            statement,
        });
    }
    let cause = CloseCause::Peer;
    events.extend([Event::Closed { conn, cause }, Event::Shutdown]);
    events
}
