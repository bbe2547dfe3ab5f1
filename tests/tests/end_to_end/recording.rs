//! What `--record` promises (docs/operations.md, Recording). That a replay does the same is asserted for every server of
//! these tests when it ends.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use comet_sim::recording::files;
use comet_tests::page::Page;
use comet_tests::server::{ANY_PORT, Server};
use comet_tests::sql::{connect, run};
use tempfile::TempDir;

fn segments(dir: &Path) -> Vec<PathBuf> {
    files::segments(dir).unwrap_or_default()
}

/// A user gets messages.
async fn talk(server: &Server, user: u32, words: &str, times: u32) {
    let mut sql = connect(server.cometql).await;
    let key = format!("INSERT INTO users_auth (id, hash) VALUES ({user}, 'theirKey12345')");
    run(&mut sql, &key).await;
    let mut page = Page::login(server.ws, user, "theirKey12345", "tab").await;
    for _ in 0..times {
        let statement =
            format!("INSERT INTO users_messages (id, event, message) VALUES ({user}, 'e', '{words}')");
        run(&mut sql, &statement).await;
        assert_eq!(page.frame().await["data"], words);
    }
}

/// The value of a figure on the metrics port.
fn figure(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    let value = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    value.unwrap_or_else(|| panic!("{name} in {metrics}"))
}

#[tokio::test]
async fn a_redacted_recording_tells_no_secret_and_is_replayed() {
    let mut server = Server::start_with(&[("COMET_RECORD_REDACT", "true")]);
    talk(&server, 7, "nobody shall read this", 20).await;
    assert!(server.terminate().success());
    let mut bytes = Vec::new();
    for file in segments(server.recording_dir()) {
        let mode = file.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "for its owner alone");
        bytes.extend(std::fs::read(file).expect("a segment"));
    }
    let told = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(told("xxxxxx xxxxx xxxx xxxx"), "the stand-in is there");
    for secret in ["nobody shall", "theirKey12345", comet_tests::server::PASSWORD] {
        assert!(!told(secret), "{secret:?} is in the recording");
    }
}

#[tokio::test]
async fn old_segments_go() {
    let server = Server::start_with(&[
        ("COMET_RECORD_SEGMENT_SIZE", "4096"),
        ("COMET_RECORD_SEGMENTS", "3"),
    ]);
    talk(&server, 7, &"long ".repeat(400), 400).await;
    let files = segments(server.recording_dir());
    assert_eq!(files.len(), 3);
    let first = files
        .first()
        .and_then(|file| file.file_stem()?.to_str()?.rsplit_once('-'));
    assert!(first.is_some_and(|(_, number)| number > "000003"), "{files:?}");
}

/// It dies while old files become new ones: of what is half written no more is lost than that, and it is told.
#[tokio::test]
async fn a_killed_server_leaves_what_can_be_replayed() {
    let mut server = Server::start_with(&[
        ("COMET_RECORD_SEGMENT_SIZE", "4096"),
        ("COMET_RECORD_SEGMENTS", "3"),
        ("COMET_DURABILITY", "os"),
    ]);
    for user in 1..=3 {
        talk(&server, user, &"long ".repeat(1600), 60).await;
        server.kill();
        let replayed = files::replay(server.recording_dir(), &mut |_, _, _| {});
        let totals = replayed.unwrap_or_else(|error| panic!("{error}"));
        assert!(totals.segments >= 2 && totals.events > 0, "{totals:?}");
        server = server.crash_and_restart();
    }
}

/// The disk fails: the recording ends, and the server does not.
#[tokio::test]
async fn a_recording_that_cannot_go_on_ends_alone() {
    let folder = TempDir::new().expect("a temporary folder");
    let dir = folder.path().join("recording");
    let metrics = ANY_PORT.to_string();
    let taken = std::net::TcpListener::bind(&metrics).and_then(|port| port.local_addr());
    let metrics = taken.expect("a free port").to_string();
    let server = Server::start_with(&[
        ("COMET_RECORD_DIR", dir.to_str().expect("a path of letters")),
        ("COMET_RECORD_SEGMENT_SIZE", "4096"),
        ("COMET_METRICS_LISTEN", &metrics),
    ]);
    let page = || {
        let address = metrics.parse().expect("an address");
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        comet_tests::server::http(address, request).expect("the metrics page")
    };
    assert_eq!(figure(&page(), "comet_recording"), 1);
    while segments(&dir).is_empty() {
        tokio::task::yield_now().await;
    }
    std::fs::remove_dir_all(&dir).expect("the directory goes");
    // The next segment finds no place.
    let mut users = 100..;
    while figure(&page(), "comet_recording_failures_total") == 0 {
        let user = users.next().expect("there is always another one");
        talk(&server, user, &"long ".repeat(400), 10).await;
    }
    assert_eq!(figure(&page(), "comet_recording"), 0);
    talk(&server, 7, "still served", 1).await;
}

/// Nothing to write to at all is no reason not to serve.
#[tokio::test]
async fn a_place_that_is_none_is_told_and_nothing_more() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "not a directory").expect("a file");
    let server = Server::start_with(&[("COMET_RECORD_DIR", file.to_str().expect("a path of letters"))]);
    talk(&server, 7, "served", 1).await;
}
