//! The program `comet-server`: reads its settings, starts a server, says how to use it, and stops it on request.
//!
//! Exit status: 0 after an orderly stop, 1 if the last changes could not be written, 2 if it could not start, 9 after
//! the console command `restart`, for whoever starts it again.

#![forbid(unsafe_code)]

use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use comet_server::cli::{Cli, Command as Subcommand};
use comet_server::config::{self, Loaded, PasswordSource, Settings};
use comet_server::console::{self, Command};
use comet_server::logging::{self, Logging};
use comet_server::server::{self, Running};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

const CANNOT_START: u8 = 2;
const RESTART: u8 = 9;

/// Why the server stops.
enum Stop {
    Exit,
    Restart,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let env = config::environment();
    if let Some(Subcommand::CheckConfig { file }) = &cli.command {
        let cli = Cli {
            config: Some(file.clone()),
            ..cli.clone()
        };
        return match config::check_config(&cli, &env) {
            Ok(report) => {
                say(format_args!("{}", report.trim_end()));
                ExitCode::SUCCESS
            }
            Err(error) => refuse(&error),
        };
    }
    match config::load(&cli, &env) {
        Ok(loaded) => run(loaded),
        Err(error) => refuse(&error),
    }
}

fn refuse(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("comet-server: {why}");
    ExitCode::from(CANNOT_START)
}

fn run(loaded: Loaded) -> ExitCode {
    let Loaded {
        settings,
        notices,
        file,
    } = loaded;
    let logging = match logging::start(&settings.log) {
        Ok(logging) => logging,
        Err(error) => return refuse(&error),
    };
    if let Some(file) = file {
        tracing::info!(file = %file.display(), "settings read");
    }
    for notice in notices {
        tracing::warn!("{notice}");
    }
    log_panics();
    raise_descriptor_limit();
    // Before the server starts: its threads may wake this one when a signal comes (`server::start`).
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system gives the program an epoll descriptor");
    let running = match server::start(settings.clone()) {
        Ok(running) => running,
        Err(error) => return refuse(&error),
    };
    let pidfile = settings.pidfile.as_deref().filter(|path| write_pidfile(path));
    let stop = wait(&runtime, &settings, &running, &logging);
    tracing::info!("stopping");
    let stopped = running.stop();
    if let Some(path) = pidfile {
        // Only a convenience: a left-over file names a process that is gone.
        let _ = std::fs::remove_file(path);
    }
    match (stopped, stop) {
        (Err(error), _) => {
            tracing::error!(%error, "stopped with losses");
            ExitCode::FAILURE
        }
        (Ok(()), Stop::Exit) => ExitCode::SUCCESS,
        (Ok(()), Stop::Restart) => ExitCode::from(RESTART),
    }
}

/// A panic is a broken invariant: it goes to the log, too, and the shipped program ends at once.
fn log_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        tracing::error!(thread, %panic, "an invariant is broken; nothing can be trusted any more");
        print(panic);
    }));
}

/// Each connection is a descriptor; the soft limit is often 1024.
fn raise_descriptor_limit() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    if rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).is_err() {
        tracing::warn!("the limit of open descriptors could not be raised");
    }
}

/// False, with a warning, if it cannot be written.
fn write_pidfile(path: &Path) -> bool {
    let written = std::fs::write(path, format!("{}\n", std::process::id()));
    if let Err(error) = &written {
        tracing::warn!(path = %path.display(), %error, "the pid file could not be written");
    }
    written.is_ok()
}

/// A line on standard output, which may have been closed: nobody has to read it.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The two lines a newcomer needs: one to paste into a terminal, one for the browser.
fn greet(settings: &Settings, running: &Running) {
    let addresses = running.addresses();
    say(format_args!("{} is running.", settings.core.product));
    if let Some(address) = addresses.cometql {
        let address = reachable(address);
        let password = match &settings.password_source {
            PasswordSource::Given => "-p".to_owned(),
            PasswordSource::File(path) => format!("--password=\"$(cat {})\"", shell_quoted(path)),
        };
        say(format_args!("Send from a terminal:"));
        say(format_args!(
            "  mysql -h {} -P {} -u root {password} CometQL_v1",
            address.ip(),
            address.port()
        ));
    }
    let scheme = if settings.ws.tls.is_some() {
        "https"
    } else {
        "http"
    };
    say(format_args!("Watch messages arrive:"));
    say(format_args!("  {scheme}://{}/demo", reachable(addresses.ws)));
}

/// "Any address" is no address to connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => IpAddr::V4(if ip.is_unspecified() {
            Ipv4Addr::LOCALHOST
        } else {
            ip
        }),
        IpAddr::V6(ip) => IpAddr::V6(if ip.is_unspecified() {
            Ipv6Addr::LOCALHOST
        } else {
            ip
        }),
    };
    SocketAddr::new(ip, address.port())
}

fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    if text.bytes().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Says how to use the server, and returns when somebody wants it to stop.
fn wait(runtime: &Runtime, settings: &Settings, running: &Running, logging: &Logging) -> Stop {
    runtime.block_on(async {
        let (Ok(mut term), Ok(mut int), Ok(mut hup)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
            signal(SignalKind::hangup()),
        ) else {
            tracing::error!("signals cannot be received");
            return Stop::Exit;
        };
        // Whoever reads this may signal at once.
        greet(settings, running);
        let mut commands = read_console(settings.console);
        loop {
            tokio::select! {
                biased;
                _ = term.recv() => return Stop::Exit,
                _ = int.recv() => return Stop::Exit,
                _ = hup.recv() => reload(running),
                Some(command) = commands.recv() => {
                    if let Some(stop) = obey(&command, settings, logging) {
                        return stop;
                    }
                }
            }
        }
    })
}

fn reload(running: &Running) {
    match running.reload_tls() {
        Ok(0) => {}
        Ok(certificates) => tracing::info!(certificates, "read again"),
        Err(error) => tracing::error!(%error, "the old certificates stay in force"),
    }
}

fn obey(command: &Command, settings: &Settings, logging: &Logging) -> Option<Stop> {
    match command {
        Command::Exit => return Some(Stop::Exit),
        Command::Restart => return Some(Stop::Restart),
        Command::Version => say(format_args!("{}", settings.core.product)),
        Command::LogLevel(level) => logging.set_level(*level),
        Command::TagLog(tag, level) => logging.set_tag(*tag, *level),
        Command::LogQueries(on) => logging.set_queries(*on),
        Command::Sleep(_) => {}
    }
    None
}

/// Reads stdin on a thread of its own, which ends with the process.
fn read_console(on: bool) -> mpsc::Receiver<Command> {
    let (sender, receiver) = mpsc::channel(1);
    if on {
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                match console::parse(&line) {
                    Ok(Some(Command::Sleep(pause))) => std::thread::sleep(pause),
                    Ok(Some(command)) => drop(sender.blocking_send(command)),
                    Ok(None) => {}
                    Err(error) => say(format_args!("{error}")),
                }
            }
        });
    }
    receiver
}
