//! A shard without a server, for tests of what runs on one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::Shard;
use crate::cli::Cli;
use crate::clock::Clock;
use crate::config::{self, Env};
use crate::entropy::Entropy;
use crate::server::{self, Addresses};

/// The first shard of a server that was never started; its events go nowhere.
pub(crate) fn shard(data_dir: &Path, env: &[(&str, &str)]) -> Shard {
    let cli = Cli {
        password: Some("secret".to_owned()),
        data_dir: Some(data_dir.display().to_string()),
        ..Cli::default()
    };
    let env: Env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let settings = config::load(&cli, &env).unwrap().settings;
    let config = settings.core.clone().check().unwrap();
    let addresses = Addresses {
        ws: SocketAddr::from(([127, 0, 0, 1], 0)),
        cometql: None,
        metrics: None,
    };
    let (sender, _) = crate::events::queue(Arc::new(crate::memory::Memory::new(0)));
    let (clock, entropy) = (Clock::start(), Entropy::open().unwrap());
    let shared = server::shared(&settings, &config, addresses, sender, clock, entropy).unwrap();
    Shard::new(0, Arc::new(shared))
}
