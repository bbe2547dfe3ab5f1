//! What is written, and what may be found afterwards: the records of a seed, as the shipped core made them in a run of
//! the simulator, and the question how many of them a store holds.

use comet_core::{Action, Body, Durable, Record};
use comet_sim::law::{self, Ticks};
use comet_sim::prng::Prng;

/// Records in the order in which the core made them.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    records: Vec<Record>,
}

impl Story {
    /// The records of one life of a server in the simulator's run of this seed; runs that make hardly any are passed over.
    pub(crate) fn of(seed: u64, least: usize) -> Self {
        let mut script_seed = seed;
        loop {
            let script = comet_sim::generate(script_seed, None);
            let made = law::actions(&script, Ticks::Same);
            let records: Vec<Record> = made.into_iter().filter_map(record).collect();
            if records.len() >= least {
                return Self { records };
            }
            script_seed = Prng::keyed(script_seed, 77).next();
        }
    }

    /// Makes some texts long, so that rows fill pages and overflow them.
    pub(crate) fn grow(&mut self, luck: &mut Prng) {
        let (share, longest) = (luck.pick(&[0, 10, 50, 100]), luck.pick(&[100, 1000, 5000]));
        for record in &mut self.records {
            let body = match record {
                Record::MessageQueued { message, .. } => &mut message.body,
                Record::HistoryAppended { message, .. } => &mut message.body,
                Record::DataSet { data, .. } => data,
                Record::KeySet { .. }
                | Record::KeyDeleted { .. }
                | Record::DataDeleted { .. }
                | Record::UserOnline { .. }
                | Record::UserOffline { .. }
                | Record::EverybodyOffline { .. }
                | Record::MessagesRemoved { .. }
                | Record::HistoryLengthSet { .. }
                | Record::HistorySettingDeleted { .. }
                | Record::HistoryRemoved { .. }
                | Record::TokenRevoked { .. }
                | Record::TokenRestored { .. } => continue,
            };
            if luck.percent(share) {
                let text = format!("{}{}", body.as_str(), "é".repeat(luck.below(longest) as usize));
                *body = Body::new(&text);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Record> {
        self.records.get(at)
    }

    /// How many records of the story a store holds, if it holds exactly its first ones, and at least `from` of them.
    /// Of several possible numbers (records that change nothing) the largest up to `upto`.
    pub(crate) fn position(&self, found: &Durable, from: usize, upto: usize) -> Option<usize> {
        let mut state = Durable::default();
        let mut position = None;
        for at in 0..=upto.min(self.len()) {
            if at >= from && state == *found {
                position = Some(at);
            }
            if let Some(record) = self.records.get(at) {
                state.apply(record);
            }
        }
        position
    }
}

fn record(action: Action) -> Option<Record> {
    if let Action::Persist { record, .. } = action {
        Some(record)
    } else {
        None
    }
}
