//! The pure functions every browser message passes: decoding a command, judging and writing a body.
//!
//! `cargo bench -p comet-core --bench wire`. Allocations are counted beside the time.

use comet_core::wire::{Content, Dialect, FrameBody, decode, encode, hello, json};
use comet_core::{UnixSeconds, UserId};
use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher, black_box};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A chat message in JSON, padded to about `bytes`.
fn json_body(bytes: usize) -> String {
    let frame = r#"{"text":"","name":"Ann","id":4711,"quote":"it's \"so\""}"#;
    let padding = bytes.saturating_sub(frame.len());
    frame.replacen("\"\"", &format!("\"{}\"", "lorem ipsum ".repeat(padding / 12)), 1)
}

/// A text that is no JSON.
fn plain_body(bytes: usize) -> String {
    "It's a plain text. ".repeat(bytes / 19)
}

fn message(body: &str) -> Content<'_> {
    Content {
        answers: None,
        body: FrameBody::Message {
            channel: "web_chat",
            event: "say",
            body,
            sender: Some(UserId::new(7)),
            id: None,
        },
        time: UnixSeconds(1_700_000_000),
    }
}

#[divan::bench(args = [128, 4096, 262_144])]
fn encode_json(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = json_body(bytes);
    bencher
        .counter(BytesCount::of_str(&body))
        .bench(|| encode(&message(black_box(&body)), Dialect::V4));
}

#[divan::bench(args = [128, 4096, 262_144])]
fn encode_plain(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = plain_body(bytes);
    bencher
        .counter(BytesCount::of_str(&body))
        .bench(|| encode(&message(black_box(&body)), Dialect::V3));
}

#[divan::bench(args = [128, 4096, 262_144])]
fn is_valid(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = json_body(bytes);
    bencher
        .counter(BytesCount::of_str(&body))
        .bench(|| json::is_valid(black_box(&body)));
}

#[divan::bench]
fn is_valid_brackets(bencher: Bencher<'_, '_>) {
    let body = "[".repeat(1 << 20);
    bencher
        .counter(BytesCount::of_str(&body))
        .bench(|| json::is_valid(black_box(&body)));
}

#[divan::bench(args = [128, 4096, 262_144])]
fn decode_send(bencher: Bencher<'_, '_>, bytes: usize) {
    let text = format!("web_pipe2\nweb_chat\nsay\n*\n{}", json_body(bytes));
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| decode(black_box(&text), 1 << 20));
}

#[divan::bench(args = [1, 16, 256, 100_000])]
fn decode_subscription(bencher: Bencher<'_, '_>, names: usize) {
    let list: String = (0..names).map(|n| format!("web_channel_{n}\n")).collect();
    let text = format!("subscription\n{list}");
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| decode(black_box(&text), 1 << 20));
}

#[divan::bench]
fn hello_url(bencher: Bencher<'_, '_>) {
    let target = b"/ws/sesion=abcdefgh&myid=7&devid=1&v=4.08&uuid=Db_YTZOMMQc902yluqo7mLns3RXWFz2t&api=js";
    bencher.bench(|| hello(black_box(target), None, &[], 100_000));
}
