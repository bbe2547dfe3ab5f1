//! Golden transcripts: scripts in `tests/golden/*.txt` drive the shipped core; `*.snap` beside them is what it answered,
//! to be read against docs/protocol.md. A changed snapshot is reviewed like code.
//!
//! The language of the scripts is documented in `script.rs`. To accept a change: `INSTA_UPDATE=always cargo test -p
//! comet-tests --test golden`, then read the difference.

mod render;
mod script;
mod world;

use std::path::Path;

fn topic(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let path = folder.join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let transcript = script::run(&text);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, transcript));
}

macro_rules! topics {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            topic(stringify!($name));
        })*

        const TOPICS: &[&str] = &[$(stringify!($name)),*];
    };
}

topics! {
    acknowledgement
    address_connections
    authorization
    bodies
    channels
    cometql_errors
    cometql_literals
    cometql_login
    cometql_statements
    cometql_where
    delivery
    delivery_of_channels
    devices
    expiry
    history
    jwt
    keys_expired
    keys_throttled
    limits
    memory
    online
    origins_of_tenants
    presence_of_tracks
    private_messages
    published_statements
    questions
    quiet
    quota
    quota_sessions
    rates
    rates_shared
    refused_connections
    revocation
    sending
    show
    store
    subscription
    tables
    v5_commands
    v5_private
    v5_sending
    version_3
}

#[test]
fn every_script_is_a_topic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut scripts: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of scripts")
        .filter_map(|entry| {
            entry
                .ok()?
                .file_name()
                .to_str()?
                .strip_suffix(".txt")
                .map(str::to_owned)
        })
        .collect();
    scripts.sort();
    assert_eq!(scripts, TOPICS);
}
