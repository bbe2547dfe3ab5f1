//! The command line. Every flag is a plain text that `config` checks like any other source, so that a wrong value
//! reads the same wherever it was written. Nothing is decided here.

use std::fmt;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Push server for web sites: browsers on WebSockets, your back end on the MySQL protocol.
///
/// Without any option it listens on this machine only (browsers: 127.0.0.1:8087, MySQL clients: 127.0.0.1:3307),
/// keeps its data in your own state directory and makes a password for itself. Every setting of a configuration
/// file has an environment variable: COMET_<SECTION>_<KEY>, without the section for [main].
#[derive(Parser, Clone, Default)]
#[command(name = "comet-server", version)]
pub struct Cli {
    /// Configuration file: TOML, or comet.ini of CppComet [env: COMET_CONFIG]
    #[arg(long, visible_alias = "conf", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where browsers connect [env: COMET_WS_LISTEN]
    #[arg(long, value_name = "ADDR:PORT")]
    pub ws_listen: Option<String>,
    /// Where MySQL clients connect [env: COMET_COMETQL_LISTEN]
    #[arg(long, value_name = "ADDR:PORT")]
    pub cometql_listen: Option<String>,
    /// Where /metrics and /ready are served; off by default [env: COMET_METRICS_LISTEN]
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics_listen: Option<String>,
    /// CometQL password and base of the JWT secret; others on this machine can see it, so better use
    /// [env: COMET_PASSWORD]
    #[arg(long, value_name = "TEXT")]
    pub password: Option<String>,
    /// Where everything that must survive a restart is kept [env: COMET_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// What an acknowledgement survives: fsync = loss of power, os = death of the process [env: COMET_DURABILITY]
    #[arg(long, value_name = "fsync|os")]
    pub durability: Option<String>,
    /// Record what happens into this directory, to be replayed; see docs/operations.md [env: COMET_RECORD_DIR]
    #[arg(long, value_name = "DIR")]
    pub record: Option<String>,
    /// Memory for everything peers can make grow, like 512M or 2G, 0 = no limit; two fifths of what the machine has if
    /// not said [env: COMET_MEMORY_LIMIT]
    #[arg(long, value_name = "BYTES")]
    pub memory_limit: Option<String>,
    /// off, critical, error, warning, info, debug, all, or 0 to 600 [env: COMET_LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// For people or for machines [env: COMET_LOG_FORMAT]
    #[arg(long, value_name = "text|json")]
    pub log_format: Option<String>,
    /// Read console commands from stdin: exit, restart, version, LogLevel, TagLog, useQueryLoger, sleep
    #[arg(long)]
    pub cli: bool,
    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do besides serving.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Explain what a configuration file means: every setting in force, where it came from, what was ignored
    CheckConfig {
        /// The file to read
        file: PathBuf,
    },
}

impl Cli {
    /// The flags that set a key: name of the flag, key, text.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        [
            ("--ws-listen", "ws.listen", &self.ws_listen),
            ("--cometql-listen", "cometql.listen", &self.cometql_listen),
            ("--metrics-listen", "metrics.listen", &self.metrics_listen),
            ("--password", "main.password", &self.password),
            ("--data-dir", "main.data_dir", &self.data_dir),
            ("--durability", "main.durability", &self.durability),
            ("--record", "record.dir", &self.record),
            ("--memory-limit", "main.memory_limit", &self.memory_limit),
            ("--log-level", "log.level", &self.log_level),
            ("--log-format", "log.format", &self.log_format),
        ]
        .into_iter()
        .filter_map(|(flag, key, text)| Some((flag, key, text.as_deref()?)))
    }
}

impl fmt::Debug for Cli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Cli");
        debug.field("config", &self.config);
        for (flag, key, text) in self.settings() {
            debug.field(
                flag,
                if key == "main.password" {
                    &"(redacted)"
                } else {
                    &text
                },
            );
        }
        debug
            .field("cli", &self.cli)
            .field("command", &self.command)
            .finish()
    }
}
