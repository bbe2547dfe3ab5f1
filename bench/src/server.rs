//! The server under test: one that runs already, one we start and stop, or the reference loop. Knows addresses, process
//! and processors; nothing of what is measured.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::args::{Common, Pin};
use crate::clock;
use crate::failure::{Failure, While as _};
use crate::proc;
use crate::sql::client::Client;

const START_PATIENCE: Duration = Duration::from_secs(60);
/// A million connections that end at once keep a server busy for a while.
const STOP_PATIENCE: Duration = Duration::from_secs(120);

/// Processors of the two sides.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    client: Vec<usize>,
    server: Vec<usize>,
    /// A running server stays where it is.
    starts_server: bool,
}

impl Placement {
    pub(crate) fn choose(pin: Pin, starts_server: bool) -> Result<Self, Failure> {
        let all = proc::allowed_cpus();
        let client = match pin {
            Pin::Nowhere => None,
            Pin::Auto if !starts_server || all.len() < 2 => None,
            Pin::Auto => all.last().copied(),
            Pin::Cpu(cpu) => Some(cpu),
        };
        let Some(client) = client else {
            return Ok(Self {
                client: all.clone(),
                server: all,
                starts_server,
            });
        };
        let others: Vec<usize> = all.iter().copied().filter(|cpu| *cpu != client).collect();
        let server = if others.is_empty() { all } else { others };
        let placement = Self {
            client: vec![client],
            server,
            starts_server,
        };
        placement.enter_client()?;
        Ok(placement)
    }

    fn enter_client(&self) -> Result<(), Failure> {
        proc::run_on(&self.client)
    }

    /// Starts a process on the server's processors: a child inherits those of the thread that starts it.
    fn start(&self, command: &mut Command) -> Result<Child, Failure> {
        proc::run_on(&self.server)?;
        let child = command
            .spawn()
            .or_while(format!("start {}", command.get_program().to_string_lossy()));
        self.enter_client()?;
        child
    }

    /// Both sides' processors.
    pub(crate) fn all(&self) -> Vec<usize> {
        let mut all = [self.client.as_slice(), &self.server].concat();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(crate) fn describe(&self) -> String {
        let name = |cpus: &[usize]| cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (client, server) = (name(&self.client), name(&self.server));
        if !self.starts_server {
            return format!(
                "load generator on {client}; the running server is not pinned by us, the yardstick is on {server}"
            );
        }
        if client == server {
            return format!("nothing is pinned, both sides on {client}");
        }
        format!("load generator on {client}, a started server on {server}")
    }
}

/// What a scenario talks to.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) ws: SocketAddr,
    pub(crate) sql: SocketAddr,
    pub(crate) pid: Option<u32>,
    password: String,
    started: Option<Started>,
}

/// A process of ours; killed when dropped.
#[derive(Debug)]
struct Started {
    child: Child,
    /// How to start it again; the reference loop is never restarted.
    again: Option<Again>,
}

#[derive(Debug)]
struct Again {
    binary: PathBuf,
    arguments: Vec<String>,
    /// Made for this server alone.
    data: PathBuf,
    /// Settings of this run, as environment variables; those of the command line win.
    environment: Vec<(String, String)>,
    log: PathBuf,
    placement: Placement,
    /// Removed with the last copy.
    _home: Option<TempDir>,
}

impl Drop for Started {
    fn drop(&mut self) {
        // Already gone is fine; there is nobody left to tell otherwise.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Server {
    pub(crate) fn from_args(common: &Common, placement: &Placement) -> Result<Self, Failure> {
        match &common.spawn {
            Some(binary) => Self::start(common, binary, placement),
            None => Ok(Self {
                ws: common.ws,
                sql: common.sql,
                pid: common.pid,
                password: common.password.clone(),
                started: None,
            }),
        }
    }

    fn start(common: &Common, binary: &Path, placement: &Placement) -> Result<Self, Failure> {
        let [ws, sql] = free_addresses()?;
        let (home, data) = match &common.data_dir {
            Some(directory) => (None, unused_in(directory)),
            None => {
                let home = tempfile::Builder::new()
                    .prefix("comet-bench-")
                    .tempdir()
                    .or_while("make a directory")?;
                let data = home.path().join("data");
                (Some(home), data)
            }
        };
        std::fs::create_dir_all(&data).or_while(format!("make {}", data.display()))?;
        let log = data.with_extension("log");
        let mut arguments: Vec<String> = [
            "--ws-listen",
            &ws.to_string(),
            "--cometql-listen",
            &sql.to_string(),
            "--data-dir",
        ]
        .map(Into::into)
        .into();
        arguments.push(data.to_string_lossy().into_owned());
        arguments.extend(common.server_arg.iter().cloned());
        let again = Again {
            binary: binary.to_owned(),
            arguments,
            data,
            environment: common.environment.clone(),
            log,
            placement: placement.clone(),
            _home: home,
        };
        let child = again.launch(&common.password)?;
        let pid = Some(child.id());
        let started = Some(Started {
            child,
            again: Some(again),
        });
        let mut server = Self {
            ws,
            sql,
            pid,
            password: common.password.clone(),
            started,
        };
        server.wait_until_up()?;
        Ok(server)
    }

    /// Starts the reference loop, this binary's own child.
    pub(crate) fn reference(coalesce: usize, placement: &Placement) -> Result<Self, Failure> {
        Self::own_child(&["raw-server", "--coalesce", &coalesce.to_string()], placement)
    }

    /// Starts a server that answers OK to every statement, this binary's own child.
    pub(crate) fn no_op(placement: &Placement) -> Result<Self, Failure> {
        Self::own_child(&["opensrv-server"], placement)
    }

    /// Starts this binary as a server that prints its browser and its CometQL address.
    fn own_child(arguments: &[&str], placement: &Placement) -> Result<Self, Failure> {
        let own = std::env::current_exe().or_while("find the own binary")?;
        let mut command = Command::new(own);
        command.args(arguments);
        // The child ends when its standard input does: it cannot outlive us.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = placement.start(&mut command)?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| Failure::told("the reference loop has no output"))?;
        let pid = Some(child.id());
        let started = Some(Started { child, again: None });
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .or_while("read from the reference loop")?;
        let mut addresses = line.split_whitespace().map(str::parse);
        match (addresses.next(), addresses.next()) {
            (Some(Ok(ws)), Some(Ok(sql))) => Ok(Self {
                ws,
                sql,
                pid,
                password: String::new(),
                started,
            }),
            _ => Err(Failure::told("the reference loop did not start")),
        }
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::connect(self.sql, &self.password)
    }

    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        self.pid.and_then(proc::cpu_seconds)
    }

    pub(crate) fn rss_bytes(&self) -> Option<f64> {
        self.pid.and_then(proc::rss_bytes).map(|bytes| bytes as f64)
    }

    /// Whether `kill_and_restart` can work.
    pub(crate) fn can_restart(&self) -> bool {
        self.started
            .as_ref()
            .is_some_and(|started| started.again.is_some())
    }

    /// SIGKILL, as a crash would; the process is gone when this returns.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        let Some(started) = &mut self.started else {
            return Err(Failure::told("only a server started with --spawn can be killed"));
        };
        started.child.kill().or_while("kill the server")?;
        started.child.wait().or_while("wait for the killed server")?;
        Ok(())
    }

    /// Starts a killed server again on the same ports and data; the seconds until it answers.
    pub(crate) fn restart(&mut self) -> Result<f64, Failure> {
        let begun = clock::nanos();
        let Some(Started {
            child,
            again: Some(again),
        }) = &mut self.started
        else {
            return Err(Failure::told(
                "only a server started with --spawn can be restarted",
            ));
        };
        *child = again.launch(&self.password)?;
        self.pid = Some(child.id());
        self.wait_until_up()?;
        Ok(clock::seconds(begun, clock::nanos()))
    }

    /// Ends a started server in order and starts it again with an empty data directory: nothing of what was measured before
    /// is left in its memory or on its disk.
    pub(crate) fn renew(&mut self) -> Result<(), Failure> {
        self.end()?;
        if let Some(Started {
            again: Some(again), ..
        }) = &self.started
        {
            let name = again.data.display();
            std::fs::remove_dir_all(&again.data).or_while(format!("empty {name}"))?;
            std::fs::create_dir_all(&again.data).or_while(format!("make {name}"))?;
        }
        self.restart().map(|_| ())
    }

    /// Orderly end: SIGTERM, and SIGKILL only if that does not help. Not exiting with 0 is a finding.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        match &self.started {
            Some(Started { again: Some(_), .. }) => self.end(),
            Some(_) | None => Ok(()),
        }
    }

    /// Ends a started server in order; `restart` starts it again.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        let Some(started) = &mut self.started else {
            return Err(Failure::told("only a server started with --spawn can be ended"));
        };
        if let Some(pid) = i32::try_from(started.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)
                .map_err(Into::into)
                .or_while("stop the server")?;
        }
        let deadline = clock::nanos() + clock::span(STOP_PATIENCE);
        while clock::nanos() < deadline {
            match started.child.try_wait().or_while("wait for the server")? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(Failure::told(format!("the server ended with {status}"))),
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(Failure::told(
            "the server did not end within two minutes of SIGTERM",
        ))
    }

    /// Settings for the next `restart`, in place of those before.
    pub(crate) fn set_environment(&mut self, environment: Vec<(String, String)>) {
        if let Some(Started {
            again: Some(again), ..
        }) = &mut self.started
        {
            again.environment = environment;
        }
    }

    fn wait_until_up(&mut self) -> Result<(), Failure> {
        let deadline = clock::nanos() + clock::span(START_PATIENCE);
        loop {
            let up = TcpStream::connect(self.ws).is_ok() && TcpStream::connect(self.sql).is_ok();
            if up {
                return self.client().map(|_| ());
            }
            if let Some(Started {
                child,
                again: Some(again),
            }) = &mut self.started
                && let Some(status) = child.try_wait().or_while("wait for the server")?
            {
                return Err(Failure::told(format!(
                    "the server ended with {status}: {}",
                    again.last_words()
                )));
            }
            if clock::nanos() > deadline {
                return Err(Failure::told("the server did not listen within 60 s"));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Again {
    fn launch(&self, password: &str) -> Result<Child, Failure> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.or_while(format!("open {}", self.log.display()))?;
        let mut command = Command::new(&self.binary);
        command.args(&self.arguments).args(["--password", password]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
            .stdout(log.try_clone().or_while("share the log")?)
            .stderr(log);
        self.placement.start(&mut command)
    }

    /// The end of what the server wrote.
    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" / ")
    }
}

/// A directory for one server in the one that was given: the first number that is not taken.
fn unused_in(directory: &Path) -> PathBuf {
    let mut numbers = (1_u32..).map(|number| directory.join(number.to_string()));
    numbers
        .find(|path| !path.exists())
        .unwrap_or_else(|| directory.to_owned())
}

fn free_addresses() -> Result<[SocketAddr; 2], Failure> {
    // Both are held until both are known, so that they differ.
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).or_while("find a free port")?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).or_while("find a free port")?;
    Ok([first.local_addr()?, second.local_addr()?])
}
