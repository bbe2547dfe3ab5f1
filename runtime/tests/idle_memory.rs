//! What an idle connection costs: bytes that a whole server asks for per authorized page with two subscriptions. Counted,
//! not measured; how much resident memory that becomes, `comet-bench idle --authorized` shows.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::net::TcpStream;

use harness::browser::Browser;
use harness::mysql::Client;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// A power of two, so that tables that double are full.
const PAGES: usize = 256;
/// Tables, debts and subscriptions of the core; the connection, its task and its socket of the shard.
const BYTES_MAX: usize = 1000;

fn open(server: &harness::Server, user: usize) -> TcpStream {
    let parameters = format!("sesion=key&myid={user}&devid=0&v=4.08&uuid=u{user}&api=js");
    let mut page = Browser::open_as(server.ws(), &parameters);
    page.subscribe(&format!("news\nchannel_{}", user % 16));
    page.stream
}

#[test]
fn an_idle_connection_costs_little() {
    let profiler = dhat::Profiler::builder().testing().build();
    let server = harness::server_with(|settings| settings.ws.shards = Some(1));
    let mut session = Client::open(server.cometql());
    for user in 1..=PAGES + 1 {
        session.run(&format!(
            "INSERT INTO users_auth (id, hash) VALUES ({user}, 'key')"
        ));
    }
    // The first page brings what all of them share.
    let mut pages = Vec::with_capacity(PAGES + 1);
    pages.push(open(&server, PAGES + 1));
    let before = dhat::HeapStats::get().curr_bytes;
    pages.extend((1..=PAGES).map(|user| open(&server, user)));
    let after = dhat::HeapStats::get().curr_bytes;
    drop(profiler);
    let each = (after - before) / PAGES;
    println!("{each} bytes per idle connection");
    assert!(each <= BYTES_MAX, "{each} bytes per idle connection");
    drop(pages);
    server.running.stop().unwrap();
}
