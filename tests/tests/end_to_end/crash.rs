//! kill -9 at random moments under load: whatever a back end or a page was told to be accepted is there afterwards
//! (protocol.md 5.1, appendix B; S10, S11). The checker knows every acknowledged statement, and every one sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use comet_tests::page::Page;
use comet_tests::server::Server;
use comet_tests::sql::{connect, rows, run};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// How often the server is killed; more in a long run.
fn cycles() -> u32 {
    std::env::var("COMET_CRASHES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(10)
}

/// Users that get messages; the first one has a page open that acknowledges.
const USERS: u32 = 4;

/// What one back end did. A number whose answer the crash swallowed may or may not be stored.
#[derive(Default)]
struct Book {
    /// The newest number sent.
    sent: u64,
    /// Messages answered OK.
    acknowledged: Vec<u64>,
    /// The newest user data answered OK.
    data: u64,
}

/// Sends numbered messages to one user until the server is gone.
async fn back_end(server: SocketAddr, user: u32, mut book: Book) -> Book {
    let Ok(mut session) = Conn::new(comet_tests::sql::options(server)).await else {
        return book;
    };
    loop {
        book.sent += 1;
        let number = book.sent;
        let insert =
            format!("INSERT INTO users_messages (id, event, message) VALUES ({user}, 'n', '{number}')");
        if session.query_drop(insert).await.is_err() {
            return book;
        }
        book.acknowledged.push(number);
        let data = format!("INSERT INTO users_data (id, data) VALUES ({user}, '{number}')");
        if session.query_drop(data).await.is_err() {
            return book;
        }
        book.data = number;
    }
}

/// Reads the first user's messages until the server is gone; answers every Ping on the way.
async fn page(server: SocketAddr, mut seen: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut page = Page::login(server, 1, "key", "tab").await;
    while let Some(frame) = page.next().await {
        let (Some(id), Some(data)) = (frame["uuid"].as_str(), frame["data"].as_str()) else {
            continue;
        };
        let number: u64 = data.parse().expect("our numbers");
        let before = seen.insert(id.to_owned(), number);
        assert!(
            before.is_none_or(|before| before == number),
            "an id names one message for ever"
        );
    }
    seen
}

/// A pause between 10 and 300 ms that nobody can predict; not a wait for anything, but the moment of the crash.
fn random_pause() -> Duration {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| now.subsec_nanos());
    Duration::from_millis(10 + u64::from(nanos / 1000 % 290))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost() {
    let mut server = Server::start();
    let mut session = connect(server.cometql).await;
    run(
        &mut session,
        "INSERT INTO users_auth (id, hash) VALUES (1, 'key')",
    )
    .await;
    drop(session);
    let mut books: Vec<Book> = (0..USERS).map(|_| Book::default()).collect();
    let mut seen = BTreeMap::new();
    for cycle in 0..cycles() {
        let reader = tokio::spawn(page(server.ws, seen));
        let writers: Vec<_> = (1..=USERS)
            .zip(books)
            .map(|(user, book)| tokio::spawn(back_end(server.cometql, user, book)))
            .collect();
        tokio::time::sleep(random_pause()).await;
        server.kill();
        books = Vec::new();
        for writer in writers {
            books.push(writer.await.expect("a back end ends with the server"));
        }
        seen = reader.await.expect("a page ends with the server");
        server = tokio::task::spawn_blocking(move || server.crash_and_restart())
            .await
            .expect("it starts again");
        let mut session = connect(server.cometql).await;
        for (user, book) in (1..=USERS).zip(&books) {
            check(&mut session, user, book, &seen, cycle).await;
        }
    }
    let acknowledged: usize = books.iter().map(|book| book.acknowledged.len()).sum();
    assert!(
        acknowledged > cycles() as usize,
        "there was a load: {acknowledged}"
    );
    all_arrive(&server, &books[0], seen).await;
}

/// Every acknowledged message is in the queue or was seen by the page; data is the last acknowledged or a later one.
async fn check(session: &mut Conn, user: u32, book: &Book, seen: &BTreeMap<String, u64>, cycle: u32) {
    let queued = rows(
        session,
        &format!("SELECT message FROM users_messages WHERE id = {user}"),
    )
    .await;
    let queued: Vec<u64> = queued
        .iter()
        .map(|row| row[0].parse().expect("our numbers"))
        .collect();
    assert!(
        queued.is_sorted_by(|a, b| a < b),
        "cycle {cycle}: in order, none twice"
    );
    let mut known: BTreeSet<u64> = queued.into_iter().collect();
    if user == 1 {
        known.extend(seen.values());
    }
    let lost: Vec<&u64> = book
        .acknowledged
        .iter()
        .filter(|number| !known.contains(number))
        .collect();
    assert!(lost.is_empty(), "cycle {cycle}: user {user} lost {lost:?}");
    let data = rows(session, &format!("SELECT data FROM users_data WHERE id = {user}")).await;
    let data: u64 = data.first().map_or(0, |row| row[0].parse().expect("our numbers"));
    assert!(
        data >= book.data && data <= book.sent,
        "cycle {cycle}: data {data}, acknowledged {}",
        book.data
    );
}

async fn all_arrive(server: &Server, book: &Book, mut seen: BTreeMap<String, u64>) {
    let end = Instant::now() + comet_tests::DEADLINE;
    let mut page = Page::login(server.ws, 1, "key", "tab").await;
    let mut session = connect(server.cometql).await;
    while !rows(&mut session, "SELECT * FROM users_messages WHERE id = 1")
        .await
        .is_empty()
    {
        assert!(Instant::now() < end, "the queue is paid");
        for frame in page.drain("more").await {
            let number = frame["data"]
                .as_str()
                .and_then(|data| data.parse().ok())
                .expect("our numbers");
            seen.insert(frame["uuid"].as_str().expect("an id").to_owned(), number);
        }
    }
    let numbers: BTreeSet<u64> = seen.values().copied().collect();
    let lost: Vec<&u64> = book
        .acknowledged
        .iter()
        .filter(|number| !numbers.contains(number))
        .collect();
    assert!(lost.is_empty(), "the page never saw {lost:?}");
}
