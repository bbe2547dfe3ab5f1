//! Runs one program of `tests/clients` against servers of its own and reads the lines it prints.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use comet_tests::server::{PASSWORD, Server, target_dir};
use comet_tests::tls::Certificate;

/// What every program must report, as `ok NAME` or `skip NAME: reason` (tests/clients/README.md).
const ITEMS: [&str; 15] = [
    "connect",
    "wrong_password",
    "keys",
    "channel",
    "private",
    "prepared_insert",
    "prepared_select",
    "rows",
    "count",
    "unknown_table",
    "syntax_error",
    "ping",
    "transaction",
    "change_user",
    "change_user_wrong",
];

/// One client program.
pub(crate) struct Program {
    name: &'static str,
    interpreter: String,
    options: Vec<String>,
    file: &'static str,
    environment: Vec<(String, String)>,
    needs: Vec<Vec<String>>,
    flavours: Vec<&'static str>,
    tls: bool,
}

impl Program {
    pub(crate) fn script(name: &'static str, interpreter: &str, file: &'static str) -> Self {
        Self {
            name,
            interpreter: interpreter.to_owned(),
            options: Vec::new(),
            file,
            environment: Vec::new(),
            needs: Vec::new(),
            flavours: Vec::new(),
            tls: true,
        }
    }

    /// A command that only works where the client is installed.
    pub(crate) fn needs(mut self, command: &[&str]) -> Self {
        self.needs
            .push(command.iter().map(|word| (*word).to_owned()).collect());
        self
    }

    /// Runs once for each of these sixth arguments.
    pub(crate) fn flavours(mut self, flavours: &[&'static str]) -> Self {
        self.flavours = flavours.to_vec();
        self
    }

    pub(crate) fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn plain_only(mut self) -> Self {
        self.tls = false;
        self
    }

    fn is_installed(&self) -> bool {
        self.needs.iter().all(|words| {
            let mut command = Command::new(&words[0]);
            command
                .args(&words[1..])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })
    }

    fn run(&self, server: &Server, tenant: u32, mode: &str, flavour: &str) -> Output {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let mut command = Command::new(&self.interpreter);
        command.args(&self.options).arg(folder.join(self.file));
        command.args([server.cometql.ip().to_string(), server.cometql.port().to_string()]);
        command.args([&tenant.to_string(), PASSWORD, mode]);
        if !flavour.is_empty() {
            command.arg(flavour);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("GOCACHE", target_dir().join("clients/go"));
        command
            .stdin(Stdio::null())
            .output()
            .expect("an installed interpreter starts")
    }
}

/// Runs a client on a server without a certificate, then on one with. Each run has a tenant of its own.
pub(crate) fn check(program: &Program) {
    if !program.is_installed() {
        let all = std::env::var_os("COMET_CLIENTS").is_some_and(|value| value == "all");
        assert!(!all, "{} is not installed", program.name);
        // Not through print!, which the test runner keeps to itself.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} is not installed", program.name);
        return;
    }
    let flavours = if program.flavours.is_empty() {
        &[""][..]
    } else {
        &program.flavours
    };
    let plain = Server::start();
    for (tenant, flavour) in (1..).zip(flavours) {
        judge(program, &program.run(&plain, tenant, "plain", flavour), flavour);
    }
    if program.tls {
        let certificate = Certificate::new();
        let settings = certificate.settings("COMETQL");
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
        let tls = Server::start_with(&settings);
        for (tenant, flavour) in (1..).zip(flavours) {
            judge(program, &program.run(&tls, tenant, "tls", flavour), flavour);
            // The same server without TLS: a certificate forces nobody.
            judge(
                program,
                &program.run(&tls, tenant + 100, "plain", flavour),
                flavour,
            );
        }
    }
}

fn judge(program: &Program, output: &Output, flavour: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = format!("{} {flavour}\n{said}{errors}", program.name);
    assert!(output.status.success(), "{report}");
    for item in ITEMS {
        let reported = said
            .lines()
            .any(|line| line.strip_prefix("ok ") == Some(item) || line.starts_with(&format!("skip {item}:")));
        assert!(reported, "{item} is missing: {report}");
    }
    assert!(said.contains("ok connect"), "{report}");
}
