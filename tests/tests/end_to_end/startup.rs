//! Wrong settings, taken ports and damaged stores: one clear line on stderr and exit status 2, nothing changed.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use comet_tests::server::{ANY_PORT, Server, bare_command, command, run_to_end};
use comet_tests::sql::{connect, run};
use tempfile::TempDir;

fn on(data: &Path) -> Command {
    command(ANY_PORT, ANY_PORT, data)
}

/// Status 2, one line, and the line names what it is about.
fn refuses(output: &Output, names: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(error.trim_end().lines().count(), 1, "one line: {error}");
    assert!(error.contains(names), "{names} is named: {error}");
}

#[test]
fn wrong_values() {
    let data = TempDir::new().expect("a temporary folder");
    for (flag, value) in [
        ("--ws-listen", "nowhere"),
        ("--cometql-listen", "127.0.0.1:99999"),
        ("--durability", "sometimes"),
        ("--log-level", "loud"),
    ] {
        let output = run_to_end(
            bare_command()
                .args(["--data-dir"])
                .arg(data.path())
                .args([flag, value]),
        );
        refuses(&output, flag);
    }
    let output = run_to_end(on(data.path()).env("COMET_WS_MAX_SUBSCRIPTIONS", "many"));
    refuses(&output, "COMET_WS_MAX_SUBSCRIPTIONS");
}

#[test]
fn wrong_files() {
    let data = TempDir::new().expect("a temporary folder");
    let file = data.path().join("comet.toml");
    for (text, names) in [
        ("[ws]\nport = \"x\"\n", "port"),
        ("[ws]\nno_such_key = 1\n", "no_such_key"),
        ("[ws\n", "comet.toml"),
    ] {
        fs::write(&file, text).expect("a file");
        refuses(&run_to_end(on(data.path()).arg("--config").arg(&file)), names);
        refuses(&run_to_end(bare_command().arg("check-config").arg(&file)), names);
    }
    refuses(
        &run_to_end(on(data.path()).args(["--config", "no/such/file.toml"])),
        "no/such/file.toml",
    );
}

#[test]
fn a_good_file_is_explained() {
    let data = TempDir::new().expect("a temporary folder");
    let file = data.path().join("comet.ini");
    fs::write(
        &file,
        "[main]\npassword = secret\nunknown = 1\n[ws]\nport = 9000\n[db]\nhost = x\n",
    )
    .expect("a file");
    let output = run_to_end(bare_command().arg("check-config").arg(&file));
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert!(report.contains("9000") && report.contains("unknown"), "{report}");
    assert!(!report.contains("secret"), "no secret is printed: {report}");
}

#[test]
fn a_port_in_use() {
    let data = TempDir::new().expect("a temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    refuses(
        &run_to_end(&mut command(address, ANY_PORT, data.path())),
        &address.to_string(),
    );
    refuses(
        &run_to_end(&mut command(ANY_PORT, address, data.path())),
        &address.to_string(),
    );
}

#[test]
fn a_data_directory_that_cannot_be() {
    let data = TempDir::new().expect("a temporary folder");
    let file = data.path().join("file");
    fs::write(&file, "not a folder").expect("a file");
    refuses(&run_to_end(&mut on(&file)), "file");
    refuses(&run_to_end(&mut on(&file.join("below"))), "below");
    // Not even root can write there.
    refuses(&run_to_end(&mut on(Path::new("/proc/comet"))), "/proc/comet");
}

#[test]
fn a_data_directory_in_use() {
    let server = Server::start();
    let data = server.data_dir().to_path_buf();
    refuses(&run_to_end(&mut on(&data)), &data.to_string_lossy());
}

/// Damage is refused with the file's name and the way out; the file stays as it was, so nothing is lost silently.
#[tokio::test]
async fn a_damaged_store() {
    let mut server = Server::start();
    let mut sql = connect(server.cometql).await;
    run(&mut sql, "INSERT INTO users_auth (id, hash) VALUES (5, 'key')").await;
    drop(sql);
    let data = server.data_dir().to_path_buf();
    assert!(server.terminate().success());
    let store = data.join("comet.db");
    let good = fs::read(&store).expect("the store file");
    let mut bad_head = good.clone();
    bad_head[..64].fill(b'x');
    let half = good[..good.len() / 2].to_vec();
    let mut bad_middle = good.clone();
    let middle = good.len() / 2;
    bad_middle[middle..middle + 4096.min(good.len() - middle)].fill(0xA5);
    for (what, bytes) in [
        ("head", bad_head),
        ("half", half),
        ("middle", bad_middle),
        ("text", b"hello".to_vec()),
    ] {
        fs::write(&store, &bytes).expect("a damaged file");
        let output = run_to_end(&mut on(&data));
        refuses(&output, "comet.db");
        assert_eq!(
            fs::read(&store).expect("the file is there"),
            bytes,
            "{what}: untouched"
        );
    }
}
