//! The real server as a child process. It is killed when this is dropped.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

pub(crate) const PASSWORD: &str = "CometQLPassword";

/// How long anything that has to happen is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How to start the server.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) binary: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) durability: String,
    /// Besides its own environment.
    pub(crate) environment: Vec<(String, String)>,
}

/// A process that may or may not listen yet.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    output: Option<ChildStdout>,
}

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) ws: SocketAddr,
    pub(crate) sql: SocketAddr,
}

impl Launch {
    pub(crate) fn start(&self) -> Result<Process, String> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .map_err(|error| error.to_string())?;
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COMET_")) {
            command.env_remove(name);
        }
        command
            .args(["--ws-listen", "127.0.0.1:0", "--cometql-listen", "127.0.0.1:0"])
            .args(["--password", PASSWORD, "--log-level", "warn"])
            .args(["--durability", &self.durability, "--data-dir"])
            .arg(&self.data)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command
            .spawn()
            .map_err(|error| format!("{}: {error}", self.binary.display()))?;
        let output = child.stdout.take();
        Ok(Process { child, output })
    }

    /// Starts it and waits until it listens.
    pub(crate) fn up(&self) -> Result<(Process, Addresses), String> {
        let mut process = self.start()?;
        match process.addresses() {
            Some(addresses) => Ok((process, addresses)),
            None => Err(format!("the server does not come up: {}", self.last_words())),
        }
    }

    /// Where its standard error goes.
    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// The end of what it wrote there.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(3)..].join(" / ")
    }
}

impl Process {
    /// The addresses it prints, once it listens; nothing if it ends before.
    fn addresses(&mut self) -> Option<Addresses> {
        let output = self.output.take()?;
        let (sender, lines) = mpsc::channel();
        // Reads to the end, so that the server can always write.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody listens any more once the addresses are known.
                let _ = sender.send(line);
            }
        });
        let mut sql = None;
        while let Ok(line) = lines.recv_timeout(PATIENCE) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["mysql", "-h", host, "-P", port, ..] = words.as_slice() {
                sql = format!("{host}:{port}").parse().ok();
            } else if let Some((_, rest)) = line.split_once("://") {
                let ws = rest.strip_suffix("/demo")?.parse().ok()?;
                return Some(Addresses { ws, sql: sql? });
            }
        }
        None
    }

    /// SIGKILL; the process is gone when this returns.
    pub(crate) fn kill(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and nothing more.
    pub(crate) fn ask_to_stop(&self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may be gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// SIGTERM, and waits for the end. True if it was an orderly one.
    pub(crate) fn stop(&mut self) -> bool {
        self.ask_to_stop();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => return false,
            }
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server built beside this program, unless another one was named.
pub(crate) fn server(named: Option<&Path>) -> Result<PathBuf, String> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            own.with_file_name("comet-server")
        }
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "{} is not there; build it, or name it with --spawn",
        path.display()
    ))
}
