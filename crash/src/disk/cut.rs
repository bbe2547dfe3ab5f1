//! What a power cut leaves: the medium, and an arbitrary part of what was on its way to it. Each cut draws how arbitrary
//! it is, since mild ones find other mistakes than wild ones.

use comet_sim::prng::Prng;

use super::{Change, Content, Disk, SECTOR, put};

/// How much of what waited survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mercy {
    /// Nothing.
    None,
    /// Everything.
    All,
    /// What came first, the last change in part.
    Prefix,
    /// Any sectors, in any combination: later changes without earlier ones.
    Sectors,
    /// As `Sectors`, and those that were being written hold garbage.
    Garbage,
}

impl Mercy {
    fn drawn(luck: &mut Prng) -> Self {
        match luck.below(8) {
            0 => Self::None,
            1 => Self::All,
            2 | 3 => Self::Prefix,
            4..=6 => Self::Sectors,
            _ => Self::Garbage,
        }
    }
}

impl Disk {
    /// The power fails and comes back. What processes see afterwards is what the medium has.
    pub(crate) fn cut_power(&self) {
        let mut state = self.state();
        let state = &mut *state;
        let luck = &mut state.luck;
        let mercy = Mercy::drawn(luck);
        for file in &mut state.files {
            settle(file, mercy, luck);
        }
        let in_order = luck.percent(50);
        let mut ended = false;
        for naming in std::mem::take(&mut state.naming) {
            let lost = match mercy {
                Mercy::None => true,
                Mercy::All => false,
                Mercy::Prefix | Mercy::Sectors | Mercy::Garbage => luck.percent(40),
            };
            ended |= lost && in_order;
            if !(lost || ended) {
                naming.apply(&mut state.safe_names);
            }
        }
        state.names = state.safe_names.clone();
        state.dead = false;
    }

    /// Bits of a file turn over by themselves. False if there is no such file or nothing in it.
    pub(crate) fn rot(&self, name: &str) -> bool {
        let mut state = self.state();
        let state = &mut *state;
        let Some(inode) = state.names.get(name) else {
            return false;
        };
        let file = &mut state.files[inode.0];
        if file.medium.is_empty() {
            return false;
        }
        for _ in 0..state.luck.between(1, 4) {
            let at = state.luck.below(file.medium.len() as u64) as usize;
            file.medium[at] ^= 1 << state.luck.below(8);
        }
        file.cache.clone_from(&file.medium);
        true
    }
}

/// Lets a part of what waited reach the medium.
fn settle(file: &mut Content, mercy: Mercy, luck: &mut Prng) {
    let waiting = std::mem::take(&mut file.waiting);
    let whole = match mercy {
        Mercy::None => 0,
        Mercy::All => waiting.len(),
        Mercy::Prefix => luck.below(waiting.len() as u64 + 1) as usize,
        Mercy::Sectors | Mercy::Garbage => 0,
    };
    for change in &waiting[..whole] {
        change.apply(&mut file.medium);
    }
    match mercy {
        Mercy::None | Mercy::All => {}
        Mercy::Prefix => {
            if let Some(Change::Write { at, bytes }) = waiting.get(whole) {
                let torn = luck.below(bytes.len() as u64 + 1) as usize;
                put(&mut file.medium, *at, &bytes[..torn]);
            }
        }
        Mercy::Sectors | Mercy::Garbage => {
            let keep = luck.pick(&[10, 50, 90]);
            for change in &waiting {
                scatter(change, &mut file.medium, keep, mercy == Mercy::Garbage, luck);
            }
        }
    }
    file.cache.clone_from(&file.medium);
}

/// `keep` of 100 sectors of the change survive; of the others some may be garbage.
fn scatter(change: &Change, medium: &mut Vec<u8>, keep: u64, garbage: bool, luck: &mut Prng) {
    match change {
        Change::Truncate { .. } => {
            if luck.percent(keep) {
                change.apply(medium);
            }
        }
        Change::Write { at, bytes } => {
            let mut from = 0;
            while from < bytes.len() {
                let to = ((at + from) / SECTOR * SECTOR + SECTOR - at).min(bytes.len());
                if luck.percent(keep) {
                    put(medium, at + from, &bytes[from..to]);
                } else if garbage && luck.percent(20) {
                    let noise: Vec<u8> = (from..to).map(|_| luck.next() as u8).collect();
                    put(medium, at + from, &noise);
                }
                from = to;
            }
        }
    }
}
