//! The real server as a child process. It is killed when this is dropped.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
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

/// A process that may or may not listen yet. How it ends is judged: it must not end by itself.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    output: Option<ChildStdout>,
    /// Where its standard error goes.
    log: PathBuf,
    /// It was asked to stop.
    may_end: bool,
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
        Ok(Process {
            child,
            output,
            log: self.log(),
            may_end: false,
        })
    }

    /// Starts it and waits until it listens.
    pub(crate) fn up(&self) -> Result<(Process, Addresses), String> {
        let mut process = self.start()?;
        match process.addresses() {
            Some(addresses) => Ok((process, addresses)),
            None => Err(format!(
                "the server does not come up: {}",
                last_words(&self.log())
            )),
        }
    }

    /// Where its standard error goes.
    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }
}

/// The end of what a server wrote to its log.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
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

    /// SIGKILL; the process is gone when this returns. That it was gone before is a finding, unless it was asked to stop
    /// and did so in order.
    pub(crate) fn kill(&mut self) -> Result<(), String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return self.judge(status);
        }
        // It may go by itself just now; its status tells.
        let _ = self.child.kill();
        match self.child.wait() {
            Ok(status) if status.signal() == Some(Signal::KILL.as_raw()) => Ok(()),
            Ok(status) => self.judge(status),
            Err(error) => Err(format!("waiting for the server: {error}")),
        }
    }

    /// SIGTERM, and nothing more.
    pub(crate) fn ask_to_stop(&mut self) -> Result<(), String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return self.judge(status);
        }
        self.may_end = true;
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may go by itself just now; its status tells.
            let _ = kill_process(pid, Signal::TERM);
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end, which must be an orderly one.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        self.ask_to_stop()?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match self.child.try_wait() {
                Ok(Some(status)) => return self.judge(status),
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return Err(format!("waiting for the server: {error}")),
            }
        }
        Err("the server does not stop".to_owned())
    }

    /// What to think of an end that is not our SIGKILL.
    fn judge(&self, status: ExitStatus) -> Result<(), String> {
        if self.may_end && status.success() {
            return Ok(());
        }
        let asked = if self.may_end {
            "when it was asked to"
        } else {
            "by itself"
        };
        let words = last_words(&self.log);
        Err(format!("the server ended {asked}: {status}: {words}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whoever wants to know how it ended has asked before.
        let _ = self.kill();
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

/// Whether we have begun to end the server. Until then it may neither hang up nor refuse anything.
#[derive(Debug, Default)]
pub(crate) struct Ending(AtomicBool);

impl Ending {
    /// Directly before the server is killed or told to stop.
    pub(crate) fn begin(&self) {
        self.0.store(true, SeqCst);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(SeqCst)
    }

    /// What the end of a connection means: that it broke is how a client sees that the server is gone. An answer that makes
    /// no sense, none in all our patience, or a connection that a living server broke, is a finding.
    pub(crate) fn explains(&self, error: &io::Error) -> Result<(), String> {
        use io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected, UnexpectedEof,
        };
        let broken = [
            BrokenPipe,
            ConnectionAborted,
            ConnectionRefused,
            ConnectionReset,
            NotConnected,
            UnexpectedEof,
        ];
        if self.has_begun() && broken.contains(&error.kind()) {
            return Ok(());
        }
        Err(format!("the server is there, and: {error}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

    use super::*;

    fn shell(home: &Path, script: &str) -> Process {
        let log = home.join("log");
        let stderr = File::create(&log).unwrap();
        let mut command = Command::new("sh");
        let child = command.args(["-c", script]).stderr(stderr).spawn().unwrap();
        Process {
            child,
            output: None,
            log,
            may_end: false,
        }
    }

    /// A server that aborts under load and is started again must not pass.
    #[test]
    fn an_end_that_nobody_asked_for_is_a_finding() {
        let home = tempfile::tempdir().unwrap();
        let mut aborted = shell(home.path(), "echo out of luck >&2; kill -ABRT $$");
        aborted.child.wait().unwrap();
        let finding = aborted.kill().unwrap_err();
        assert!(
            finding.contains("by itself") && finding.contains("signal: 6") && finding.contains("out of luck"),
            "{finding}"
        );
        let mut left = shell(home.path(), "exit 0");
        left.child.wait().unwrap();
        assert!(left.ask_to_stop().is_err());
        assert!(left.kill().is_err());
        // Not our SIGKILL, but that of a system without memory.
        let mut killed = shell(home.path(), "kill -KILL $$");
        killed.child.wait().unwrap();
        assert!(killed.kill().is_err());
    }

    #[test]
    fn our_own_kill_is_none_and_a_disorderly_stop_is_one() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(shell(home.path(), "exec sleep 60").kill(), Ok(()));
        let finding = shell(home.path(), "exec sleep 60").stop().unwrap_err();
        assert!(finding.contains("when it was asked to"), "{finding}");
    }

    #[test]
    fn only_a_broken_connection_says_that_the_server_is_gone() {
        let ending = Ending::default();
        ending.begin();
        assert_eq!(ending.explains(&io::ErrorKind::UnexpectedEof.into()), Ok(()));
        assert_eq!(ending.explains(&io::ErrorKind::ConnectionReset.into()), Ok(()));
        for kind in [io::ErrorKind::InvalidData, io::ErrorKind::WouldBlock] {
            assert!(ending.explains(&kind.into()).is_err());
        }
    }

    /// A server that hangs up on its clients and goes on must not pass.
    #[test]
    fn a_living_server_breaks_no_connection() {
        let ending = Ending::default();
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionRefused] {
            assert!(ending.explains(&kind.into()).is_err());
        }
    }
}
