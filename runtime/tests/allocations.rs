//! A delivery allocates nothing: a whole server asks for as many blocks of memory per message for many subscribers as for
//! a few. Counted, not timed.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;

use harness::browser::Browser;
use harness::mysql::{Client, query_packet};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const MESSAGES: u64 = 100;

/// Blocks allocated per message while messages go, one after the other, to so many subscribers of one channel.
fn blocks_per_message(subscribers: usize) -> u64 {
    let server = harness::server_with(|settings| settings.ws.shards = Some(1));
    let mut pages: Vec<Browser> = (0..subscribers).map(|_| Browser::open(server.ws())).collect();
    for page in &mut pages {
        page.subscribe("news");
    }
    let mut session = Client::open(server.cometql());
    let statement =
        query_packet("INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'e', 'hello')");
    // The first messages fill what is kept between messages, and show how long a frame is.
    let mut frame = 0;
    for _ in 0..10 {
        session.stream.write_all(&statement).unwrap();
        skip_packet(&mut session.stream);
        for page in &mut pages {
            frame = 2 + page.next().unwrap().payload.len();
        }
    }
    let profiler = dhat::Profiler::builder().testing().build();
    for _ in 0..MESSAGES {
        session.stream.write_all(&statement).unwrap();
        skip_packet(&mut session.stream);
        for page in &mut pages {
            skip(&mut page.stream, frame);
        }
    }
    let blocks = dhat::HeapStats::get().total_blocks;
    drop(profiler);
    server.running.stop().unwrap();
    blocks / MESSAGES
}

fn skip_packet(stream: &mut TcpStream) {
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    skip(stream, usize::from(head[0]));
}

fn skip(stream: &mut TcpStream, bytes: usize) {
    let mut buffer = [0; 256];
    stream.read_exact(&mut buffer[..bytes]).unwrap();
}

#[test]
fn a_delivery_allocates_nothing() {
    let few = blocks_per_message(3);
    let many = blocks_per_message(300);
    println!("{few} blocks per message");
    assert!(
        many <= few + 1,
        "{few} blocks per message, with 297 more subscribers {many}"
    );
    assert!(few <= 24, "{few} blocks per message");
}
