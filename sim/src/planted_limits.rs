//! Settings that are not those of the operator, made on purpose: whoever is let in once more than he may be must be noticed.

use comet_core::Config;

use crate::planted::Bug;

/// The settings of a server that makes the mistake.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most mistakes are made elsewhere, and `Planted::spoil` names them all"
)]
pub(crate) fn settings(bug: Bug, mut config: Config) -> Config {
    let (rates, quota) = (&mut config.rules.rates, &mut config.rules.quota);
    match bug {
        Bug::ForgetSends => config.send_memory_max = 0,
        Bug::WrongBucket => rates.connection = std::mem::take(&mut rates.tenant),
        Bug::RateOffByOne => more(&mut rates.tenant.commands),
        Bug::StatementsOffByOne => more(&mut rates.statements),
        Bug::GuessesOffByOne => more(&mut config.key_failures_max),
        Bug::AddressOffByOne => more(&mut config.address_connections_max),
        Bug::QuotaOffByOne => more(&mut quota.subscriptions),
        Bug::StoreOffByOne => {
            more(&mut quota.users);
            more(&mut quota.channels);
            more(&mut quota.messages);
            more(&mut quota.bytes);
        }
        Bug::PlacesOffByOne => {
            more(&mut quota.connections);
            more(&mut quota.sessions);
            more(&mut quota.users_online);
        }
        _ => {}
    }
    config
}

/// One more, if there is a limit.
fn more<N: PartialOrd + Default + std::ops::AddAssign + From<u8>>(limit: &mut N) {
    if *limit > N::default() {
        *limit += N::from(1);
    }
}
