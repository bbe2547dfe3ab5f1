//! The real binary as a child process on free loopback ports with a data directory of its own. It is killed when the
//! test drops it, so a failed test leaves nothing behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::DEADLINE;

/// The password of every server a test starts.
pub const PASSWORD: &str = "CometQLPassword";

/// A port of the server's choice.
pub const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running server.
pub struct Server {
    child: Child,
    /// The browser port.
    pub ws: SocketAddr,
    /// The CometQL port.
    pub cometql: SocketAddr,
    data: Option<TempDir>,
    /// What it recorded, in all its lives. At the end it is replayed.
    recording: Option<TempDir>,
    settings: Vec<(String, String)>,
}

impl Server {
    /// Starts with nothing but what every test needs, on an empty data directory.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with settings in their environment names, for instance `("COMET_WS_HOST", "example.com")`.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let data = TempDir::new().expect("a temporary folder");
        let recording = TempDir::new().expect("a temporary folder");
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self::launch(data, recording, settings.iter().map(own).collect())
    }

    /// The server chooses free ports itself and tells them in the lines it prints for a newcomer.
    fn launch(data: TempDir, recording: TempDir, settings: Vec<(String, String)>) -> Self {
        raise_descriptor_limit();
        let mut command = command(ANY_PORT, ANY_PORT, data.path());
        if records_for_us(&settings) {
            command.arg("--record").arg(recording.path());
        }
        let mut child = command
            .envs([
                ("COMET_RECORD_SEGMENT_SIZE", "65536"),
                ("COMET_RECORD_SEGMENTS", "100000"),
            ])
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server binary starts");
        let printed = child.stdout.take().expect("its output");
        match printed_addresses(printed) {
            Some((ws, cometql)) => Self {
                child,
                ws,
                cometql,
                data: Some(data),
                recording: Some(recording),
                settings,
            },
            None => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the server does not come up with {settings:?}");
            }
        }
    }

    /// Kills it without a warning (SIGKILL), as a power cut would, and starts it again on the same data.
    pub fn crash_and_restart(mut self) -> Self {
        self.kill();
        self.relaunch()
    }

    /// Stops it in an orderly way (SIGTERM) and starts it again on the same data.
    pub fn stop_and_restart(mut self) -> Self {
        let status = self.terminate();
        assert!(status.success(), "an orderly exit has status 0, not {status}");
        self.relaunch()
    }

    fn relaunch(mut self) -> Self {
        let data = self
            .data
            .take()
            .expect("a server keeps its folder until it is restarted");
        let recording = self.recording.take().expect("the same");
        let settings = std::mem::take(&mut self.settings);
        Self::launch(data, recording, settings)
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for the orderly end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal_end();
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status;
            }
            assert!(Instant::now() < end, "the server does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal_end(&self) {
        let signalled = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(signalled.is_ok_and(|status| status.success()), "kill works");
    }

    /// What it recorded.
    pub fn recording_dir(&self) -> &Path {
        self.recording
            .as_ref()
            .map_or_else(|| Path::new(""), TempDir::path)
    }

    /// Plays everything that was recorded to the core: it must do the same again.
    fn replay(&self) {
        let recording = self.recording.as_ref();
        let Some(recording) = recording.filter(|_| records_for_us(&self.settings)) else {
            return;
        };
        let replayed = comet_sim::recording::files::replay(recording.path(), &mut |_, _, _| {});
        match replayed {
            Ok(totals) => assert!(totals.segments > 0, "the server did not record"),
            Err(error) => panic!("the recording of {:?}: {error}", self.settings),
        }
    }

    /// The process is still running.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.data.as_ref().map_or_else(|| Path::new(""), TempDir::path)
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap_or_default();
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .unwrap_or_default();
        kib * 1024
    }

    /// One HTTP exchange on the browser port: status line, headers and body as they came.
    pub fn http(&self, request: &str) -> String {
        http(self.ws, request.as_bytes()).expect("an HTTP answer")
    }
}

impl Drop for Server {
    /// A test that went well ends with an orderly stop, so that the recording is whole, and with its replay.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.kill();
            return;
        }
        if self.recording.is_some() && self.is_alive() {
            self.terminate();
        }
        self.kill();
        self.replay();
    }
}

/// False if the test lets it record elsewhere, or not at all.
fn records_for_us(settings: &[(String, String)]) -> bool {
    !settings.iter().any(|(name, _)| name == "COMET_RECORD_DIR")
}

/// The server's command line for these addresses; nothing else is configured.
pub fn command(ws: SocketAddr, cometql: SocketAddr, data: &Path) -> Command {
    let mut command = bare_command();
    command.args([
        "--ws-listen",
        &ws.to_string(),
        "--cometql-listen",
        &cometql.to_string(),
    ]);
    command
        .args(["--password", PASSWORD, "--log-level", "warn", "--data-dir"])
        .arg(data);
    command
}

/// The server's program without arguments, with an environment that holds no configuration.
pub fn bare_command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COMET_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end, which must come soon.
pub fn run_to_end(command: &mut Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server binary starts");
    let end = Instant::now() + DEADLINE;
    while child.try_wait().expect("the child can be waited for").is_none() {
        if Instant::now() > end {
            let _ = child.kill();
            panic!("the server should have refused to start, but it runs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("its output")
}

/// Tests that open thousands of sockets share one process with the others; the soft limit is often 1024.
fn raise_descriptor_limit() {
    static RAISED: OnceLock<()> = OnceLock::new();
    RAISED.get_or_init(|| {
        let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        limit.current = limit.maximum;
        // A machine that forbids it has enough for all tests but that one, which then opens fewer.
        let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    });
}

/// The program under test: `COMET_SERVER_BIN`, or what cargo builds now, once per test run.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("COMET_SERVER_BIN") {
            return PathBuf::from(path);
        }
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "comet-server"])
            .env("CARGO_TARGET_DIR", target_dir())
            .status();
        assert!(built.is_ok_and(|status| status.success()), "comet-server builds");
        target_dir().join("debug").join("comet-server")
    })
}

/// Cargo's target directory: a test binary is `<target>/<profile>/deps/<name>`.
pub fn target_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of this test");
    exe.ancestors()
        .nth(3)
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Browser and CometQL address from the two lines to copy: `mysql -h 127.0.0.1 -P 3307 …` and `http://…/demo`.
fn printed_addresses(printed: ChildStdout) -> Option<(SocketAddr, SocketAddr)> {
    let (sender, lines) = mpsc::channel();
    // Reads to the end, so that the server can always write.
    std::thread::spawn(move || {
        for line in BufReader::new(printed).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut cometql = None;
    while let Ok(line) = lines.recv_timeout(DEADLINE) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["mysql", "-h", host, "-P", port, ..] = words.as_slice() {
            cometql = format!("{host}:{port}").parse().ok();
        } else if let Some((_, rest)) = line.split_once("://") {
            let ws = rest
                .strip_suffix("/demo")
                .and_then(|address| address.parse().ok());
            return ws.zip(cometql);
        }
    }
    None
}

/// Sends a request and reads until the server closes.
pub fn http(address: SocketAddr, request: &[u8]) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.write_all(request)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
