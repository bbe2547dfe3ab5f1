//! What the second judge (`linear`) is told beside statements and answers.

use comet_core::Record;

use super::World;
use crate::browser::Command;
use crate::names;

impl World {
    /// A hint for the search: the order in which the core stores things is tried first.
    pub(super) fn note_stored(&mut self, record: &Record) {
        if let Record::HistoryAppended { message, .. } = record
            && let Some(n) = names::number_in(&names::view(message.body.as_str()))
        {
            self.recorder.stored(n);
        }
    }

    /// What a page sends into a channel may be kept there.
    pub(super) fn record_page(&mut self, link: usize, command: &Command) {
        if let (Command::Send(message), Some(tab)) = (command, self.links[link].tab) {
            let dev = self.browsers[self.tabs[tab].browser].dev;
            self.recorder.page_sent(dev, &message.channel, message.n);
        }
    }
}
