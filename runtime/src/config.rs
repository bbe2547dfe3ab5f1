//! Configuration: everything the server needs to know before it starts, typed, with units in the names.
//!
//! Sources, later ones win: built-in defaults < file (TOML or `comet.ini`, protocol.md 8.2) < `COMET_*` environment
//! variables < command line. A wrong value is one clear line ([`SettingsError`]) and exit status 2; what is
//! accepted but has no effect is a [`Notice`]. Nothing here opens a socket, and no password reaches an error, a
//! notice or `Debug` output.

mod build;
mod ini;
mod keys;
mod password;
mod proxies;
mod report;
mod resolve;
mod rules;
mod toml_file;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use comet_core::DevId;
pub use proxies::TrustedProxies;

use crate::cli::Cli;

/// Everything the server is told from outside.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the core obeys; its password is set.
    pub core: comet_core::Config,
    /// The browser port.
    pub ws: WsSettings,
    /// The CometQL port; `None` if `cometql.thread_num` switches it off.
    pub cometql: Option<CometQlSettings>,
    /// What the core is told is recorded; `None` = nothing is.
    pub record: Option<RecordSettings>,
    /// Wrong passwords of one tenant from one address that are free, and in each minute; 0 = any number.
    pub login_failures_max: u32,
    /// Where `/metrics` and `/ready` are served; `None` = nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Directory of the store, created with mode 0700.
    pub data_dir: PathBuf,
    /// What an acknowledgement is worth.
    pub durability: Durability,
    /// Static files (protocol.md 2.1); `None` = no files are served.
    pub base_dir: Option<PathBuf>,
    /// File extension (case-sensitive) to Content-Type without charset; other extensions are not served.
    pub content_types: BTreeMap<String, String>,
    /// The pages the server has of its own.
    pub pages: PageSettings,
    /// Where the process id is written; failing to is only worth a warning.
    pub pidfile: Option<PathBuf>,
    /// Logging.
    pub log: LogSettings,
    /// `--cli`: console commands are read from stdin (protocol.md 8.3).
    pub console: bool,
    /// Where the password came from.
    pub password_source: PasswordSource,
}

/// Settings of the recording (docs/operations.md).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordSettings {
    /// Directory of the segments, created with mode 0700.
    pub dir: PathBuf,
    /// Bytes of events in one segment, or eight times its checkpoint if that is more.
    pub segment_bytes: usize,
    /// Segments kept, the one that is written included. At least 2.
    pub segments: usize,
    /// Texts and secrets are replaced by stand-ins.
    pub redact: bool,
}

/// Settings of the browser port.
#[derive(Clone, Debug)]
pub struct WsSettings {
    /// Listening address.
    pub listen: SocketAddr,
    /// Certificate and key; `None` = plain text.
    pub tls: Option<TlsFiles>,
    /// Length of the kernel's queue of connections that were not accepted yet.
    pub backlog: u32,
    /// Time between server Pings; 0 = none (Q12).
    pub ping_interval_ms: u64,
    /// Bytes that may wait for one connection before it is cut (Q13).
    pub send_buffer_bytes: usize,
    /// Longest assembled message of a browser, bytes.
    pub message_bytes_max: usize,
    /// Peers whose `X-Forwarded-For` is believed (protocol.md 7.11).
    pub trusted_proxies: TrustedProxies,
    /// A connection that has not finished its header block by then is closed (Q1).
    pub handshake_timeout_ms: u64,
    /// Connections that are not WebSockets yet, at most. Beyond it the address that has most of them loses its oldest.
    pub handshakes_max: usize,
    /// New connections of one address per second that are accepted, five seconds' worth at once; 0 = any number.
    pub accepts_per_second_max: u64,
    /// I/O threads; `None` = one per CPU.
    pub shards: Option<usize>,
    /// Each I/O thread has a descriptor table of its own, so that the limit of open files counts once per thread.
    pub shard_descriptors: bool,
}

/// Settings of the console and the demonstration (protocol.md 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageSettings {
    /// `/console` and its endpoint.
    pub console: Switch,
    /// `/demo` and its back end.
    pub demo: Switch,
    /// The tenant the demonstration plays in.
    pub demo_dev: DevId,
}

/// Who may see a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Switch {
    /// Browsers on this machine that come without a proxy.
    Auto,
    /// Everybody who reaches the browser port.
    On,
    /// Nobody.
    Off,
}

impl Switch {
    /// As it is configured.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// Settings of the CometQL port.
#[derive(Clone, Debug)]
pub struct CometQlSettings {
    /// Listening address.
    pub listen: SocketAddr,
    /// Certificate and key; `None` = no TLS offered.
    pub tls: Option<TlsFiles>,
    /// Length of the kernel's queue of connections that were not accepted yet.
    pub backlog: u32,
    /// Prepared statements one session may hold.
    pub prepared_max: usize,
    /// A connection that has not logged in by then is closed.
    pub handshake_timeout_ms: u64,
    /// Connections that have not logged in yet, at most; as for browsers.
    pub handshakes_max: usize,
}

/// PEM files of a port that speaks TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// Certificate chain, the server's own first.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// What survives when an acknowledgement was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// The write reached the disk: survives the loss of power.
    Fsync,
    /// The operating system has the write: survives the death of the process, not of the machine.
    Os,
}

/// Where the password came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PasswordSource {
    /// Somebody set it.
    Given,
    /// It was generated once and is kept in this file, mode 0600.
    File(PathBuf),
}

/// Logging (protocol.md 8.2, section `log`).
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The general level.
    pub level: LogLevel,
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// Levels of single tags of comet.ini; the effective level is the smaller one.
    pub tags: BTreeMap<LogTag, LogLevel>,
    /// `main.useQueryLoger`: log every CometQL statement except SET and SHOW.
    pub queries: bool,
    /// `statistics.to_log`: rates go to the log.
    pub statistics: bool,
}

pub use crate::logging::{LogFormat, LogLevel, LogTag};

/// Something accepted that has no effect, or that deserves attention. Shown as a warning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice(pub String);

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the server cannot start with this configuration: one line that names the place and what is allowed.
/// The process ends with status 2.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl SettingsError {
    fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }
}

/// What `load` found.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings in force.
    pub settings: Settings,
    /// To be logged once logging works.
    pub notices: Vec<Notice>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// Environment variables, by name.
pub type Env = BTreeMap<String, String>;

/// The variables of this process that matter here: `COMET_*`, `HOME`, `XDG_STATE_HOME`.
pub fn environment() -> Env {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
        .filter(|(name, _)| name.starts_with("COMET_") || name == "HOME" || name == "XDG_STATE_HOME")
        .collect()
}

/// Reads every source and completes the settings. Without a password one is taken from, or made in, the data
/// directory; nothing else is written.
pub fn load(cli: &Cli, env: &Env) -> Result<Loaded, SettingsError> {
    let resolved = resolve::resolve(cli, env)?;
    let mut settings = build::build(&resolved, cli.cli)?;
    let mut notices = resolved.notices;
    notices.extend(surprises(&settings));
    password::complete(&mut settings, &mut notices)?;
    Ok(Loaded {
        settings,
        notices,
        file: resolved.file.map(|(path, _)| path),
    })
}

/// What is legal but hardly meant.
fn surprises(settings: &Settings) -> Vec<Notice> {
    let cometql = settings
        .cometql
        .is_none()
        .then_some("there is no CometQL port; cometql.thread_num = 1, or cometql.listen, opens it");
    let files = (settings.base_dir.is_some() && settings.content_types.is_empty())
        .then_some("no file is served: main.base_dir is set, but [content-type] lists no extension");
    let clear = settings.pages.console == Switch::On
        && settings.ws.tls.is_none()
        && !settings.ws.listen.ip().is_loopback();
    let console = clear.then_some(
        "main.console is on and the browser port has no TLS: the password can be read on its way, unless a proxy encrypts it",
    );
    [cometql, files, console]
        .into_iter()
        .flatten()
        .map(|text| Notice(text.to_owned()))
        .collect()
}

/// `comet-server check-config FILE`: explains on several lines what the sources mean. Writes nothing.
pub fn check_config(cli: &Cli, env: &Env) -> Result<String, SettingsError> {
    explain(resolve::resolve(cli, env)?, cli)
}

/// The same for the text of a file of this name, which need not exist.
pub fn check_text(path: &Path, text: &[u8], env: &Env) -> Result<String, SettingsError> {
    let cli = Cli::default();
    explain(resolve::of_text(path, text, &cli, env)?, &cli)
}

fn explain(mut resolved: resolve::Resolved, cli: &Cli) -> Result<String, SettingsError> {
    let settings = build::build(&resolved, cli.cli)?;
    resolved.notices.extend(surprises(&settings));
    Ok(report::report(&resolved, &settings))
}
