//! The scripts of docs/guide.md as they stand there, against a server of their own: each one prints what the guide says
//! it prints, or a token that lets its user in. Only the port is another.

use std::io::Write;
use std::process::{Command, Stdio};

use comet_tests::page::Page;
use comet_tests::server::{PASSWORD, Server, target_dir};

const GUIDE: &str = include_str!("../../../docs/guide.md");

/// A fenced block: what is behind its fence, and its lines.
struct Block {
    language: &'static str,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = GUIDE.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            let text = inside.map(|line| format!("{line}\n")).collect();
            blocks.push(Block { language, text });
        }
    }
    blocks
}

/// What a language needs.
struct Language {
    /// As behind the fence.
    name: &'static str,
    /// Reads a script from its standard input.
    program: String,
    /// Succeeds where program and driver are installed.
    probe: [&'static str; 2],
}

impl Language {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("NODE_PATH", target_dir().join("clients/node/node_modules"));
        command
    }

    fn is_installed(&self) -> bool {
        let mut probe = self.command();
        probe
            .args(self.probe)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }

    /// The guide's scripts with the output that follows them; none: they print a token.
    fn scripts(&self) -> Vec<(String, Option<String>)> {
        let blocks = blocks();
        // Most blocks of JavaScript are for pages.
        let is_script = |block: &Block| {
            block.language == self.name && (self.name != "js" || block.text.contains("require("))
        };
        let scripts = blocks.iter().enumerate().filter(|(_, block)| is_script(block));
        scripts
            .map(|(at, block)| {
                let next = blocks.get(at + 1).filter(|next| next.language.is_empty());
                (block.text.clone(), next.map(|next| next.text.clone()))
            })
            .collect()
    }

    /// What a script prints.
    fn run(&self, script: &str, server: &Server) -> String {
        let mut child = self
            .command()
            .env("COMET_PASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("an installed program starts");
        let script = script.replace("3307", &server.cometql.port().to_string());
        let mut input = child.stdin.take().expect("its input");
        input.write_all(script.as_bytes()).expect("it reads the script");
        drop(input);
        let output = child.wait_with_output().expect("its output");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

async fn check(language: &Language, count: usize) {
    if !language.is_installed() {
        let all = std::env::var_os("COMET_CLIENTS").is_some_and(|value| value == "all");
        assert!(!all, "{} with its driver is not installed", language.name);
        // Not through print!, which the test runner keeps to itself.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: {} with its driver is not installed",
            language.name
        );
        return;
    }
    let scripts = language.scripts();
    assert_eq!(scripts.len(), count, "scripts of the guide in {}", language.name);
    let server = Server::start();
    for (script, output) in scripts {
        let printed = language.run(&script, &server);
        match output {
            Some(output) => assert_eq!(printed, output, "{script}"),
            None => drop(Page::login(server.ws, 7, printed.trim(), "").await),
        }
    }
}

#[tokio::test]
async fn the_guide_in_php() {
    let probe = "exit(extension_loaded('mysqli') && extension_loaded('pdo_mysql') ? 0 : 1);";
    let program = "php".to_owned();
    check(
        &Language {
            name: "php",
            program,
            probe: ["-r", probe],
        },
        3,
    )
    .await;
}

#[tokio::test]
async fn the_guide_in_python() {
    let program = target_dir().join("clients/python/bin/python");
    let program = program.to_string_lossy().into_owned();
    check(
        &Language {
            name: "python",
            program,
            probe: ["-c", "import pymysql"],
        },
        2,
    )
    .await;
}

#[tokio::test]
async fn the_guide_in_node() {
    let program = "node".to_owned();
    check(
        &Language {
            name: "js",
            program,
            probe: ["-e", "require('mysql2')"],
        },
        2,
    )
    .await;
}
