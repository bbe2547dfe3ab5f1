//! The bound on what one turn of a connection hands to the core.

use std::net::SocketAddr;
use std::sync::Arc;

use comet_core::ConnId;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::cli::Cli;
use crate::clock::Clock;
use crate::config::{self, Env};
use crate::entropy::Entropy;
use crate::server::{self, Addresses};
use crate::shard::Shard;
use crate::socket::Socket;

fn shard(dir: &std::path::Path) -> Rc<Shard> {
    let cli = Cli {
        password: Some("secret".to_owned()),
        data_dir: Some(dir.display().to_string()),
        ..Cli::default()
    };
    let settings = config::load(&cli, &Env::new()).unwrap().settings;
    let config = settings.core.clone().check().unwrap();
    let addresses = Addresses {
        ws: SocketAddr::from(([127, 0, 0, 1], 0)),
        cometql: None,
        metrics: None,
    };
    let (sender, _) = crate::events::queue();
    let (clock, entropy) = (Clock::start(), Entropy::open().unwrap());
    let shared = server::shared(&settings, &config, addresses, sender, clock, entropy).unwrap();
    Rc::new(Shard::new(0, Arc::new(shared)))
}

/// The core's queue is bounded in batches; without this bound one batch could hold ten thousand events.
#[tokio::test]
async fn a_turn_is_bounded_in_events_and_nothing_is_lost() {
    const MESSAGES: usize = 1000;
    let dir = tempfile::tempdir().unwrap();
    let shard = shard(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let conn = Conn::new(ConnId::new(0, 1), shard.serving(), Socket::Plain(tcp), None);
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    let empty_message = [0x81, 0x80, 0, 0, 0, 0];
    let mut bytes = empty_message.repeat(MESSAGES);
    let mut unread = &mut bytes[..];
    let mut decoded = 0;
    while !unread.is_empty() {
        decode(&conn, &mut decoder, &mut unread, &mut events).unwrap();
        assert!(events.len() <= TURN_EVENTS_MAX);
        decoded += events.drain(..).len();
    }
    assert_eq!(decoded, MESSAGES);
}
