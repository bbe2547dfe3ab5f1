//! Fuzz bodies as plain functions: bytes in, a panic if a promise is broken. libFuzzer runs them from `libfuzzer/`,
//! `cargo test` replays the corpus and the regressions on them, so a find stays found without any fuzzer.
//!
//! They know the crates' public doors only, as the runtime does.

#![forbid(unsafe_code)]

mod browser;
mod cometql;
mod commands;
mod exact_pages;
mod frames;
mod hello;
mod http;
mod json;
mod jwt;
mod literal;
mod mysql;
mod mysql_client;
mod mysql_session;
mod routing;
mod settings;
mod store;
mod ws;

pub use browser::browser;
pub use cometql::cometql;
pub use commands::commands;
pub use frames::frames;
pub use hello::hello;
pub use http::http;
pub use json::json;
pub use jwt::jwt;
pub use literal::literal;
pub use mysql::mysql;
pub use mysql_session::mysql_session;
pub use routing::routing;
pub use settings::settings;
pub use store::store;
pub use ws::ws;

use comet_core::cometql::Limits;
use comet_core::{CheckedConfig, Config, Secret};

/// A fuzz body.
pub type Body = fn(&[u8]);

/// Every target by the name of its corpus folder.
pub const TARGETS: [(&str, Body); 15] = [
    ("browser", browser),
    ("cometql", cometql),
    ("commands", commands),
    ("frames", frames),
    ("hello", hello),
    ("http", http),
    ("json", json),
    ("jwt", jwt),
    ("literal", literal),
    ("mysql", mysql),
    ("mysql_session", mysql_session),
    ("routing", routing),
    ("settings", settings),
    ("store", store),
    ("ws", ws),
];

/// Limits small enough for short inputs to reach them.
fn config() -> CheckedConfig {
    let config = Config {
        password: Secret::new("CometQLPassword"),
        dev_index_size: 3,
        body_bytes_max: 64,
        devices_per_user_max: 2,
        queue_len_max: 5,
        subscriptions_max: 4,
        query_bytes_max: 4096,
        ..Config::default()
    };
    config.check().expect("these settings are valid")
}

fn limits() -> Limits {
    Limits::of(&config())
}
