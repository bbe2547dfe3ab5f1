//! Turns the core's actions into work for the shards and the store. One match, no opinion.
//!
//! Promise: per connection and per session the order of the actions is kept; what belongs to one shard is handed over
//! as one batch, so that the shard is woken once and a message is on its way at once (S64). A shard that cannot keep up
//! makes the core wait, and the core its senders; nothing piles up.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use comet_core::{
    Action, CloseCause, ConnId, Frame, OpId, Recipients, Record, Reply, RequestId, Room, SessionId,
};
use tokio::sync::mpsc;

use crate::memory::Memory;
use crate::metrics::Metrics;
#[cfg(madsim)]
use crate::rt;
use crate::ws::frame;

/// Batches that may wait for one shard. One in a simulated world, so that the core often has to wait.
pub(crate) const SHARD_BATCHES_MAX: usize = if cfg!(madsim) { 1 } else { 32 };
/// A batch is handed over when it holds this many actions or …
const BATCH_ACTIONS_MAX: usize = 1024;
/// … this many bytes of frames.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Something a shard has to do for its connections or sessions.
#[derive(Debug)]
pub(crate) enum ShardAction {
    /// Queue a frame to one connection.
    SendOne { conn: ConnId, frame: Bytes },
    /// Queue a frame to a slice of a channel's subscribers.
    SendMany(Broadcast),
    /// Flush, then close.
    Close { conn: ConnId, cause: CloseCause },
    /// Answer a statement.
    Reply {
        session: SessionId,
        req: RequestId,
        reply: Reply,
    },
    /// Close a session.
    CloseSession { session: SessionId },
}

/// A frame for a shard's part of a channel's subscribers.
#[derive(Debug)]
pub(crate) struct Broadcast {
    pub(crate) list: Arc<[ConnId]>,
    /// The part that the shard owns.
    pub(crate) range: Range<usize>,
    pub(crate) except: Option<ConnId>,
    pub(crate) frame: Bytes,
    /// Frames that go to the same receivers right behind the first one.
    pub(crate) more: Vec<Bytes>,
}

impl Broadcast {
    /// Ascending, at least one.
    pub(crate) fn receivers(&self) -> &[ConnId] {
        &self.list[self.range.clone()]
    }

    /// The same list, not only an equal one: that is what messages to one channel have until somebody comes or goes.
    pub(crate) fn has_receivers_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.list, &other.list) && self.range == other.range && self.except == other.except
    }

    /// Nobody gets both, as their ranges do not touch: they are pieces of the list of one large channel.
    pub(crate) fn is_apart_from(&self, other: &Self) -> bool {
        let (one, other) = (self.receivers(), other.receivers());
        one.last() < other.first() || other.last() < one.first()
    }

    /// Bytes of all its frames.
    pub(crate) fn length(&self) -> usize {
        self.frame.len() + self.more.iter().map(Bytes::len).sum::<usize>()
    }

    /// All its frames in one byte string, and how many they are.
    pub(crate) fn frames(&self, memory: &Arc<Memory>) -> (Bytes, u64) {
        if self.more.is_empty() {
            return (self.frame.clone(), 1);
        }
        let mut joined = BytesMut::with_capacity(self.length());
        joined.extend_from_slice(&self.frame);
        for frame in &self.more {
            joined.extend_from_slice(frame);
        }
        (memory.count(joined.freeze()), 1 + self.more.len() as u64)
    }
}

/// Where the actions go.
#[derive(Debug)]
pub(crate) struct Executor {
    shards: Vec<Lane>,
    records: Vec<(OpId, Record)>,
    ready: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    /// Actions and bytes gathered since the last hand-over; a frame for several lists counts once.
    actions: usize,
    bytes: usize,
    /// The latest broadcast since then, as the core gave it and as it is sent: it may go to several lists.
    latest: Option<(Frame, Bytes)>,
}

#[derive(Debug)]
struct Lane {
    batch: Vec<ShardAction>,
    to: mpsc::Sender<Vec<ShardAction>>,
}

/// A session lives on the shard its number says, so that its replies find it.
pub(crate) fn session_shard(session: SessionId, shards: usize) -> usize {
    (session.0 % shards as u64) as usize
}

impl Executor {
    pub(crate) fn new(
        shards: Vec<mpsc::Sender<Vec<ShardAction>>>,
        ready: Arc<AtomicBool>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let shards = shards
            .into_iter()
            .map(|to| Lane {
                batch: Vec::new(),
                to,
            })
            .collect();
        Self {
            shards,
            records: Vec::new(),
            ready,
            metrics,
            actions: 0,
            bytes: 0,
            latest: None,
        }
    }

    /// Sorts one action into the batch it belongs to.
    pub(crate) fn execute(&mut self, action: Action) {
        self.actions += 1;
        match action {
            Action::Send {
                to: Recipients::One(conn),
                frame,
            } => {
                let frame = self.text_frame(frame.bytes());
                self.for_conn(conn, ShardAction::SendOne { conn, frame });
            }
            Action::Send {
                to: Recipients::Many { list, except },
                frame,
            } => {
                let frame = self.broadcast_frame(frame);
                self.broadcast(&list, except, &frame);
            }
            Action::Probe { conn, probe } => {
                self.for_conn(
                    conn,
                    ShardAction::SendOne {
                        conn,
                        frame: frame::probe(probe),
                    },
                );
            }
            Action::Close { conn, cause } => self.for_conn(conn, ShardAction::Close { conn, cause }),
            Action::Reply { session, req, reply } => {
                self.for_session(session, ShardAction::Reply { session, req, reply });
            }
            Action::CloseSession { session } => {
                self.for_session(session, ShardAction::CloseSession { session });
            }
            Action::Persist { op, record } => self.records.push((op, record)),
            Action::Ready(ready) => self.ready(ready),
            Action::Room(room) => self.room(room),
        }
    }

    fn text_frame(&mut self, payload: &[u8]) -> Bytes {
        let frame = self.metrics.memory.count(frame::text(payload));
        self.bytes += frame.len();
        frame
    }

    /// Encodes what goes to several lists for the first of them. The payload is kept meanwhile, so nothing else can
    /// come to lie where it lies.
    fn broadcast_frame(&mut self, payload: Frame) -> Bytes {
        let place = |frame: &Frame| frame.bytes().as_ptr_range();
        if let Some((latest, frame)) = &self.latest
            && place(latest) == place(&payload)
        {
            return frame.clone();
        }
        let frame = self.text_frame(payload.bytes());
        self.latest = Some((payload, frame.clone()));
        frame
    }

    fn ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
        self.metrics.ready.set(i64::from(ready));
        if ready {
            tracing::warn!("writing to disk works again; ready");
        } else {
            tracing::error!("writing to disk fails; not ready, changes are not acknowledged");
        }
    }

    fn room(&self, room: Room) {
        self.metrics.memory.set_room(room);
        self.metrics.memory_state.set(room as i64);
        let state = room.name();
        match room {
            Room::Enough => tracing::warn!(state, "there is memory again"),
            Room::ToCome => tracing::warn!(
                state,
                "the memory limit is near or reached; nothing more is stored"
            ),
            Room::None => tracing::error!(state, "the memory limit is reached; newcomers are turned away"),
        }
    }

    fn for_conn(&mut self, conn: ConnId, action: ShardAction) {
        if let Some(lane) = self.shards.get_mut(conn.shard()) {
            lane.batch.push(action);
        }
    }

    fn for_session(&mut self, session: SessionId, action: ShardAction) {
        let shard = session_shard(session, self.shards.len());
        self.shards[shard].batch.push(action);
    }

    /// The list is ascending and the shard is in the high bits: each shard gets one slice of it.
    fn broadcast(&mut self, list: &Arc<[ConnId]>, except: Option<ConnId>, frame: &Bytes) {
        let mut start = 0;
        for (shard, lane) in self.shards.iter_mut().enumerate() {
            let end = start + list[start..].partition_point(|conn| conn.shard() <= shard);
            if end > start {
                let (list, frame) = (list.clone(), frame.clone());
                lane.batch.push(ShardAction::SendMany(Broadcast {
                    list,
                    range: start..end,
                    except,
                    frame,
                    more: Vec::new(),
                }));
            }
            start = end;
        }
    }

    /// Enough was gathered to hand it over before more events are handled.
    pub(crate) fn is_full(&self) -> bool {
        self.actions >= BATCH_ACTIONS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// The records gathered since the last call, in order.
    pub(crate) fn take_records(&mut self) -> Vec<(OpId, Record)> {
        std::mem::take(&mut self.records)
    }

    /// Nothing is gathered, and every shard can be given a batch without waiting; all are more or less up to date.
    pub(crate) fn has_room(&self) -> bool {
        self.shards
            .iter()
            .all(|lane| lane.batch.is_empty() && lane.to.capacity() > SHARD_BATCHES_MAX / 2)
    }

    /// What was gathered is handed over.
    fn count_anew(&mut self) {
        self.metrics.actions.inc_by(self.actions as u64);
        self.actions = 0;
        self.bytes = 0;
        self.latest = None;
    }

    /// Hands every shard its batch without waiting. Needs `has_room`.
    pub(crate) fn hand_over_now(&mut self) {
        self.count_anew();
        for lane in &mut self.shards {
            if !lane.batch.is_empty() {
                let sent = lane.to.try_send(std::mem::take(&mut lane.batch));
                // A shard that is gone has closed its connections, and says so no more.
                assert!(
                    !matches!(sent, Err(mpsc::error::TrySendError::Full(_))),
                    "a batch for a shard that has no room"
                );
            }
        }
    }

    /// Hands every shard its batch, waiting for those that are behind.
    pub(crate) async fn hand_over(&mut self) {
        self.count_anew();
        for lane in &mut self.shards {
            if !lane.batch.is_empty() {
                #[cfg(madsim)]
                if lane.to.capacity() == 0 && rt::makes(rt::Mistake::DropsUnderPressure) {
                    lane.batch.clear();
                    continue;
                }
                // A shard that is gone has closed its connections, and says so no more.
                let _ = lane.to.send(std::mem::take(&mut lane.batch)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executor(shards: usize) -> (Executor, Vec<mpsc::Receiver<Vec<ShardAction>>>) {
        let (senders, receivers) = (0..shards).map(|_| mpsc::channel(SHARD_BATCHES_MAX)).unzip();
        let ready = Arc::new(AtomicBool::new(true));
        (Executor::new(senders, ready, Arc::new(Metrics::new())), receivers)
    }

    #[tokio::test]
    async fn each_shard_gets_its_slice_and_only_if_it_has_one() {
        let (mut executor, mut inboxes) = executor(3);
        let list: Arc<[ConnId]> = [
            ConnId::new(0, 1),
            ConnId::new(0, 9),
            ConnId::new(2, 1),
            ConnId::new(2, 2),
            ConnId::new(2, 7),
        ]
        .into();
        executor.execute(Action::Send {
            to: Recipients::Many {
                list,
                except: Some(ConnId::new(2, 2)),
            },
            frame: Frame::new("{}".to_owned()),
        });
        executor.hand_over().await;
        for (shard, expected) in [(0, Some(0..2)), (1, None), (2, Some(2..5))] {
            let found = inboxes[shard].try_recv().ok().map(|batch| match &batch[..] {
                [ShardAction::SendMany(broadcast)] => {
                    assert_eq!(&broadcast.frame[..], b"\x81\x02{}");
                    broadcast.range.clone()
                }
                other => panic!("{other:?}"),
            });
            assert_eq!(found, expected, "shard {shard}");
        }
    }

    #[tokio::test]
    async fn a_frame_for_several_lists_is_encoded_and_counted_once() {
        let (mut executor, mut inboxes) = executor(1);
        let body = "x".repeat(BATCH_BYTES_MAX / 2);
        let (frame, equal) = (Frame::new(body.clone()), Frame::new(body));
        for n in 1..=100 {
            let list: Arc<[ConnId]> = [ConnId::new(0, n)].into();
            let to = Recipients::Many { list, except: None };
            let frame = frame.clone();
            executor.execute(Action::Send { to, frame });
        }
        assert!(!executor.is_full(), "a frame was counted for each list");
        let list: Arc<[ConnId]> = [ConnId::new(0, 1)].into();
        let to = Recipients::Many { list, except: None };
        executor.execute(Action::Send { to, frame: equal });
        assert!(executor.is_full(), "another message counts");
        executor.hand_over().await;
        let batch = inboxes[0].try_recv().unwrap();
        let place = |action: &ShardAction| {
            let ShardAction::SendMany(broadcast) = action else {
                panic!("{action:?}")
            };
            broadcast.frame.as_ptr()
        };
        let frames: Vec<_> = batch.iter().map(place).collect();
        assert_eq!(frames.len(), 101);
        assert!(frames[..100].iter().all(|&frame| frame == frames[0]));
        assert_ne!(frames[100], frames[0]);
    }

    #[tokio::test]
    async fn order_is_kept_and_records_are_apart() {
        let (mut executor, mut inboxes) = executor(1);
        let conn = ConnId::new(0, 1);
        let frame = Frame::new("1".to_owned());
        executor.execute(Action::Send {
            to: Recipients::One(conn),
            frame,
        });
        executor.execute(Action::Persist {
            op: OpId(1),
            record: Record::EverybodyOffline {
                time: comet_core::UnixSeconds(5),
            },
        });
        executor.execute(Action::Close {
            conn,
            cause: CloseCause::Kicked,
        });
        assert_eq!(executor.take_records().len(), 1);
        assert!(executor.take_records().is_empty());
        executor.hand_over().await;
        let batch = inboxes[0].try_recv().unwrap();
        assert!(matches!(batch[0], ShardAction::SendOne { .. }));
        assert!(matches!(
            batch[1],
            ShardAction::Close {
                cause: CloseCause::Kicked,
                ..
            }
        ));
    }
}
