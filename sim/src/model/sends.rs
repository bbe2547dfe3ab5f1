//! What pages send into channels (protocol.md 2.6.2): each message once, however often a page of version 5 repeats it
//! under the same send key (docs/protocol-v5.md 3).

use comet_core::{ConnId, MessageId, OpId};
use sha2::{Digest as _, Sha256};

use super::channels::Publication;
use super::{Asked, Conn, Failure, Model, Out, Wanted};
use crate::browser::{Message, Version};
use crate::profile::Knob;
use crate::seen::{Extra, Seen, Told};

/// What makes the id of a message that has a send key, and nothing else does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    dev: u32,
    /// The proven user, 0 = anonymous.
    user: u32,
    uuid: String,
    channel: String,
    key: String,
}

/// A message the server remembers.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    dev: u32,
    id: String,
    count: u64,
    op: Option<OpId>,
    until: u64,
}

/// What became of a message.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) count: u64,
    /// Its id, if it has one.
    pub(super) id: Option<String>,
    /// The record its report waits for: the one that keeps it, or the end of a history because of which none does.
    pub(super) op: Option<OpId>,
}

impl Identity {
    /// The id this makes (docs/protocol-v5.md 3), found without a look at the core.
    fn id(&self) -> String {
        let numbers = [self.dev, self.user].map(u32::to_be_bytes).concat();
        let texts = [&*self.uuid, &*self.channel, &*self.key].join("/");
        let digest = Sha256::new()
            .chain_update("comet-server message")
            .chain_update(numbers)
            .chain_update(texts)
            .finalize();
        let first = digest.iter().take(16);
        let number = first.fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
        // Version 8 and the variant of RFC 9562.
        let number = number & !(0xf << 76) & !(0x3 << 62) | 8 << 76 | 2 << 62;
        MessageId(number).to_string()
    }
}

impl Model {
    /// `web_pipe2`.
    pub(super) fn send(&mut self, asked: Asked, message: &Message, outs: &[Out]) {
        let Some(conn) = self.conn(asked.conn) else { return };
        let (dev, user, version) = (conn.dev, conn.user, conn.version);
        let identity = identity(conn, message);
        if self.refuse_long(asked, message, version == Version::V5) {
            return;
        }
        // What is known is not refused any more, whatever happened since.
        let known = identity.as_ref().and_then(|identity| self.known(identity));
        let refusal = match known {
            Some(_) => None,
            None => self.refusal(asked.conn, user, message, dev, outs),
        };
        if let Some(code) = refusal {
            self.refuse(asked, Extra::Number, code);
            if version != Version::V5 {
                let pipe = message.channel.clone();
                self.want(asked.conn, Seen::ErrorReport { pipe });
            }
            return;
        }
        let (published, repeated) = match known {
            Some(published) => (published, true),
            None => (self.accept(asked, user, message, identity), false),
        };
        // Whichever record it is, the report is due when everything there is now is safe.
        let waits = repeated || published.op.is_some();
        let by = waits.then(|| self.newest(outs));
        let seen = report(version, message, &published, repeated);
        self.wanted.push(Wanted {
            conn: asked.conn,
            re: asked.re,
            seen,
            after: published.op,
            by,
            may_fail: false,
        });
    }

    /// Why a message is not taken, as a code.
    fn refusal(
        &self,
        id: ConnId,
        user: u32,
        message: &Message,
        dev: u32,
        outs: &[Out],
    ) -> Option<&'static str> {
        let channel = &message.channel;
        let open = channel.starts_with("web_");
        let kept = self.told.length(dev, channel) > 0;
        if !open && (!channel.starts_with("webauth_") || message.anonymous) {
            Some("channel_refused")
        } else if !open && user == 0 {
            Some("not_authorized")
        } else if self.is_full() || (kept && self.stores_nothing()) {
            Some("server_full")
        } else if self.failing && (kept || self.unsafe_end(dev).is_some()) && refused(id, outs) {
            Some("store_unavailable")
        } else if kept && self.is_history_over_quota(dev, channel, &message.body) {
            Some("quota_exceeded")
        } else {
            None
        }
    }

    /// What became of a message that was accepted before, as far as the server has to know it.
    fn known(&mut self, identity: &Identity) -> Option<Published> {
        let now = self.now;
        self.accepted.retain(|accepted| accepted.until > now);
        let id = identity.id();
        let remembered = self.accepted.iter().find(|accepted| accepted.id == id);
        if let Some(accepted) = remembered {
            return Some(Published {
                count: accepted.count,
                id: Some(id),
                op: accepted.op,
            });
        }
        let mut kept = self.told.history_of(identity.dev, &identity.channel);
        let kept = kept.find(|kept| kept.id == id)?;
        Some(Published {
            count: 0,
            id: Some(id),
            op: kept.op,
        })
    }

    fn accept(
        &mut self,
        asked: Asked,
        user: u32,
        message: &Message,
        identity: Option<Identity>,
    ) -> Published {
        let dev = self.conn(asked.conn).map_or(0, |conn| conn.dev);
        let kept = self.told.length(dev, &message.channel) > 0;
        let mut published = self.publish(&Publication {
            dev,
            channel: &message.channel,
            event: &message.event,
            body: &message.body,
            sender: Some(if message.anonymous { 0 } else { user }),
            except: Some(asked.conn),
            identity: identity.as_ref(),
        });
        published.op = published.op.or_else(|| self.unsafe_end(dev));
        if let Some(id) = published.id.clone().filter(|_| identity.is_some()) {
            self.copies.push((message.n, id.clone()));
            // What is kept is noted where its record is.
            if !kept {
                let at = (dev, message.channel.as_str());
                self.happened(id.clone(), at, "accepted", (0, asked.conn.0));
            }
            self.accepted.push(Accepted {
                dev,
                id,
                count: published.count,
                op: published.op,
                until: self.now + self.profile.get(Knob::SendMemoryMs) * 1000,
            });
            if self.accepted.len() as u64 > self.profile.get(Knob::SendMemory) {
                self.forget_one();
            }
        }
        published
    }

    /// The memory is full: the tenant that has most of it forgets its oldest; among equals the one whose oldest is oldest.
    fn forget_one(&mut self) {
        let share = |dev| self.accepted.iter().filter(|message| message.dev == dev).count();
        let most = self.accepted.iter().map(|message| share(message.dev)).max();
        if let Some(oldest) = self
            .accepted
            .iter()
            .position(|message| Some(share(message.dev)) == most)
        {
            self.accepted.remove(oldest);
        }
    }

    /// The id of a message with a send key: the same for ever, and nobody else's.
    pub(super) fn name(&mut self, identity: &Identity) -> String {
        let id = identity.id();
        if !self.identities.contains(identity) {
            self.new_id(&id);
            self.identities.push(identity.clone());
        }
        id
    }

    /// A message got an id that no message had before.
    pub(super) fn new_id(&mut self, id: &str) {
        let private = self
            .private
            .iter()
            .any(|message| message.id.as_deref() == Some(id));
        if private || self.ids.iter().any(|known| known == id) {
            self.complain(format!("the id {id} belongs to another message"));
        }
        self.ids.push(id.to_owned());
    }

    pub(super) fn complain(&mut self, text: String) {
        self.trouble.get_or_insert(Failure { kind: "id", text });
    }
}

fn identity(conn: &Conn, message: &Message) -> Option<Identity> {
    let key = message.send_key()?;
    (conn.version == Version::V5).then(|| Identity {
        dev: conn.dev,
        user: conn.user,
        uuid: conn.uuid.clone(),
        channel: message.channel.clone(),
        key: key.clone(),
    })
}

fn report(version: Version, message: &Message, published: &Published, repeated: bool) -> Seen {
    let pipe = message.channel.clone();
    match version {
        Version::V3 | Version::V4 => Seen::Report {
            pipe,
            count: published.count,
            body: message.body.clone(),
            failed: false,
        },
        Version::V5 => Seen::Outcome {
            pipe,
            count: published.count,
            failed: false,
            id: published.id.clone(),
            repeated,
        },
    }
}

/// The core refuses a message because it cannot store it.
fn refused(id: ConnId, outs: &[Out]) -> bool {
    let number = Seen::Error { extra: Extra::Number };
    let code = Seen::Refused {
        code: "store_unavailable".to_owned(),
    };
    answers(id, outs).any(|told| told.seen == number || told.seen == code)
}

/// The frames for one connection alone.
fn answers(id: ConnId, outs: &[Out]) -> impl Iterator<Item = &Told> {
    outs.iter().filter_map(move |out| {
        let Out::Frame { to, told, .. } = out else {
            return None;
        };
        (*to == [id]).then_some(&**told)
    })
}
