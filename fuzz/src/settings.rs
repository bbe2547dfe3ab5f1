//! Configuration files (protocol.md 8.2), comet.ini and TOML: whatever is in them, the answer is settings or one clear
//! line, and the password is in neither.

use std::path::Path;

use arbitrary::{Result, Unstructured};
use comet_server::config::{Env, check_text};

const SECRET: &str = "hunter2-Zq9";

const LINES: [&str; 40] = [
    "[main]",
    "[ws]",
    "[cometql]",
    "[log]",
    "[content-type]",
    "[statistics]",
    "[metrics]",
    "[ssl]",
    "[main",
    "[x]",
    "; comment",
    "# comment",
    "node_name",
    "dev_index_size",
    "data_dir",
    "durability",
    "base_dir",
    "max_message_body",
    "queue_ttl",
    "queue_max",
    "reload_grace",
    "console",
    "demo_dev_id",
    "host",
    "ip",
    "port",
    "listen",
    "thread_num",
    "send_buffer",
    "trusted_proxies",
    "shards",
    "max_message_size",
    "ping_interval",
    "level",
    "format",
    "html",
    "max_query",
    "backlog",
    "handshake_timeout",
    "max_subscriptions",
];
const VALUES: [&str; 30] = [
    "",
    "0",
    "1",
    "-1",
    "65535",
    "65536",
    "18446744073709551615",
    "18446744073709551616",
    "true",
    "True",
    "off",
    "auto",
    "fsync",
    "os",
    "\"text\"",
    "'text'",
    "[\"a\", \"b\"]",
    "[1, \"b\"]",
    "1.5",
    "2026-11-21",
    "{ a = 1 }",
    "127.0.0.1:80",
    "[::1]:80",
    "*:0",
    "10.0.0.0/8, ::1",
    "[]appended",
    "\"\u{fffd}\"",
    "a ; comment",
    "\"\"\"",
    "0x10",
];

/// The first byte chooses the language and whether the file is made of lines or of any bytes.
pub fn settings(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let name = ["comet.ini", "comet.toml", "comet.conf"][usize::from(kind) % 3];
    if kind < 64 {
        judge(name, rest);
    } else if let Ok(text) = lines(&mut Unstructured::new(rest)) {
        judge(name, text.as_bytes());
    }
}

fn lines(choices: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::from("[main]\npassword = \"hunter2-Zq9\"\n");
    while !choices.is_empty() && text.len() < 4000 {
        let line = *choices.choose(&LINES)?;
        text.push_str(line);
        if !line.starts_with(['[', ';', '#']) {
            text.push_str(choices.choose(&[" = ", "=", " ", " == "])?);
            if choices.ratio(15, 16)? {
                text.push_str(choices.choose(&VALUES)?);
            } else {
                let length = choices.int_in_range(0..=20)?;
                text.push_str(&String::from_utf8_lossy(
                    choices.bytes(choices.len().min(length))?,
                ));
            }
        }
        text.push_str(choices.choose(&["\n", "\r\n", "\n\n", " # x\n"])?);
    }
    Ok(text)
}

fn judge(name: &str, text: &[u8]) {
    let env = Env::new();
    match check_text(Path::new(name), text, &env) {
        Ok(report) => {
            assert!(!report.contains(SECRET), "the password is shown");
            assert!(report.contains("main.password"), "it is named: {report}");
        }
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains(SECRET), "the password is in an error");
            assert!(
                !line.is_empty() && !line.contains(['\n', '\r']),
                "one line: {line:?}"
            );
        }
    }
}
