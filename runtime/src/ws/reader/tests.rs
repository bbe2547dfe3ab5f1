//! What one connection may hand to the core in one turn, and what it owns while it is idle.

use comet_core::ConnId;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::shard::testing;
use crate::socket::Socket;

async fn connection(shard: &Shard) -> Conn {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let now = shard.lived();
    Conn::new(ConnId::new(0, 1), Socket::Plain(tcp), None, now)
}

/// The core's queue is bounded in batches; without this bound one batch could hold ten thousand events.
#[tokio::test]
async fn a_turn_is_bounded_in_events_and_nothing_is_lost() {
    const MESSAGES: usize = 1000;
    let dir = tempfile::tempdir().unwrap();
    let shard = testing::shard(dir.path(), &[]);
    let conn = connection(&shard).await;
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    let empty_message = [0x81, 0x80, 0, 0, 0, 0];
    let mut bytes = empty_message.repeat(MESSAGES);
    let mut unread = &mut bytes[..];
    let mut decoded = 0;
    while !unread.is_empty() {
        decode(&shard, &conn, &mut decoder, &mut unread, &mut events).unwrap();
        assert!(events.len() <= TURN_EVENTS_MAX);
        decoded += events.drain(..).len();
    }
    assert_eq!(decoded, MESSAGES);
}

/// A million connections are a million of these, beside what tokio keeps per task and per socket. A task of three pointers
/// is one of 128 bytes; a fourth would make it 256.
#[test]
fn an_idle_connection_is_small() {
    assert_eq!(size_of::<Reader>(), 3 * size_of::<usize>());
    assert!(
        size_of::<Conn>() <= 176,
        "{} bytes per connection",
        size_of::<Conn>()
    );
}
