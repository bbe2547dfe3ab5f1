//! What leaves in one call, in which order, and how much is taken up meanwhile.

use std::ops::Range;
use std::sync::Arc;

use comet_core::CloseCause;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::execute::SHARD_BATCHES_MAX;
use crate::shard::testing;
use crate::socket::Socket;

/// A delivery to some pages, and the pages' ends of the connections.
struct Setup {
    delivery: Delivery,
    to: mpsc::Sender<Vec<ShardAction>>,
    list: Arc<[ConnId]>,
    pages: Vec<TcpStream>,
    _data: tempfile::TempDir,
}

async fn setup(pages: usize, env: &[(&str, &str)]) -> Setup {
    let data = tempfile::tempdir().unwrap();
    let shard = Rc::new(testing::shard(data.path(), env));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut list = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..pages {
        ends.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let (tcp, _) = listener.accept().await.unwrap();
        let now = shard.lived();
        list.push(
            shard
                .register(|id| Conn::new(id, Socket::Plain(tcp), None, now))
                .id,
        );
    }
    let (to, inbox) = mpsc::channel(SHARD_BATCHES_MAX);
    Setup {
        delivery: Delivery::new(shard, inbox),
        to,
        list: list.into(),
        pages: ends,
        _data: data,
    }
}

impl Setup {
    fn message(&self, text: &'static str, range: Range<usize>) -> ShardAction {
        ShardAction::SendMany(Broadcast {
            list: self.list.clone(),
            range,
            except: None,
            frame: Bytes::from_static(text.as_bytes()),
            more: Vec::new(),
        })
    }

    fn to_all(&self, text: &'static str) -> ShardAction {
        self.message(text, 0..self.list.len())
    }

    fn give(&self, actions: Vec<ShardAction>) {
        self.to.try_send(actions).unwrap();
    }

    /// What a page has received when the delivery is over.
    async fn received(self) -> Vec<String> {
        let Self {
            delivery, to, pages, ..
        } = self;
        drop(to);
        delivery.run().await;
        let mut texts = Vec::new();
        for mut page in pages {
            // The server's end is closed with the shard.
            let mut text = String::new();
            page.read_to_string(&mut text).await.unwrap();
            texts.push(text);
        }
        texts
    }
}

fn close(conn: ConnId) -> ShardAction {
    let cause = CloseCause::Kicked;
    ShardAction::Close { conn, cause }
}

/// S64: messages that wait for the same pages cost one write per page, whatever number of batches they came in.
#[tokio::test]
async fn what_waits_for_a_page_leaves_in_one_write() {
    let mut setup = setup(3, &[]).await;
    setup.give(vec![setup.to_all("a"), setup.to_all("b")]);
    setup.give(vec![setup.message("c", 1..2), setup.to_all("d")]);
    setup.delivery.queue_frames();
    assert_eq!(setup.delivery.dirty.len(), 3, "each page is written to once");
    setup.delivery.write();
    assert!(setup.delivery.is_idle());
    assert_eq!(setup.delivery.shard.shared.metrics.frames.get(), 10);
    assert_eq!(setup.received().await, ["abd", "abcd", "abd"]);
}

/// The list of a large channel comes in pieces; each gets its messages joined and in order. Somebody's own message in
/// between is not overtaken.
#[tokio::test]
async fn pieces_of_a_list_are_joined_apart() {
    let mut setup = setup(4, &[]).await;
    let single = |conn: usize| ShardAction::SendOne {
        conn: setup.list[conn],
        frame: Bytes::from_static(b"-"),
    };
    let pieces = ["a", "b"]
        .into_iter()
        .flat_map(|text| [(text, 0..2), (text, 2..4)]);
    let mut actions: Vec<_> = pieces.map(|(text, piece)| setup.message(text, piece)).collect();
    actions.extend([single(3), setup.message("c", 2..4)]);
    setup.give(actions);
    setup.delivery.look_ahead();
    assert_eq!(setup.delivery.actions.len(), 4);
    assert_eq!(setup.received().await, ["ab", "ab", "abc", "ab-c"]);
}

/// Messages are joined only with those that go to the very same pages; the sender does not get its own (Q58).
#[tokio::test]
async fn other_receivers_are_not_joined() {
    let setup = setup(2, &[]).await;
    let mut own = setup.to_all("b");
    if let ShardAction::SendMany(broadcast) = &mut own {
        broadcast.except = Some(setup.list[0]);
    }
    let single = ShardAction::SendOne {
        conn: setup.list[0],
        frame: Bytes::from_static(b"c"),
    };
    setup.give(vec![setup.to_all("a"), own, single, setup.to_all("d")]);
    assert_eq!(setup.received().await, ["acd", "abd"]);
}

/// Nothing is queued to a connection behind its end.
#[tokio::test]
async fn the_end_stays_in_its_place() {
    let setup = setup(2, &[]).await;
    setup.give(vec![setup.to_all("a"), close(setup.list[0]), setup.to_all("b")]);
    assert_eq!(setup.received().await, ["a", "ab"]);
}

/// Q13: a page that reads is not cut because others come first; what does not fit yet stays in the queue. And a message
/// larger than the limit is delivered all the same.
#[tokio::test]
async fn a_reading_page_never_reaches_its_limit() {
    let mut setup = setup(2, &[("COMET_WS_SEND_BUFFER", "1024")]).await;
    let half: &'static str = "x".repeat(200).leak();
    let large: &'static str = "y".repeat(5000).leak();
    let texts = [half, half, half, large, half, large, large, half];
    setup.give(texts.map(|text| setup.to_all(text)).into());
    setup.delivery.queue_frames();
    assert!(
        setup.delivery.queued < 1024,
        "{} bytes were queued",
        setup.delivery.queued
    );
    assert!(!setup.delivery.actions.is_empty());
    assert_eq!(setup.received().await, [texts.concat(), texts.concat()]);
}

/// 8.7: while memory is short, whoever has not been written to yet is not taken for a slow reader.
#[tokio::test]
async fn who_waits_for_the_shard_is_not_slow() {
    let mut setup = setup(1, &[("COMET_WS_SEND_BUFFER", "67108864")]).await;
    let large: &'static str = "x".repeat(8 << 20).leak();
    setup.give(vec![setup.to_all(large)]);
    setup.delivery.queue_frames();
    let shard = setup.delivery.shard.clone();
    let mut conn = None;
    shard.for_each(&setup.list, None, |found| conn = Some(found.clone()));
    let conn = conn.expect("it is open");
    shard.cut_largest(1);
    assert!(conn.end().is_none(), "nobody has tried to write to it");
    setup.delivery.write();
    assert!(conn.waiting() > 0, "the kernel does not take so much");
    shard.cut_largest(1);
    assert!(conn.end().is_some(), "it does not read");
}

/// 8.7: nor is somebody cut in the place of one with far more, who just happens not to have been written to yet.
#[tokio::test]
async fn nobody_is_cut_for_a_larger_one_that_waits_for_the_shard() {
    let mut setup = setup(2, &[("COMET_WS_SEND_BUFFER", "67108864")]).await;
    let large: &'static str = "x".repeat(8 << 20).leak();
    let larger: &'static str = "x".repeat(32 << 20).leak();
    setup.give(vec![setup.message(large, 0..1)]);
    setup.delivery.queue_frames();
    setup.delivery.write();
    setup.give(vec![setup.message(larger, 1..2)]);
    setup.delivery.queue_frames();
    let shard = setup.delivery.shard.clone();
    let mut conns = Vec::new();
    shard.for_each(&setup.list, None, |found| conns.push(found.clone()));
    assert!(conns[0].waiting() > 0 && !conns[0].is_marked());
    assert!(conns[1].waiting() > 2 * conns[0].waiting() && conns[1].is_marked());
    shard.cut_largest(1);
    assert!(conns[0].end().is_none() && conns[1].end().is_none());
    setup.delivery.write();
    shard.cut_largest(1);
    assert!(conns[0].end().is_none() && conns[1].end().is_some());
}

/// Receivers that are gone count, too, or a shard would do nothing but look for them.
#[tokio::test]
async fn looking_for_the_gone_has_an_end() {
    let mut setup = setup(0, &[]).await;
    let gone = (1..=FRAMES_PER_TURN as u64).map(|serial| ConnId::new(0, serial));
    setup.list = gone.collect();
    let other = ShardAction::SendOne {
        conn: ConnId::new(0, 1),
        frame: Bytes::from_static(b"-"),
    };
    setup.give(vec![setup.to_all("a"), other, setup.to_all("b")]);
    setup.delivery.queue_frames();
    assert_eq!(setup.delivery.actions.len(), 2, "the others have their turn");
}

/// A turn is bounded: others have theirs between two writes of a long list.
#[tokio::test]
async fn a_turn_writes_to_a_bounded_number_of_pages() {
    let mut setup = setup(WRITES_PER_TURN + 10, &[]).await;
    setup.give(vec![setup.to_all("a")]);
    setup.delivery.queue_frames();
    setup.delivery.write();
    assert_eq!(setup.delivery.dirty.len(), 10);
    // What comes now joins what those ten still wait for.
    setup.give(vec![setup.to_all("b")]);
    setup.delivery.queue_frames();
    assert_eq!(setup.delivery.dirty.len(), WRITES_PER_TURN + 10);
    let received = setup.received().await;
    assert!(received.iter().all(|text| text == "ab"));
}
