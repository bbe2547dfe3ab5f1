//! Requests on the browser port (protocol.md 2.1, 2.3, 7.11): routes, files, addresses behind proxies, whose page asks,
//! handshakes, the console's password, bodies of the endpoints.

use std::net::{IpAddr, SocketAddr};

use arbitrary::{Result, Unstructured};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use comet_server::config::TrustedProxies;
use comet_server::fuzzing::{Request, Understood, bodies, request};

const NAMES: [&str; 14] = [
    "x-forwarded-for",
    "x-forwarded-for",
    "x-real-ip",
    "forwarded",
    "via",
    "x-forwarded-proto",
    "host",
    "origin",
    "connection",
    "upgrade",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "content-type",
];
const VALUES: [&str; 30] = [
    "203.0.113.5",
    "10.0.0.1",
    "127.0.0.1",
    "[2001:db8::1]:80",
    "::ffff:10.1.1.1",
    "1.2.3.4:99999",
    ",",
    ", ",
    "unknown",
    "localhost",
    "localhost:8087",
    "example.com",
    "http://localhost:8087",
    "https://example.com",
    "null",
    "Upgrade",
    "keep-alive",
    "websocket",
    "13",
    "8",
    "chat",
    "a, chat",
    "application/json",
    "application/json; charset=utf-8",
    "text/plain",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "\u{e9}",
    "",
    "1",
    "10.0.0.1, 10.0.0.2",
];
const TARGETS: [&str; 18] = [
    "/",
    "//",
    "/ws/",
    "/comet-server",
    "/comet-server/",
    "info",
    "console",
    "/console/query",
    "/demo/api",
    "?",
    "#",
    "%2e%2e",
    "%2f",
    "..",
    "%00",
    "js/CometServerApi.js",
    "*",
    "%",
];

/// The first byte chooses: a request made of choices, or a body.
pub fn http(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    if kind % 4 == 0 {
        any_body(rest);
    } else {
        let _ = any_request(&mut Unstructured::new(rest));
    }
}

fn trusted() -> TrustedProxies {
    TrustedProxies::parse(["127.0.0.1", "10.0.0.0/8", "fd00::/8"]).expect("these are networks")
}

fn any_request(choices: &mut Unstructured<'_>) -> Result<()> {
    let method = *choices.choose(&["GET", "GET", "POST", "HEAD", "OPTIONS", "PUT"])?;
    let mut target = String::new();
    for _ in 0..choices.int_in_range(0..=6)? {
        target.push_str(choices.choose(&TARGETS)?);
    }
    let peer = *choices.choose(&[
        "127.0.0.1:1",
        "10.9.9.9:1",
        "192.0.2.1:5",
        "[::1]:9",
        "[::ffff:127.0.0.1]:4",
    ])?;
    let peer: SocketAddr = peer.parse().expect("an address");
    let mut headers = Vec::new();
    while !choices.is_empty() && headers.len() < 12 {
        headers.push((*choices.choose(&NAMES)?, value(choices)?));
    }
    let asked = Request {
        method,
        target: &target,
        headers,
        peer,
    };
    let trusted = trusted();
    let understood = request(&asked, &trusted);
    judge(&asked, &understood, &trusted);
    forged(&asked, &trusted);
    login(&asked, choices)
}

fn value(choices: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut value = Vec::new();
    for _ in 0..choices.int_in_range(0..=3)? {
        if choices.ratio(7, 8)? {
            value.extend(choices.choose(&VALUES)?.bytes());
        } else {
            let length = choices.int_in_range(0..=12)?;
            value.extend(choices.bytes(choices.len().min(length))?);
        }
        value.extend(choices.choose(&["", ",", ", "])?.bytes());
    }
    Ok(value)
}

fn judge(asked: &Request<'_>, understood: &Understood, trusted: &TrustedProxies) {
    if let Some(file) = &understood.file {
        let evil = file.starts_with('/') || file.contains('\0') || file.split('/').any(|part| part == "..");
        assert!(!evil, "a file outside of the base directory: {file:?}");
    }
    let peer = asked.peer.ip().to_canonical();
    if !trusted.contains(peer) {
        assert_eq!(understood.client, peer, "headers of strangers count for nothing");
    }
    if understood.client != peer {
        let named_only = asked.headers.iter().any(|(name, _)| name.starts_with("x-"));
        assert!(named_only, "an address nobody named");
    }
    let proxied = asked.headers.iter().any(|(name, value)| {
        let known = matches!(*name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-");
        known && value.iter().all(|byte| byte.is_ascii_graphic())
    });
    assert!(
        !(understood.this_machine && (proxied || !peer.is_loopback())),
        "{asked:?}"
    );
    if understood.route == "websocket" {
        assert_eq!(asked.method, "GET");
        assert!(asked.target.contains("/ws/"));
    }
    if matches!(understood.route, "console query" | "demo api") {
        assert_eq!(asked.method, "POST", "endpoints are asked by POST only");
    }
    for (name, value) in understood.handshake.iter().flatten() {
        assert!(
            !value.contains(&b'\n') && !value.contains(&b'\r'),
            "{name} splits the answer"
        );
    }
}

/// Whatever a client writes, the proxy's own entry behind it is the one that counts.
fn forged(asked: &Request<'_>, trusted: &TrustedProxies) {
    let shown: IpAddr = [203, 0, 113, 99].into();
    let mut through = asked.clone();
    through.peer = ([10, 1, 2, 3], 4).into();
    through
        .headers
        .push(("x-forwarded-for", b"203.0.113.99".to_vec()));
    assert_eq!(request(&through, trusted).client, shown, "in a line of its own");
    let joined = |(name, value): &mut (&str, Vec<u8>)| {
        if *name == "x-forwarded-for" {
            value.retain(|byte| byte.is_ascii_graphic() || *byte == b' ' || *byte >= 0x80);
            value.extend(b", 203.0.113.99");
        }
    };
    through.headers.pop();
    through.headers.push(("x-forwarded-for", b"6.6.6.6".to_vec()));
    through.headers.iter_mut().for_each(joined);
    assert_eq!(request(&through, trusted).client, shown, "at the end of a line");
}

/// A password arrives as it was typed.
fn login(asked: &Request<'_>, choices: &mut Unstructured<'_>) -> Result<()> {
    let password = String::from_utf8_lossy(choices.bytes(choices.len().min(20))?).into_owned();
    let mut known = asked.clone();
    let scheme = asked.target.len() % 2;
    let scheme = ["Basic", "bAsIc"][scheme];
    let encoded = BASE64_STANDARD.encode(format!("root:{password}"));
    known
        .headers
        .push(("authorization", format!("{scheme} {encoded}").into_bytes()));
    let login = request(&known, &trusted()).login;
    assert_eq!(login, Some(("root".to_owned(), password)));
    Ok(())
}

fn any_body(body: &[u8]) {
    let understood = bodies(body);
    assert!(understood.statements.is_none_or(|all| all.len() <= 1000));
    let statements = body.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let statements: Vec<String> = statements.map(std::borrow::Cow::into_owned).collect();
    let json = serde_json::json!({"dev_id": 1, "statements": statements}).to_string();
    assert_eq!(
        bodies(json.as_bytes()).statements,
        Some(statements).filter(|all| all.len() <= 1000)
    );
}
