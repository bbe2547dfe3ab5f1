//! Keep-alive (Q12): one sweep per shard pings every connection once per interval and drops the silent ones.
//!
//! Promise: no timer per connection; a sweep looks at a fraction of the connections, so that the Pings of a full
//! server do not leave in one burst.

use std::rc::Rc;
use std::time::Duration;

use comet_core::{CloseCause, Mono};

use super::conn::{Conn, End};
use super::frame;
use crate::shard::Shard;

/// An interval is cut into this many sweeps.
const SLICES: u64 = 16;

/// Sweeps for ever. Returns at once if the keep-alive is off.
pub(crate) async fn sweep(shard: Rc<Shard>) {
    let interval_ms = shard.shared.ws.ping_interval_ms;
    if interval_ms == 0 {
        return;
    }
    let pause = Duration::from_millis(interval_ms.div_ceil(SLICES).max(1));
    for slice in (0..SLICES).cycle() {
        tokio::time::sleep(pause).await;
        let now = shard.shared.clock.mono();
        let due = shard.connections(|conn| conn.id.0 % SLICES == slice);
        for conn in due {
            check(&shard, &conn, now, interval_ms);
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
