//! What the CometQL front end costs per statement, beside the tokenizer and parser of `sqlparser`.
//!
//! The budget is about 1 µs for a typical INSERT: as much as all other work per INSERT must stay well above it.

use comet_core::Config;
use comet_core::cometql::{Limits, Param, parse, prepare};
use divan::{Bencher, black_box};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Tokenizer;

const STATEMENTS: [&str; 4] = [
    r#"INSERT INTO pipes_messages (name, event, message)VALUES("web_MainPageChat", "", '{ "text":"My text","name":"My name"}' );"#,
    r#"INSERT INTO users_messages (id, event, message) VALUES (5, 'ev', '{\"text\":\"My text\",\"name\":\"My name\"}')"#,
    "SELECT id, time FROM users_time WHERE id IN( 1,2,3);",
    "SELECT * FROM users_auth WHERE id = 5 AND hash != 'x' ORDER BY id LIMIT 1",
];

fn main() {
    divan::main();
}

#[divan::bench(args = [0, 1, 2, 3])]
fn own_parse(bencher: Bencher<'_, '_>, statement: usize) {
    let limits = Limits::of(&Config::default());
    let text = STATEMENTS[statement].as_bytes();
    bencher.bench(|| parse(black_box(text), &limits));
}

/// The tokens alone: behind SET anything may stand, and nothing is made of it.
#[divan::bench(args = [0, 1, 2, 3])]
fn own_tokenize(bencher: Bencher<'_, '_>, statement: usize) {
    let limits = Limits::of(&Config::default());
    let text = format!("SET {}", STATEMENTS[statement]);
    bencher.bench(|| parse(black_box(text.as_bytes()), &limits));
}

#[divan::bench(args = [0, 1, 2, 3])]
fn sqlparser_tokenize(bencher: Bencher<'_, '_>, statement: usize) {
    let text = STATEMENTS[statement];
    bencher.bench(|| {
        Tokenizer::new(&MySqlDialect {}, black_box(text))
            .with_unescape(false)
            .tokenize()
    });
}

#[divan::bench(args = [0, 1, 2, 3])]
fn sqlparser_parse(bencher: Bencher<'_, '_>, statement: usize) {
    let text = STATEMENTS[statement];
    bencher.bench(|| Parser::parse_sql(&MySqlDialect {}, black_box(text)));
}

#[divan::bench]
fn own_bind(bencher: Bencher<'_, '_>) {
    let limits = Limits::of(&Config::default());
    let text = b"INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)";
    let prepared = prepare(text, &limits).expect("a statement that can be parsed");
    let params = ["web_MainPageChat", "", r#"{ "text":"My text","name":"My name"}"#];
    let params = params.map(|text| Param::Text(text.into()));
    bencher.bench(|| prepared.bind(black_box(&params), &limits));
}

/// A message of 64 KiB: nanoseconds per byte.
#[divan::bench]
fn own_parse_long(bencher: Bencher<'_, '_>) {
    let limits = Limits::of(&Config::default());
    let text = format!(
        "INSERT INTO users_data (id, data) VALUES (1, '{{\"t\":\"{}\"}}')",
        "text \\u0444 ".repeat(5_461)
    );
    bencher.bench(|| parse(black_box(text.as_bytes()), &limits));
}

/// The longest list there may be.
#[divan::bench]
fn own_parse_list(bencher: Bencher<'_, '_>) {
    let limits = Limits::of(&Config::default());
    let ids: Vec<String> = (0..Limits::VALUES_MAX)
        .map(|id| (id * 7919 % 100_003).to_string())
        .collect();
    let text = format!("SELECT * FROM users_auth WHERE id IN ({})", ids.join(","));
    bencher.bench(|| parse(black_box(text.as_bytes()), &limits));
}
