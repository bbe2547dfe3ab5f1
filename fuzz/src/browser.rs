//! Any bytes as a browser: a request target, then text messages (protocol.md 2.2, 2.6). Whatever is asked, the answers
//! are frames that an unmodified client can read.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use comet_core::wire::{self, RequestHeaders};
use comet_core::{Action, ConnId, Core, Durable, Event, Mono, Now, UnixMillis};

use crate::config;
use crate::exact_pages::ExactPages;

const CONN: ConnId = ConnId(7);

/// Up to the first NUL: the target; up to the second: the Origin; then messages, separated by NULs.
pub fn browser(data: &[u8]) {
    let config = config();
    let mut parts = data.split(|byte| *byte == 0);
    let target = parts.next().unwrap_or_default();
    let origin = parts.next();
    let headers = RequestHeaders {
        user_agent: target,
        language: target,
        origin,
    };
    let client = Arc::new(headers.client_info(Ipv4Addr::new(192, 0, 2, 1).into()));
    assert!(
        client.user_agent.len() <= 250 && client.language.len() <= 64,
        "cut to their lengths"
    );
    let allowed = [String::from("example.com"), String::from("*.wild.org")];
    let hello = wire::hello(target, origin, &allowed, config.dev_index_size);
    // Most targets of a fuzzer are refused; the messages are tried all the same.
    let hello = hello.or_else(|_| wire::hello(b"/ws/sesion=&myid=&devid=0&v=4.08&uuid=u", None, &[], 3));

    let hello_is_good = hello.is_ok();
    let dialect = match &hello {
        Ok(hello) => hello.dialect,
        Err(refusal) => refusal.dialect,
    };
    let now = Now {
        mono: Mono::ZERO,
        unix: UnixMillis(1_700_000_000_000),
    };
    let mut actions = Vec::new();
    let mut core = Core::start(config.clone(), Durable::default(), 1, now, &mut actions);
    core.handle(
        now,
        Event::Opened {
            conn: CONN,
            hello,
            client,
        },
        &mut actions,
    );
    let is_open = hello_is_good
        && actions
            .iter()
            .all(|action| !matches!(action, Action::Close { .. }));
    let mut exact = ExactPages::default();
    if is_open && dialect == wire::Dialect::V5 {
        exact.opened(CONN);
    }
    for message in parts.take(64) {
        if let Ok(text) = std::str::from_utf8(message) {
            let command = wire::decode(text, config.body_bytes_max);
            exact.asked(CONN, command.number);
            core.handle(now, Event::Request { conn: CONN, command }, &mut actions);
        }
    }
    core.check();
    for action in &actions {
        if let Action::Send { frame, .. } = action {
            let text = frame.as_str();
            let is_exact = dialect == wire::Dialect::V5;
            assert!(is_exact || !text.contains(['\n', '\r', '\'']), "E1, E6: {text}");
            exact.got(CONN, text);
        }
    }
    // Nothing was stored, so no result waits for anything.
    exact.all_answered(&BTreeSet::from([CONN]));
}
