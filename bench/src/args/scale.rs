//! The command line of the scenarios that need many connections, many users or a full store.

use clap::Args;
use clap::builder::RangedU64ValueParser;

#[derive(Debug, Clone, Args)]
pub(crate) struct HoldArgs {
    /// Connections to hold, spread over as many processes as the limit of open files asks for
    #[arg(long, default_value_t = 100_000)]
    pub(crate) connections: usize,
    /// Connect as users with a key in users_auth, one user per connection
    #[arg(long)]
    pub(crate) authorized: bool,
    /// Channels of each connection: 1 is shared by all, 2 adds one of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) subscriptions: u8,
    /// Handshakes in progress at once
    #[arg(long, default_value_t = 512)]
    pub(crate) opening: usize,
    /// Seconds between keep-alive Pings of a started server; tell it for a running one, so that missing Pings are noticed
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) ping_interval: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StormArgs {
    /// Users, each with one page that subscribes a room and a channel of its own
    #[arg(long, default_value_t = 100_000)]
    pub(crate) users: usize,
    /// Subscribers of each room; rooms keep 99 messages of history
    #[arg(long, default_value_t = 1000)]
    pub(crate) room: usize,
    /// CometQL sessions that insert private messages
    #[arg(long, default_value_t = 8)]
    pub(crate) sessions: usize,
    /// Private messages per second of all sessions
    #[arg(long, default_value_t = 10_000.0)]
    pub(crate) rate: f64,
    /// Private messages each user gets at least
    #[arg(long, default_value_t = 2)]
    pub(crate) messages: usize,
    /// Room messages per second, to the rooms in turn
    #[arg(long, default_value_t = 20.0)]
    pub(crate) room_rate: f64,
    /// Handshakes in progress at once, of all processes
    #[arg(long, default_value_t = 1024)]
    pub(crate) opening: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ChurnArgs {
    /// Connections opened, subscribed and closed
    #[arg(long, default_value_t = 500_000)]
    pub(crate) cycles: usize,
    /// Connections open at any time
    #[arg(long, default_value_t = 5000, value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) level: usize,
    /// Cycles before the memory is first looked at
    #[arg(long, default_value_t = 50_000)]
    pub(crate) warm_up: usize,
    /// Percent by which the memory may have grown at the end
    #[arg(long, default_value_t = 10)]
    pub(crate) tolerance: u32,
    /// Handshakes in progress at once
    #[arg(long, default_value_t = 256)]
    pub(crate) opening: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DrainArgs {
    #[arg(long, default_value_t = 100_000)]
    pub(crate) users: usize,
    /// Messages for each user
    #[arg(long, default_value_t = 10)]
    pub(crate) messages: usize,
    /// CometQL sessions that insert them
    #[arg(long, default_value_t = 16)]
    pub(crate) sessions: usize,
    /// Statements under way per session
    #[arg(long, default_value_t = 64)]
    pub(crate) depth: usize,
    /// Users connected at once
    #[arg(long, default_value_t = 2000)]
    pub(crate) window: usize,
    /// Subscribers of the fan-out measured before, to compare with
    #[arg(long, default_value_t = 1000)]
    pub(crate) subscribers: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct StartupArgs {
    /// Users with a key
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) users: u32,
    /// Queued messages of all users
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) messages: u32,
    /// Queued messages of each user who has some
    #[arg(long, default_value_t = 10)]
    pub(crate) each: u32,
    /// Bytes of each body (at least 46)
    #[arg(long, default_value_t = 128)]
    pub(crate) body: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RoundtripArgs {
    /// CometQL sessions of the second measurement; the first one has one
    #[arg(long, default_value_t = 16)]
    pub(crate) sessions: usize,
    /// Bytes of each body (at least 46)
    #[arg(long, default_value_t = 128)]
    pub(crate) body: usize,
}

/// The part of one process: pages `first` to `first + count`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerArgs {
    #[arg(long)]
    pub(crate) number: u8,
    #[arg(long)]
    pub(crate) first: usize,
    #[arg(long)]
    pub(crate) count: usize,
    #[arg(long)]
    pub(crate) authorized: bool,
    #[arg(long)]
    pub(crate) opening: usize,
    /// Rooms, shared evenly by all pages of all processes; none without
    #[arg(long, default_value_t = 0)]
    pub(crate) rooms: usize,
    /// A channel of its own for each page
    #[arg(long)]
    pub(crate) own: bool,
    /// Pages of all processes
    #[arg(long, default_value_t = 0)]
    pub(crate) users: usize,
    /// Every how-many-th page asks for the history of its room when it comes back; 0 for none
    #[arg(long, default_value_t = 0)]
    pub(crate) history: usize,
}
