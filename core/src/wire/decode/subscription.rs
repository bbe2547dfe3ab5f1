//! The list of names of `subscription`, `subscribe` and `unsubscribe` (protocol.md 2.6.1, protocol-v5.md 1), in bounded memory.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::{Subscribe, SubscribeMode};
use crate::name::{ChannelName, is_name_byte};

/// Most distinct names that are kept of one command, far above any sensible `ws.max_subscriptions`. The surplus is
/// counted in `refused_more`, so one message of the largest size cannot fill the memory.
pub const NAMES_MAX: usize = 65_536;

/// Most names of a wrong length that are kept for the report.
const REFUSED_MAX: usize = 32;

/// Splits the list at every run of characters that are no name characters, so `channel.event` needs no rule (S30). Lengths are judged here; everything that
/// depends on the connection is not.
pub(super) fn names(mode: SubscribeMode, arguments: &str) -> Subscribe {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    let mut refused: Vec<Arc<str>> = Vec::new();
    let mut refused_more = 0;
    let is_separator = |c: char| !u8::try_from(c).is_ok_and(is_name_byte);
    for word in arguments.split(is_separator) {
        // `msg` is implicit and cannot be subscribed (Q27).
        if word.is_empty() || word == "msg" || seen.contains(word) {
            continue;
        }
        match ChannelName::from_browser(word) {
            Ok(name) if names.len() < NAMES_MAX => {
                seen.insert(word);
                names.push(name);
            }
            Ok(_) => refused_more += 1,
            Err(_) => {
                let cut = word.get(..ChannelName::MAX).unwrap_or(word);
                if refused.iter().any(|known| &**known == cut) {
                    continue;
                }
                if refused.len() < REFUSED_MAX {
                    refused.push(cut.into());
                } else {
                    refused_more += 1;
                }
            }
        }
    }
    assert!(names.len() <= NAMES_MAX && refused.len() <= REFUSED_MAX);
    Subscribe {
        mode,
        names,
        refused,
        refused_more,
    }
}
