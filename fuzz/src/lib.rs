//! Fuzz bodies as plain functions: bytes in, a panic if a promise is broken. libFuzzer runs them from `libfuzzer/`,
//! `cargo test` replays the corpus and the regressions on them, so a find stays found without any fuzzer.
//!
//! They know the crates' public doors only, as the runtime does.

#![forbid(unsafe_code)]

mod browser;
mod cometql;
mod exact_pages;
mod literal;
mod mysql;
mod routing;

pub use browser::browser;
pub use cometql::cometql;
pub use literal::literal;
pub use mysql::mysql;
pub use routing::routing;

use comet_core::cometql::Limits;
use comet_core::{CheckedConfig, Config, Secret};

/// A fuzz body.
pub type Body = fn(&[u8]);

/// Every target by the name of its corpus folder.
pub const TARGETS: [(&str, Body); 5] = [
    ("browser", browser),
    ("cometql", cometql),
    ("literal", literal),
    ("mysql", mysql),
    ("routing", routing),
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
