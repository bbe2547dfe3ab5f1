//! Keep-alive (Q12): one sweep per shard pings every connection once per interval and drops the silent ones.
//!
//! Promise: no timer per connection; an interval is cut into many small sweeps, and a sweep costs what its connections
//! cost, so that the Pings of a full server leave evenly and delay nobody.

use std::rc::Rc;
use std::time::Duration;

use comet_core::{CloseCause, Mono};
use tokio::time::MissedTickBehavior;

use super::conn::{Conn, End};
use super::connections::SLICES;
use super::frame;
use crate::shard::Shard;

/// Connections pinged before the shard's other tasks have their turn.
const TURN: usize = 64;

/// Sweeps for ever. Returns at once if the keep-alive is off.
pub(crate) async fn sweep(shard: Rc<Shard>) {
    let interval_ms = shard.shared.ws.ping_interval_ms;
    if interval_ms == 0 {
        return;
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(interval_ms) / SLICES as u32);
    // Who slept does not catch up: nobody needs two Pings at once.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for slice in (0..SLICES).cycle() {
        ticks.tick().await;
        for turn in shard.connections(slice).chunks(TURN) {
            let now = shard.shared.clock.mono();
            for conn in turn {
                check(&shard, conn, now, interval_ms);
            }
            tokio::task::yield_now().await;
        }
    }
}

fn check(shard: &Shard, conn: &Conn, now: Mono, interval_ms: u64) {
    if is_silent(conn.heard(), now, interval_ms) {
        conn.close(End::Now(CloseCause::Silent));
    } else {
        shard.queue(conn, frame::KEEP_ALIVE_PING);
        conn.flush_now(&shard.shared.metrics);
    }
}

/// Nothing at all was received for 2.5 intervals.
fn is_silent(heard: Mono, now: Mono, interval_ms: u64) -> bool {
    now.micros_since(heard) > interval_ms.saturating_mul(2500)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Q12, at the bound and just beyond.
    #[test]
    fn two_and_a_half_intervals_of_silence() {
        let heard = Mono::from_micros(7);
        assert!(!is_silent(heard, heard.plus_ms(75_000), 30_000));
        assert!(is_silent(heard, Mono::from_micros(7 + 75_000_001), 30_000));
        assert!(!is_silent(heard, Mono::ZERO, 30_000));
    }
}
