//! The command line.

pub(crate) mod scale;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Load generator and reference loops for comet-server.
///
/// The one-command way starts the server itself, on free loopback ports with a temporary data directory, and stops it
/// afterwards:  comet-bench fanout --spawn target/release/comet-server --vs-raw
///
/// Against a running server:  comet-bench fanout --ws 127.0.0.1:8087 --sql 127.0.0.1:3307 --password secret --pid PID
///
/// Figures go to standard output, progress to standard error. Exit status: 0 clean, 1 something was lost, duplicated,
/// disordered or could not be done, 2 wrong command line.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Browser port of a running server
    #[arg(
        long,
        global = true,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8087"
    )]
    pub(crate) ws: SocketAddr,
    /// CometQL port of a running server
    #[arg(
        long,
        global = true,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:3307"
    )]
    pub(crate) sql: SocketAddr,
    /// CometQL password (a started server gets it too)
    #[arg(
        long,
        global = true,
        value_name = "TEXT",
        env = "COMET_PASSWORD",
        hide_env_values = true,
        default_value = "secret"
    )]
    pub(crate) password: String,
    /// Process of a running server, for its CPU time and memory (a started server's is known)
    #[arg(long, global = true, conflicts_with = "spawn")]
    pub(crate) pid: Option<u32>,
    /// Start this comet-server binary for the run
    #[arg(long, global = true, value_name = "PATH", conflicts_with_all = ["ws", "sql"])]
    pub(crate) spawn: Option<PathBuf>,
    /// Where started servers get their data directories, one numbered directory each, kept afterwards; without it a
    /// temporary one, removed
    #[arg(long, global = true, value_name = "DIR", requires = "spawn")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Argument for the started server, repeatable, e.g. --server-arg=--durability=os
    #[arg(
        long,
        global = true,
        value_name = "ARG",
        requires = "spawn",
        allow_hyphen_values = true
    )]
    pub(crate) server_arg: Vec<String>,
    /// Processor of the load generator, so that it stays off the server's. `auto`: the last one, and a started server
    /// gets all others; `none`: no binding. (Bind a running server with `taskset -acp 0 PID`.)
    #[arg(long, global = true, value_name = "CPU", default_value = "auto")]
    pub(crate) pin: Pin,
    /// Length of each measurement in seconds [default: 5, roundtrip: 3, mixed: 300]
    #[arg(long, global = true)]
    pub(crate) seconds: Option<u64>,
    /// Rounds; median, least and most are shown [default: 1, with --vs-raw and roundtrip: 5]. Each round of hold, storm,
    /// churn and drain gets a server that has just been started on an empty data directory
    #[arg(long, global = true)]
    pub(crate) rounds: Option<usize>,
    /// JSON to this file, or without a file name to standard output in place of the table
    #[arg(long, global = true, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,
    /// Settings of the scenario for a server it starts; `server_arg` wins over them.
    #[arg(skip)]
    pub(crate) environment: Vec<(String, String)>,
    /// Draw latency by percentile and rate over time of everything that delivers, as SVG
    #[arg(long, global = true, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

/// Where the load generator runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pin {
    Auto,
    Nowhere,
    Cpu(usize),
}

impl std::str::FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::Nowhere),
            number => number
                .parse()
                .map(Self::Cpu)
                .map_err(|_| "a processor number, `auto` or `none`".into()),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hold many connections, up to a million: connection rate, memory per connection, cost of keep-alive, all still alive
    #[command(alias = "idle")]
    Hold(scale::HoldArgs),
    /// Cut many users off at once under load and let all of them reconnect: how soon it settles, and that nothing is lost
    Storm(scale::StormArgs),
    /// Open, subscribe, close, hundreds of thousands of times: memory ends where it began
    Churn(scale::ChurnArgs),
    /// Many users who come for their queued messages: each once and in order, at what part of the fan-out rate
    Drain(scale::DrainArgs),
    /// Start with a million stored users and queued messages: seconds until it answers
    Startup(scale::StartupArgs),
    /// One statement at a time, against a no-op server on opensrv-mysql in turn: ratio of the rates
    Roundtrip(scale::RoundtripArgs),
    /// Publish to channels with many subscribers: deliveries per second, latency, losses, CPU per million deliveries
    Fanout(FanoutArgs),
    /// The yardstick for fanout: a bare epoll loop that does one send of a ready-made frame per subscriber
    Raw(RawArgs),
    /// Pipelined INSERT INTO pipes_messages: acknowledged per second, and the round-trip rate of one statement at a time
    Publish(PublishArgs),
    /// Private messages to online users with several devices: rate, latency, and that the queues end empty
    Private(PrivateArgs),
    /// Private messages to offline users, who then all connect: drained exactly once and in order, at what rate
    Offline(OfflineArgs),
    /// The acceptance load: pages and CometQL sessions doing everything at once, reloads included; verifies every message
    Mixed(MixedArgs),
    /// Every target of docs/performance.md in one go: measured, ratio to the yardstick, reached or not
    All(AllArgs),
    /// The process behind `raw`
    #[command(hide = true)]
    RawServer(RawServerArgs),
    /// The process behind `roundtrip`
    #[command(hide = true)]
    OpensrvServer,
    /// One of the processes behind `hold` and `storm`
    #[command(hide = true)]
    Worker(scale::WorkerArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct FanoutShape {
    #[arg(long, default_value_t = 1)]
    pub(crate) channels: usize,
    /// Subscribers of each channel
    #[arg(long, default_value_t = 1000)]
    pub(crate) subscribers: usize,
    /// Bytes of each body (at least 46)
    #[arg(long, default_value_t = 128)]
    pub(crate) body: usize,
    /// CometQL sessions that publish, each to all channels in turn
    #[arg(long, default_value_t = 1)]
    pub(crate) publishers: usize,
    /// Publishes under way per session; one is over when every subscriber has it and the OK has come
    #[arg(long, default_value_t = 1)]
    pub(crate) in_flight: usize,
    /// Publishes per second of all sessions together; without it as many as --in-flight allows. Latency then counts from
    /// the moment a publish was due
    #[arg(long)]
    pub(crate) rate: Option<f64>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    pub(crate) shape: FanoutShape,
    /// Run the yardstick and the server in turn, A B A B, and show their ratio: the figure to quote
    #[arg(long)]
    pub(crate) vs_raw: bool,
    /// With --vs-raw: frames per send of the yardstick
    #[arg(long, default_value_t = 1, requires = "vs_raw")]
    pub(crate) coalesce: usize,
    /// With --vs-raw: first find how many publishes per second each side manages with --in-flight under way, then measure
    /// both at half of the lower number. Latency counts from the moment a publish was due
    #[arg(long, requires = "vs_raw", conflicts_with = "rate")]
    pub(crate) half_rate: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RawArgs {
    #[command(flatten)]
    pub(crate) shape: FanoutShape,
    /// Frames of one channel that leave in one send
    #[arg(long, default_value_t = 1)]
    pub(crate) coalesce: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PublishArgs {
    /// CometQL sessions
    #[arg(long, default_value_t = 1)]
    pub(crate) sessions: usize,
    /// Statements under way per session
    #[arg(long, default_value_t = 256)]
    pub(crate) depth: usize,
    /// Subscribers of the channel
    #[arg(long, default_value_t = 0)]
    pub(crate) subscribers: usize,
    /// Bytes of each body (at least 46)
    #[arg(long, default_value_t = 128)]
    pub(crate) body: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PrivateArgs {
    #[arg(long, default_value_t = 100)]
    pub(crate) users: usize,
    /// Devices of each user
    #[arg(long, default_value_t = 3)]
    pub(crate) devices: usize,
    /// CometQL sessions, each inserting for all users in turn
    #[arg(long, default_value_t = 4)]
    pub(crate) sessions: usize,
    /// Statements under way per session
    #[arg(long, default_value_t = 32)]
    pub(crate) depth: usize,
    /// Bytes of each body (at least 46)
    #[arg(long, default_value_t = 128)]
    pub(crate) body: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct OfflineArgs {
    #[arg(long, default_value_t = 1000)]
    pub(crate) users: usize,
    /// Messages for each user
    #[arg(long, default_value_t = 10)]
    pub(crate) messages: usize,
    #[arg(long, default_value_t = 4)]
    pub(crate) sessions: usize,
    /// Statements under way per session
    #[arg(long, default_value_t = 64)]
    pub(crate) depth: usize,
    /// Kill -9 the started server in the middle of the inserts and start it again before the users connect
    #[arg(long)]
    pub(crate) restart: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct MixedArgs {
    /// Pages: a quarter of them anonymous, the others users with two devices each; some reload
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(8..=1024))]
    pub(crate) pages: u16,
    /// CometQL sessions
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) sessions: u16,
    /// Statements per second of each session
    #[arg(long, default_value_t = 100.0)]
    pub(crate) rate: f64,
    /// Messages per second of each page that sends
    #[arg(long, default_value_t = 2.0)]
    pub(crate) page_rate: f64,
    /// Seed of the random choices
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Kill -9 the started server in the middle of the load, start it again, and check that everything it acknowledged
    /// is there
    #[arg(long)]
    pub(crate) kill: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AllArgs {
    /// Small sizes, one or two short rounds: shows that everything works, not how fast it is
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only this experiment, repeatable; a wrong name lists them
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RawServerArgs {
    #[arg(long, default_value_t = 1)]
    pub(crate) coalesce: usize,
}
