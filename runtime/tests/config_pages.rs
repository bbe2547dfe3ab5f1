//! The settings of the console and the chat (docs/operations.md, protocol.md 2.1).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use clap::Parser;
use comet_core::DevId;
use comet_server::cli::Cli;
use comet_server::config::{self, Env, Loaded, PageSettings, Switch};

/// What a file and the environment together mean.
fn load(name: &str, text: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    std::fs::write(&file, text).unwrap();
    let cli = Cli::try_parse_from(["comet-server", "--config", &file.display().to_string()]).unwrap();
    let mut env: Env = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    env.insert(
        "COMET_DATA_DIR".to_owned(),
        dir.path().join("data").display().to_string(),
    );
    config::load(&cli, &env).map_err(|error| error.to_string())
}

fn pages(name: &str, text: &str, variables: &[(&str, &str)]) -> Result<PageSettings, String> {
    load(name, text, variables).map(|loaded| loaded.settings.pages)
}

#[test]
fn defaults() {
    let expected = PageSettings {
        console: Switch::Auto,
        demo: Switch::Auto,
        demo_dev: DevId(99_999),
    };
    assert_eq!(pages("a.toml", "", &[]), Ok(expected));
    let off = PageSettings {
        console: Switch::Off,
        demo: Switch::Off,
        ..expected
    };
    assert_eq!(
        pages("a.ini", "[main]\npassword = x\n", &[]),
        Ok(off),
        "a comet.ini is production"
    );
}

#[test]
fn every_source_and_spelling() {
    let of = |text| pages("a.toml", text, &[]).unwrap().console;
    assert_eq!(of("main.console = true"), Switch::On);
    assert_eq!(of("main.console = false"), Switch::Off);
    assert_eq!(of("main.console = \"on\""), Switch::On);
    assert_eq!(of("main.console = \"auto\""), Switch::Auto);
    let ini = pages(
        "a.ini",
        "[main]\npassword = x\nconsole = true\ndemo = auto\ndemo_dev_id = 7\n",
        &[],
    )
    .unwrap();
    assert_eq!(
        (ini.console, ini.demo, ini.demo_dev),
        (Switch::On, Switch::Auto, DevId(7))
    );
    let env = [
        ("COMET_CONSOLE", "off"),
        ("COMET_DEMO", "on"),
        ("COMET_DEMO_DEV_ID", "0"),
    ];
    let env = pages("a.toml", "main.console = true", &env).unwrap();
    assert_eq!(
        (env.console, env.demo, env.demo_dev),
        (Switch::Off, Switch::On, DevId(0))
    );
}

#[test]
fn wrong_values() {
    for (text, part) in [
        ("main.console = \"yes\"", "auto, on, off"),
        ("main.demo = 1", "auto, on, off"),
        ("main.demo_dev_id = -1", "whole number"),
        (
            "main.demo_dev_id = 100000",
            "main.dev_index_size, which is 100000",
        ),
        ("[main]\ndev_index_size = 5\ndemo_dev_id = 5", "it must be below"),
    ] {
        let error = pages("a.toml", text, &[]).unwrap_err();
        assert!(error.contains(part) && error.lines().count() == 1, "{error}");
    }
}

/// The chat never lives among the users of a site unless somebody says so.
#[test]
fn the_only_tenant_belongs_to_the_site() {
    let of = |more: &str| pages("a.toml", &format!("[main]\ndev_index_size = 1\n{more}"), &[]);
    assert_eq!(of("").unwrap().demo, Switch::Off);
    assert!(of("demo = true").unwrap_err().contains("main.demo_dev_id = 0"));
    let shared = of("demo = true\ndemo_dev_id = 0").unwrap();
    assert_eq!((shared.demo, shared.demo_dev), (Switch::On, DevId(0)));
    let two = pages("a.toml", "main.dev_index_size = 2", &[]).unwrap();
    assert_eq!((two.demo, two.demo_dev), (Switch::Auto, DevId(1)));
}

/// A password on its way through a network deserves a warning.
#[test]
fn an_open_console_without_tls_is_noticed() {
    for (text, warned) in [
        ("main.console = true\nws.listen = \"0.0.0.0:8087\"", true),
        ("main.console = true", false),
        ("ws.listen = \"0.0.0.0:8087\"", false),
    ] {
        let notices = load("a.toml", text, &[]).unwrap().notices;
        let found = notices
            .iter()
            .any(|notice| notice.to_string().contains("main.console"));
        assert_eq!(found, warned, "{text}: {notices:?}");
    }
}
