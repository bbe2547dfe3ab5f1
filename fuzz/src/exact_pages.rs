//! What pages of version 5 are promised (docs/protocol-v5.md 1): valid JSON, and exactly one result for each number.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Result, Unstructured};
use comet_core::ConnId;
use comet_core::wire::{CommandNumber, json};

/// The open pages of version 5.
#[derive(Default)]
pub(crate) struct ExactPages {
    pages: BTreeMap<ConnId, Page>,
}

#[derive(Default)]
struct Page {
    /// Results that are due, by number; a page may use a number again.
    due: BTreeMap<u64, u64>,
    numbers: u64,
    /// Ids of private messages it was sent.
    private: Vec<String>,
}

impl ExactPages {
    pub(crate) fn opened(&mut self, conn: ConnId) {
        self.pages.insert(conn, Page::default());
    }

    pub(crate) fn has(&self, conn: ConnId) -> bool {
        self.pages.contains_key(&conn)
    }

    /// A command only version 5 has, or one with a number.
    pub(crate) fn command(
        &mut self,
        conn: ConnId,
        channel: &str,
        other: &str,
        choices: &mut Unstructured<'_>,
    ) -> Result<String> {
        let page = self.pages.entry(conn).or_default();
        page.numbers += u64::from(choices.ratio(15, 16)?);
        let number = match choices.int_in_range(0..=9u8)? {
            0 => String::new(),
            1 => " 0".to_owned(),
            _ => format!(" {}", page.numbers),
        };
        let key = choices.int_in_range(0..=3u8)?;
        Ok(match choices.int_in_range(0..=11u8)? {
            0 => format!("subscription{number}\n{channel}\n{other}\nx"),
            1 => format!("subscribe{number}\n{channel}\n{other}"),
            2 => format!("unsubscribe{number}\n{channel}"),
            3..=5 => format!("web_pipe2{number}\n{channel}\ne\nsend-key-{key}\n[1,\n2]"),
            6 => format!("pipe_log{number}\n{channel}\n"),
            7 => format!("pipe_count{number}\n{channel}\n"),
            8 => format!("user_data{number}\n\n{key}"),
            9 => format!("statistics{number}"),
            10 => format!("ack{number}\n{}", choices.choose(&["x", UNKNOWN_ID])?),
            _ if page.private.is_empty() => format!("ack{number}\n{UNKNOWN_ID}"),
            _ => {
                let at = choices.choose_index(page.private.len())?;
                format!("ack{number}\n{}", page.private[at])
            }
        })
    }

    pub(crate) fn asked(&mut self, conn: ConnId, number: Option<CommandNumber>) {
        if let Some((page, number)) = self.pages.get_mut(&conn).zip(number) {
            *page.due.entry(number.get()).or_default() += 1;
        }
    }

    /// A frame for a connection, of whatever version.
    pub(crate) fn got(&mut self, conn: ConnId, text: &str) {
        assert!(json::is_valid(text), "a frame is JSON: {text}");
        let Some(page) = self.pages.get_mut(&conn) else {
            assert!(!text.contains(['\n', '\r', '\'']), "E1, E6: {text}");
            return;
        };
        if text.starts_with(r#"{"pipe":"msg""#)
            && let Some(id) = last_id(text)
        {
            page.private.push(id.to_owned());
        }
        let Some(re) = number(text) else { return };
        let due = page.due.get_mut(&re).filter(|due| **due > 0);
        let due = due.unwrap_or_else(|| panic!("nobody asked, or it was answered before: {text}"));
        if !text.contains(r#""history":true,"fromQueue":true,"message_send_time":"#) {
            *due -= 1;
        }
    }

    /// Whoever is still there has all results.
    pub(crate) fn all_answered(&self, open: &BTreeSet<ConnId>) {
        for (conn, page) in self.pages.iter().filter(|(conn, _)| open.contains(conn)) {
            let missing: Vec<_> = page.due.iter().filter(|(_, due)| **due > 0).collect();
            assert!(missing.is_empty(), "no result for {missing:?} at {conn:?}");
        }
    }
}

/// An id that no message has.
const UNKNOWN_ID: &str = "01890000-0000-7000-8000-000000000001";

/// `re`, which stands before `data`, behind names that contain no quotes.
fn number(text: &str) -> Option<u64> {
    let (head, _) = text.split_once(r#","data":"#)?;
    let (_, rest) = head.split_once(r#","re":"#)?;
    let number = rest.split(',').next().unwrap_or_default();
    Some(number.parse().expect("`re` is a number"))
}

/// The id behind `data`.
fn last_id(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once(r#","uuid":""#)?;
    rest.split_once('"').map(|(id, _)| id)
}
