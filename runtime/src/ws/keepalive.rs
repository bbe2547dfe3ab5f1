//! Keep-alive (Q12): one sweep per shard pings every connection once per interval and drops the silent ones.
//!
//! Promise: no timer per connection; an interval is cut into many small sweeps, and a sweep costs what its connections
//! cost, so that the Pings of a full server leave evenly and delay nobody. Only a browser's own silence counts: time in
//! which the server stood still is not lived, and a connection that is not read because the core is behind is not judged.

use std::rc::Rc;
use std::time::Duration;

use comet_core::{CloseCause, Mono};

use super::conn::{Conn, End};
use super::connections::SLICES;
use super::frame;
use crate::rt::{task, time};
use crate::shard::Shard;

/// Connections pinged before the shard's other tasks have their turn.
const TURN: usize = 64;
/// How late a sweep may be and all of the time still count.
const HICCUP_MAX: Duration = Duration::from_secs(1);

/// Sweeps for ever. Returns at once if the keep-alive is off.
pub(crate) async fn sweep(shard: Rc<Shard>) {
    let interval_ms = shard.shared.ws.ping_interval_ms;
    if interval_ms == 0 {
        return;
    }
    let begun = shard.shared.clock.mono();
    let pause = Duration::from_millis(interval_ms) / SLICES as u32;
    let mut last = begun;
    let mut swept = 0;
    loop {
        time::sleep(pause).await;
        let now = shard.shared.clock.mono();
        shard.live(lived(now.micros_since(last), pause));
        last = now;
        let due = slices_due(begun, now, interval_ms);
        // Whoever slept through several rounds makes up for one: nobody needs two Pings at once.
        for number in swept.max(due.saturating_sub(SLICES as u64))..due {
            sweep_slice(&shard, slice_number(number), interval_ms).await;
        }
        swept = due;
    }
}

/// What counts of the time since the last sweep, in microseconds.
fn lived(micros: u64, pause: Duration) -> u64 {
    let most = HICCUP_MAX.max(pause * 2).as_micros();
    micros.min(u64::try_from(most).unwrap_or(u64::MAX))
}

/// How many slices should have been swept by now. By the clock, so that a late sweep does not make all others late.
fn slices_due(begun: Mono, now: Mono, interval_ms: u64) -> u64 {
    now.micros_since(begun).saturating_mul(SLICES as u64) / interval_ms.saturating_mul(1000)
}

/// Backwards, so that the first connections of a server are the last of the first round.
fn slice_number(number: u64) -> usize {
    SLICES - 1 - (number % SLICES as u64) as usize
}

async fn sweep_slice(shard: &Shard, slice: usize, interval_ms: u64) {
    for turn in shard.connections(slice).chunks(TURN) {
        for conn in turn {
            check(shard, conn, shard.lived(), interval_ms);
        }
        task::yield_now().await;
    }
}

fn check(shard: &Shard, conn: &Conn, now: Mono, interval_ms: u64) {
    if !conn.is_held_up() && is_silent(conn.heard(), now, interval_ms) {
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

    /// Q12: who answered before the server stood still is not silent afterwards.
    #[test]
    fn time_in_which_the_server_stood_still_does_not_count() {
        let pause = Duration::from_millis(117);
        assert_eq!(lived(117_000, pause), 117_000);
        assert_eq!(lived(900_000, pause), 900_000);
        assert_eq!(lived(3_600_000_000, pause), 1_000_000);
        assert_eq!(lived(3_600_000_000, Duration::from_secs(5)), 10_000_000);
    }

    /// Q12: each slice once per interval, evenly, however late each sweep is.
    #[test]
    fn a_round_per_interval() {
        let begun = Mono::from_micros(7);
        assert_eq!(slices_due(begun, begun, 30_000), 0);
        assert_eq!(
            slices_due(begun, begun.plus_ms(15_000), 30_000),
            SLICES as u64 / 2
        );
        assert_eq!(
            slices_due(begun, begun.plus_ms(90_000), 30_000),
            3 * SLICES as u64
        );
        let round: std::collections::BTreeSet<usize> = (500..500 + SLICES as u64).map(slice_number).collect();
        assert_eq!(round.len(), SLICES);
    }
}
