//! Who takes part in the mixed load and what each does: decided once, before anything runs.

use crate::args::MixedArgs;
use crate::scenario::stage;
use crate::ws::handshake::Identity;

/// Channels that pages and sessions write to.
const SHARED_CHANNELS: usize = 6;
/// Messages each history channel keeps.
pub(super) const HISTORY: u32 = 50;

/// Small, seeded choices (xorshift64*). Not for anything that needs real randomness.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound.max(1)
    }

    /// Milliseconds from a range, as nanoseconds.
    pub(super) fn millis(&mut self, least: u64, most: u64) -> u64 {
        (least + self.below(most - least + 1)) * 1_000_000
    }
}

/// A page from its first load to the end of the run, however often it reloads.
#[derive(Debug)]
pub(super) struct PagePlan {
    pub(super) identity: Identity,
    /// Indices of the channels it subscribes to.
    pub(super) channels: Vec<usize>,
    pub(super) reloads: bool,
    /// The channel it sends to, if it sends.
    pub(super) sends_to: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Plan {
    /// First one history channel per session, written by that session alone, then the shared ones.
    pub(super) channels: Vec<String>,
    pub(super) pages: Vec<PagePlan>,
    pub(super) sessions: usize,
    pub(super) users: u32,
}

impl Plan {
    pub(super) fn new(args: &MixedArgs) -> Self {
        let sessions = usize::from(args.sessions);
        let history = (0..sessions).map(|session| format!("mix_history_{session}"));
        let shared = (0..SHARED_CHANNELS).map(|number| format!("web_mix_{number}"));
        let count = usize::from(args.pages);
        let anonymous = count / 4;
        let pages: Vec<PagePlan> = (0..count)
            .map(|page| plan_page(page, anonymous, sessions))
            .collect();
        let users = pages.iter().map(|page| page.identity.user).max().unwrap_or(0);
        Self {
            channels: history.chain(shared).collect(),
            pages,
            sessions,
            users,
        }
    }

    pub(super) fn shared_channel(&self, dice: &mut Dice) -> usize {
        self.sessions + usize::try_from(dice.below(SHARED_CHANNELS as u64)).unwrap_or(0)
    }

    /// The number that stands for a page in stamps; sessions come first.
    pub(super) fn publisher_of(&self, page: usize) -> u16 {
        u16::try_from(self.sessions + page).expect("pages and sessions are counted in 16 bits")
    }

    pub(super) fn publishers(&self) -> usize {
        self.sessions + self.pages.len()
    }

    /// The page behind a publisher, none for a session.
    pub(super) fn page_of(&self, publisher: u16) -> Option<&PagePlan> {
        usize::from(publisher)
            .checked_sub(self.sessions)
            .and_then(|page| self.pages.get(page))
    }
}

/// A quarter of the pages is anonymous and a quarter of those reloads. The others are users with two devices: of four
/// users two never reload, one reloads one device, one reloads both and so is away at times.
fn plan_page(page: usize, anonymous: usize, sessions: usize) -> PagePlan {
    let uuid = stage::uuid_of(page);
    let (identity, reloads) = match page.checked_sub(anonymous) {
        None => (Identity::anonymous(uuid), page % 4 == 3),
        Some(device) => {
            let user = u32::try_from(device / 2 + 1).expect("pages are counted in 16 bits");
            let reloads = match user % 4 {
                2 => device % 2 == 1,
                3 => true,
                _ => false,
            };
            (
                Identity {
                    user,
                    key: stage::key_of(user),
                    uuid,
                },
                reloads,
            )
        }
    };
    let shared = |number: usize| sessions + number % SHARED_CHANNELS;
    PagePlan {
        identity,
        channels: vec![page % sessions, shared(page), shared(page + 1)],
        reloads,
        sends_to: (!reloads && page.is_multiple_of(2)).then(|| shared(page)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_page_takes_part() {
        let args = MixedArgs {
            pages: 64,
            sessions: 8,
            rate: 1.0,
            page_rate: 1.0,
            seed: 1,
            kill: false,
        };
        let plan = Plan::new(&args);
        assert_eq!((plan.pages.len(), plan.users), (64, 24));
        let reloading = |user| {
            plan.pages
                .iter()
                .filter(|page| page.identity.user == user && page.reloads)
                .count()
        };
        assert_eq!([1, 2, 3, 4].map(reloading), [0, 1, 2, 0]);
        assert!(
            plan.pages
                .iter()
                .any(|page| page.identity.user == 0 && page.reloads)
        );
        assert!(plan.pages.iter().filter(|page| page.sends_to.is_some()).count() >= 16);
        assert!(
            plan.pages
                .iter()
                .all(|page| page.channels.iter().all(|channel| *channel < plan.channels.len()))
        );
    }
}
