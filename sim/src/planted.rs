//! Known mistakes, made on purpose between the core and the world, to prove that the alarm rings. None of them is
//! in the core: a faulty adapter spoils its actions, loses its events or forgets its timers.

use comet_core::{Action, Config, ConnId, Event, Frame, OpId, Recipients, Record, Room, Seq};

use crate::backend::Ask;
use crate::model::Cause;
use crate::planted_actions::{
    is_ack, is_channel_message, is_kick, is_private, is_queued, rewritten, row, swap, text_of,
};

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident $name:literal),* $(,)?) => {
        /// A mistake.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Bug { $($(#[$doc])* $bug),* }

        impl Bug {
            /// Every mistake.
            pub const ALL: &[Self] = &[$(Self::$bug),*];

            /// Its name in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$bug => $name),* }
            }
        }
    };
}

bugs! {
    /// What waited in the queue is not sent after a reload.
    DropRedelivery "drop_redelivery",
    /// Every 5th live private frame is lost.
    DropPrivate "drop_private",
    /// A private frame is sent twice, under two ids.
    DuplicatePrivate "duplicate_private",
    /// Two private frames in one step change places.
    SwapPrivate "swap_private",
    /// A private frame goes to the connection the user had before.
    StaleConnection "stale_connection",
    /// A private frame goes to somebody else, too.
    StrangerGetsPrivate "stranger_gets_private",
    /// A channel message crosses to another tenant.
    WrongTenant "wrong_tenant",
    /// Every 3rd stored private message is not written.
    SwallowRecord "swallow_record",
    /// The core is told that records are safe before they are.
    AcknowledgeEarly "acknowledge_early",
    /// The core is never woken for its timers.
    ForgetTimers "forget_timers",
    /// Every 3rd end of a connection is not told to the core.
    LoseClosed "lose_closed",
    /// Probes are not sent.
    DropProbe "drop_probe",
    /// Every acknowledgement is lost.
    LosePong "lose_pong",
    /// History is not trimmed.
    KeepHistory "keep_history",
    /// What is told of a message leaves out that it waits.
    HideWaiting "hide_waiting",
    /// A message that was sent and not acknowledged is told to be acknowledged.
    TellDelivered "tell_delivered",
    /// A message is told to have been sent to another connection.
    OtherDevice "other_device",
    /// A history answer misses its first message.
    ShortHistory "short_history",
    /// The sender gets its own message.
    EchoToSender "echo_to_sender",
    /// Delivery reports count one receiver too many.
    WrongCount "wrong_count",
    /// Users never go offline.
    DropOffline "drop_offline",
    /// Joins and leaves are announced twice.
    TrackTwice "track_twice",
    /// Two channel messages of one step change places.
    SwapChannel "swap_channel",
    /// Statements are answered twice.
    ReplyTwice "reply_twice",
    /// Every 9th statement is not answered.
    LoseReply "lose_reply",
    /// Deleting a key disconnects nobody.
    IgnoreKick "ignore_kick",
    /// Everybody is told that he is authorized.
    EverybodyAuthorized "everybody_authorized",
    /// A Pong acknowledges for a page of version 5.
    PongForPage "pong_for_page",
    /// An `ack` of an id that is not on its way acknowledges everything.
    UnknownAck "unknown_ack",
    /// Every 3rd `ack` is lost, so the time for the next one is not begun anew.
    LoseAck "lose_ack",
    /// Messages with a send key are not remembered.
    ForgetSends "forget_sends",
    /// A message that is sent again is published again.
    PublishAgain "publish_again",
    /// Nobody is told that his message had been accepted before.
    HideRepeated "hide_repeated",
    /// A report that waited for the disk has no number.
    LoseNumber "lose_number",
    /// Every 7th result comes twice.
    ResultTwice "result_twice",
    /// The result of a history precedes its messages.
    EarlyEnd "early_end",
    /// A live message of a channel with history has another id than in the history.
    OtherId "other_id",
    /// A tenant may be a little faster than it may.
    RateOffByOne "rate_off_by_one",
    /// Every connection has a bucket of its own instead of its tenant's.
    WrongBucket "wrong_bucket",
    /// A tenant may have one subscription more than it may.
    QuotaOffByOne "quota_off_by_one",
    /// A tenant may store one thing more than it may.
    StoreOffByOne "store_off_by_one",
    /// A tenant may have one connection, session or user more than it may.
    PlacesOffByOne "places_off_by_one",
    /// The statements of a tenant may come a little faster.
    StatementsOffByOne "statements_off_by_one",
    /// One wrong key more is free.
    GuessesOffByOne "guesses_off_by_one",
    /// An address may have one connection more.
    AddressOffByOne "address_off_by_one",
    /// What is around the core seems never to give memory back.
    MemoryLeak "memory_leak",
    /// The core does not hear how much memory is used.
    DeafToMemory "deaf_to_memory",
    /// Acknowledgements are refused while there is no room.
    RefuseAcks "refuse_acks",
    /// `unsubscribe` keeps the first of the channels.
    KeepSubscriber "keep_subscriber",
    /// A pipelined statement is overtaken by the next one of its session, before it reaches the core.
    Overtake "overtake",
    /// Every 7th INSERT into channels is handed to the core twice.
    InsertTwice "insert_twice",
    /// Of the newest statement with messages for several users a crash leaves only the first.
    TearStatement "tear_statement",
    /// A DELETE that finds nothing is answered OK before what was there is deleted on disk.
    DeleteEarly "delete_early",
    /// An INSERT into channels without history is answered OK before the end of a history is on disk.
    InsertEarly "insert_early",
}

/// The faulty adapter of a run.
#[derive(Debug, Default)]
pub struct Planted {
    bug: Option<Bug>,
    count: u64,
    /// The most the core was told of memory, and whether it is full.
    most: u64,
    full: bool,
    conns: Vec<(ConnId, u32, u32)>,
    /// The first record of the newest statement with messages for several users.
    first_row: Option<OpId>,
    exact: crate::planted_exact::Memory,
    early: crate::planted_early::Early,
}

impl Planted {
    /// No mistake.
    pub fn none() -> Self {
        Self::default()
    }

    /// This mistake.
    pub fn bug(bug: Bug) -> Self {
        Self {
            bug: Some(bug),
            ..Self::default()
        }
    }

    /// True if a mistake is being made.
    pub fn is_active(&self) -> bool {
        self.bug.is_some()
    }

    fn every(&mut self, n: u64) -> bool {
        self.count += 1;
        self.count.is_multiple_of(n)
    }

    /// True if the core is never woken for its timers.
    pub fn sleeps(&self) -> bool {
        self.bug == Some(Bug::ForgetTimers)
    }

    /// True if the core is told too early that records are safe.
    pub fn lies_about_disk(&self) -> bool {
        self.bug == Some(Bug::AcknowledgeEarly)
    }

    /// The server dies: up to which record its last statement is stored.
    pub fn torn(&mut self) -> Option<OpId> {
        let first = self.first_row.take();
        first.filter(|_| self.bug == Some(Bug::TearStatement))
    }

    /// True if a statement is held back for the next one.
    pub fn overtakes(&mut self) -> bool {
        self.bug == Some(Bug::Overtake) && self.every(3)
    }

    /// True if a statement is handed to the core twice.
    pub fn repeats(&mut self, ask: &Ask) -> bool {
        self.bug == Some(Bug::InsertTwice) && matches!(ask, Ask::Publish(_)) && self.every(7)
    }

    /// True if the core does not get to see the event.
    pub fn swallows(&mut self, event: &Event) -> bool {
        match self.bug {
            Some(Bug::LoseClosed) => matches!(event, Event::Closed { .. }) && self.every(3),
            Some(Bug::DeafToMemory) => matches!(event, Event::Memory(_)),
            Some(Bug::RefuseAcks) => {
                self.full && (is_ack(event) || matches!(event, Event::ProbeAnswered { .. }))
            }
            Some(Bug::LoseAck) => is_ack(event) && self.every(3),
            Some(Bug::LosePong) => matches!(event, Event::ProbeAnswered { .. }),
            Some(_) | None => false,
        }
    }

    /// What the core gets to see instead of an event.
    pub fn bend(&mut self, event: Event) -> Event {
        match (self.bug, event) {
            (Some(Bug::MemoryLeak), Event::Memory(mut outside)) => {
                self.most = self.most.max(outside.frames);
                outside.frames = self.most;
                Event::Memory(outside)
            }
            (Some(bug), event) => self.exact.bend(bug, event),
            (None, event) => event,
        }
    }

    /// The settings the core is started with.
    pub fn settings(&self, config: Config) -> Config {
        match self.bug {
            Some(bug) => crate::planted_limits::settings(bug, config),
            None => config,
        }
    }

    /// Spoils what the core wants.
    pub fn spoil(&mut self, cause: &Cause, actions: &mut Vec<Action>) {
        let Some(bug) = self.bug else { return };
        self.notice(cause, actions);
        match bug {
            Bug::DropRedelivery => {
                actions.retain(|a| !(is_private(a) && text_of(a).contains(r#""fromQueue":true"#)))
            }
            Bug::DropPrivate => actions.retain(|a| !(is_private(a) && self.every(5))),
            Bug::SwapPrivate => swap(actions, is_private),
            Bug::SwapChannel => swap(actions, is_channel_message),
            Bug::SwallowRecord => actions.retain(|a| !(is_queued(a) && self.every(3))),
            Bug::DropProbe => actions.retain(|action| !matches!(action, Action::Probe { .. })),
            Bug::DropOffline => actions.retain(|action| !text_of(action).contains(r#""event":"offline""#)),
            Bug::LoseReply => {
                actions.retain(|action| !(matches!(action, Action::Reply { .. }) && self.every(9)))
            }
            Bug::IgnoreKick => actions.retain(|action| !is_kick(action)),
            Bug::ShortHistory => {
                if let Some(at) = actions
                    .iter()
                    .position(|a| text_of(a).contains(r#""history":true"#))
                {
                    actions.remove(at);
                }
            }
            Bug::PublishAgain | Bug::LoseNumber | Bug::EarlyEnd => self.exact.spoil(bug, cause, actions),
            Bug::DeleteEarly | Bug::InsertEarly => self.early.spoil(bug, cause, actions),
            Bug::ForgetTimers
            | Bug::AcknowledgeEarly
            | Bug::LoseClosed
            | Bug::LosePong
            | Bug::PongForPage
            | Bug::UnknownAck
            | Bug::LoseAck
            | Bug::MemoryLeak
            | Bug::DeafToMemory
            | Bug::RefuseAcks
            | Bug::ForgetSends
            | Bug::RateOffByOne
            | Bug::WrongBucket
            | Bug::QuotaOffByOne
            | Bug::StoreOffByOne
            | Bug::PlacesOffByOne
            | Bug::StatementsOffByOne
            | Bug::GuessesOffByOne
            | Bug::AddressOffByOne
            | Bug::KeepSubscriber
            | Bug::Overtake
            | Bug::InsertTwice
            | Bug::TearStatement => {}
            Bug::DuplicatePrivate
            | Bug::StaleConnection
            | Bug::StrangerGetsPrivate
            | Bug::WrongTenant
            | Bug::KeepHistory
            | Bug::HideWaiting
            | Bug::TellDelivered
            | Bug::OtherDevice
            | Bug::EchoToSender
            | Bug::WrongCount
            | Bug::TrackTwice
            | Bug::ReplyTwice
            | Bug::HideRepeated
            | Bug::ResultTwice
            | Bug::OtherId
            | Bug::EverybodyAuthorized => *actions = self.spoil_each(bug, actions),
        }
    }

    fn notice(&mut self, cause: &Cause, actions: &[Action]) {
        for action in actions {
            if let Action::Room(room) = action {
                self.full = *room == Room::None;
            }
        }
        if let Cause::Opened(claim) = cause {
            self.conns.push((claim.conn, claim.dev, claim.user));
        }
        let rows: Vec<_> = actions.iter().filter_map(row).collect();
        if let [(first, user), ..] = rows[..]
            && rows.iter().any(|(_, other)| *other != user)
        {
            self.first_row = Some(first);
        }
        self.exact.notice(cause, actions);
    }

    fn spoil_each(&mut self, bug: Bug, actions: &[Action]) -> Vec<Action> {
        let mut spoilt = Vec::with_capacity(actions.len());
        for action in actions {
            match self.spoil_one(bug, action) {
                Some(more) => spoilt.extend(more),
                None => spoilt.push(action.clone()),
            }
        }
        spoilt
    }

    /// What stands in the place of an action; `None` = itself.
    fn spoil_one(&mut self, bug: Bug, action: &Action) -> Option<Vec<Action>> {
        if let Action::Send { to, frame } = action
            && bug != Bug::ResultTwice
        {
            return self.spoil_frame(bug, action, to, frame);
        }
        match (bug, action) {
            (
                Bug::KeepHistory,
                Action::Persist {
                    op,
                    record:
                        Record::HistoryAppended {
                            dev,
                            channel,
                            message,
                            ..
                        },
                },
            ) => {
                let (channel, message) = (channel.clone(), message.clone());
                let record = Record::HistoryAppended {
                    dev: *dev,
                    channel,
                    message,
                    keep_from: Seq(0),
                };
                Some(vec![Action::Persist { op: *op, record }])
            }
            (Bug::ResultTwice, Action::Send { frame, .. })
                if frame.as_str().contains(r#""re":"#) && self.every(7) =>
            {
                Some(vec![action.clone(), action.clone()])
            }
            (Bug::HideWaiting | Bug::TellDelivered | Bug::OtherDevice, Action::Reply { .. }) => {
                crate::planted_delivery::spoil(bug, action).map(|action| vec![action])
            }
            (Bug::ReplyTwice, Action::Reply { .. }) if self.every(5) => {
                Some(vec![action.clone(), action.clone()])
            }
            _ => None,
        }
    }

    fn spoil_frame(&self, bug: Bug, action: &Action, to: &Recipients, frame: &Frame) -> Option<Vec<Action>> {
        let send = |conn| Action::Send {
            to: Recipients::One(conn),
            frame: frame.clone(),
        };
        match (bug, to) {
            (Bug::DuplicatePrivate, _) if is_private(action) => {
                let copy = rewritten(action, r#""uuid":"0"#, r#""uuid":"f"#)?;
                Some(vec![action.clone(), copy])
            }
            (Bug::StaleConnection, Recipients::One(conn)) if is_private(action) => {
                let (_, dev, user) = *self.conns.iter().find(|(id, _, _)| id == conn)?;
                let (stale, ..) = *self
                    .conns
                    .iter()
                    .find(|known| (known.1, known.2) == (dev, user))?;
                Some(vec![send(stale)])
            }
            (Bug::StrangerGetsPrivate, Recipients::One(conn)) if is_private(action) => {
                let (stranger, ..) = *self.conns.iter().rev().find(|(id, _, _)| id != conn)?;
                Some(vec![action.clone(), send(stranger)])
            }
            (Bug::WrongTenant, _) if is_channel_message(action) => {
                let first = *crate::world::recipients(to).first()?;
                let (_, dev, _) = *self.conns.iter().find(|(id, _, _)| *id == first)?;
                let (stranger, ..) = *self.conns.iter().rev().find(|(_, other, _)| *other != dev)?;
                Some(vec![action.clone(), send(stranger)])
            }
            (
                Bug::EchoToSender,
                Recipients::Many {
                    list,
                    except: Some(_),
                },
            ) => {
                let to = Recipients::Many {
                    list: list.clone(),
                    except: None,
                };
                Some(vec![Action::Send {
                    to,
                    frame: frame.clone(),
                }])
            }
            (Bug::WrongCount, _) => rewritten(action, r#""number_messages":1"#, r#""number_messages":2"#)
                .or_else(|| rewritten(action, r#""number_messages":0"#, r#""number_messages":1"#))
                .map(|action| vec![action]),
            (Bug::TrackTwice, _) if frame.as_str().contains(r#"subscription","#) => {
                Some(vec![action.clone(), action.clone()])
            }
            (Bug::HideRepeated, _) => rewritten(action, r#","repeated":true"#, "").map(|action| vec![action]),
            (Bug::OtherId, _) if is_channel_message(action) => {
                rewritten(action, r#""uuid":"0"#, r#""uuid":"f"#).map(|action| vec![action])
            }
            (Bug::EverybodyAuthorized, _) => {
                rewritten(action, r#""authorized":false"#, r#""authorized":true"#).map(|action| vec![action])
            }
            _ => None,
        }
    }
}
