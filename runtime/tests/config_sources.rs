//! Where settings come from and which source wins; what a wrong one is told (protocol.md 8.1, 8.2).

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Parser;
use comet_core::DevId;
use comet_server::cli::Cli;
use comet_server::config::{
    self, Durability, Env, Loaded, LogFormat, LogLevel, LogTag, PasswordSource, Settings,
};

/// A directory with a configuration file, and the data directory below it.
struct Place {
    dir: tempfile::TempDir,
    file: PathBuf,
}

impl Place {
    fn new(name: &str, text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        Self { dir, file }
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn env(&self, variables: &[(&str, &str)]) -> Env {
        let mut env: Env = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        env.entry("COMET_DATA_DIR".into())
            .or_insert_with(|| self.data_dir().display().to_string());
        env
    }

    fn cli(&self, flags: &[&str]) -> Cli {
        let file = self.file.display().to_string();
        let flags = ["comet-server", "--config", &file]
            .into_iter()
            .chain(flags.iter().copied());
        Cli::try_parse_from(flags).unwrap()
    }

    fn load(&self) -> Loaded {
        config::load(&self.cli(&[]), &self.env(&[])).unwrap()
    }

    /// The error of a configuration that cannot be used: one line, without a secret.
    fn error(&self) -> String {
        let text = config::load(&self.cli(&[]), &self.env(&[]))
            .unwrap_err()
            .to_string();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        text
    }

    fn report(&self, variables: &[(&str, &str)], flags: &[&str]) -> String {
        config::check_config(&self.cli(flags), &self.env(variables)).unwrap()
    }
}

fn ini(text: &str) -> Place {
    Place::new("comet.ini", &format!("[main]\npassword = hunter2\n{text}\n"))
}

fn toml(text: &str) -> Place {
    Place::new("comet-server.toml", text)
}

fn notices(loaded: &Loaded) -> String {
    loaded
        .notices
        .iter()
        .map(|notice| format!("{notice}\n"))
        .collect()
}

#[test]
fn without_any_source_the_server_is_safe_and_useful() {
    let place = toml("");
    let Settings {
        core,
        ws,
        cometql,
        metrics_listen,
        data_dir,
        durability,
        log,
        ..
    } = place.load().settings;
    assert_eq!(ws.listen, ([127, 0, 0, 1], 8087).into());
    assert_eq!(cometql.unwrap().listen, ([127, 0, 0, 1], 3307).into());
    assert_eq!(metrics_listen, None);
    assert_eq!(data_dir, place.data_dir());
    assert_eq!(durability, Durability::Fsync);
    assert_eq!(
        (log.level, log.format, log.queries),
        (LogLevel::INFO, LogFormat::Text, false)
    );
    assert!(core.password.reveal().len() >= 32);
    // What the core uses without a file is what the table of keys says.
    let expected = comet_core::Config {
        password: core.password.clone(),
        // Depends on the machine.
        memory_limit_bytes: core.memory_limit_bytes,
        ..comet_core::Config::default()
    };
    assert!(core.memory_limit_bytes > 0);
    assert_eq!(format!("{core:?}"), format!("{expected:?}"));
    assert_eq!(
        (ws.ping_interval_ms, ws.send_buffer_bytes, ws.message_bytes_max),
        (30_000, 1 << 20, 1 << 20)
    );
    assert_eq!(
        (ws.handshake_timeout_ms, ws.shards, ws.backlog),
        (10_000, None, 4096)
    );
    assert!(
        !ws.shard_descriptors,
        "one table for all threads, unless somebody asks"
    );
}

#[test]
fn the_data_directory_is_the_users_own() {
    let cli = Cli::try_parse_from(["comet-server"]).unwrap();
    let report = |variables: &[(&str, &str)]| {
        let env: Env = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        config::check_config(&cli, &env).unwrap()
    };
    assert!(report(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")]).contains(" /x/comet-server "));
    assert!(
        report(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]).contains(" /h/.local/state/comet-server ")
    );
    assert!(report(&[]).contains(" /var/lib/comet-server "));
}

#[test]
fn later_sources_win_and_the_report_says_who() {
    let place = toml("[ws]\nport = 1\nping_interval = 7\n[main]\nnode_name = \"file\"\nqueue_max = 5\n");
    let variables = [
        ("COMET_WS_LISTEN", "127.0.0.2:2"),
        ("COMET_NODE_NAME", "variable"),
        ("COMET_PASSWORD", "p"),
    ];
    let flags = [
        "--ws-listen",
        "127.0.0.3:3",
        "--log-format",
        "json",
        "--durability",
        "os",
    ];
    let loaded = config::load(&place.cli(&flags), &place.env(&variables)).unwrap();
    assert_eq!(loaded.file.as_deref(), Some(&*place.file));
    let settings = loaded.settings;
    assert_eq!(settings.ws.listen, ([127, 0, 0, 3], 3).into());
    assert_eq!(&*settings.core.node_name, "variable");
    assert_eq!(
        (settings.core.queue_len_max, settings.ws.ping_interval_ms),
        (5, 7000)
    );
    assert_eq!(
        (settings.durability, settings.log.format),
        (Durability::Os, LogFormat::Json)
    );
    assert_eq!(settings.password_source, PasswordSource::Given);

    let report = place.report(&variables, &flags);
    for (setting, value, from) in [
        ("ws.port", "3", "--ws-listen"),
        ("ws.ip", "127.0.0.3", "--ws-listen"),
        ("main.node_name", "variable", "COMET_NODE_NAME"),
        ("main.queue_max", "5", "line 6"),
        ("ws.ack_timeout", "10", "default"),
        ("main.password", "(set, not shown)", "COMET_PASSWORD"),
    ] {
        let row = report
            .lines()
            .find(|line| line.split_whitespace().next() == Some(setting))
            .unwrap();
        assert!(
            row.contains(&format!(" {value} ")) && row.ends_with(from),
            "{row}"
        );
    }
}

#[test]
fn comet_ini_has_the_defaults_of_protocol_8_2() {
    let settings = ini("").load().settings;
    assert_eq!(settings.ws.listen, ([0, 0, 0, 0], 8087).into());
    assert_eq!(settings.log.level, LogLevel::ERROR);
    assert_eq!(
        settings.pidfile.as_deref(),
        Some(Path::new("/var/run/cppcomet.pid"))
    );
    assert_eq!(settings.core.password.reveal(), "hunter2");
    assert!(settings.content_types.is_empty() && settings.base_dir.is_none());
}

/// Extensions must be listed (protocol.md 2.1); a newcomer's page needs no list.
#[test]
fn file_types_of_a_page_are_known_without_comet_ini() {
    let types = toml("[content-type]\njs = \"text/javascript\"\nmd = \"text/markdown\"")
        .load()
        .settings
        .content_types;
    for (extension, content_type) in [
        ("html", "text/html"),
        ("js", "text/javascript"),
        ("md", "text/markdown"),
    ] {
        assert_eq!(types.get(extension).map(String::as_str), Some(content_type));
    }
    assert!(notices(&ini("base_dir = /srv").load()).contains("no file is served"));
}

#[test]
fn comet_ini_opens_the_cometql_port_only_with_threads() {
    for (text, open) in [("", false), ("thread_num = 0", false), ("thread_num = 3", true)] {
        let loaded = ini(&format!("[cometql]\n{text}")).load();
        assert_eq!(loaded.settings.cometql.is_some(), open, "{text}");
        assert_eq!(notices(&loaded).contains("no CometQL port"), !open);
    }
    let place = ini("");
    let flag = config::load(&place.cli(&["--cometql-listen", "127.0.0.1:5"]), &place.env(&[])).unwrap();
    assert_eq!(flag.settings.cometql.unwrap().listen, ([127, 0, 0, 1], 5).into());
    assert!(
        toml("[cometql]\nlisten = \"off\"")
            .load()
            .settings
            .cometql
            .is_none()
    );
}

#[test]
fn a_comet_ini_of_4_09_is_understood() {
    let place = ini(
        "node_name = Node-1 ; label\nbuf_size = 1\nuseQueryLoger = True\nsend_user_online_events = no\n\
         dev_index_size=10\nbase_dir = /srv/www\n[ws]\nip = 127.0.0.1\nport = 8088\nthread_num = 11\n\
         benchmark = 10\nhost = a.example, *.b.example\ntrusted_proxies = 10.0.0.0/8\n\
         trusted_proxies = []::1\ncluster = []Server=a,Port=1\nuptimeTestInterval = 60\nmaxUptime = 3600\n\
         [cometql]\nthread_num = 3\nmax_conditions = 20\n[db]\nhost = localhost\npassword = dbsecret\n\
         [freeswitch]\nport = 5\n[sip]\nx = y\n[statistics]\nemail = a@b\nto_log = true\n[content-type]\n\
         js = application/javascript\n[log]\nlevel = 400\nMySqlServer = 500\nUserItem = 0\n[nonsense]\na = b",
    );
    let loaded = place.load();
    let settings = &loaded.settings;
    assert_eq!(&*settings.core.node_name, "Node-1");
    assert!(settings.log.queries && settings.log.statistics && !settings.core.send_online_events);
    assert_eq!(
        (settings.core.dev_index_size, settings.core.conditions_max),
        (10, 20)
    );
    assert_eq!(settings.core.origins, ["a.example", "*.b.example"]);
    assert_eq!(
        (settings.core.ws_statistics_ms, settings.core.ws_uptime_max_ms),
        (10_000, 3_600_000)
    );
    assert!(settings.ws.trusted_proxies.contains("::1".parse().unwrap()));
    assert!(settings.ws.trusted_proxies.contains("10.1.1.1".parse().unwrap()));
    assert_eq!(
        settings.content_types.get("js").map(String::as_str),
        Some("application/javascript")
    );
    let tags = [
        (LogTag::MySqlServer, LogLevel::DEBUG),
        (LogTag::UserItem, LogLevel::OFF),
    ];
    assert_eq!(settings.log.tags, tags.into());
    assert_eq!(settings.base_dir.as_deref(), Some(Path::new("/srv/www")));

    let told = notices(&loaded);
    for word in [
        "main.buf_size",
        "ws.thread_num",
        "ws.cluster",
        "db.host",
        "db.password",
        "freeswitch.port",
        "sip.x",
        "statistics.email",
        "nonsense.a",
        "send_user_online_events = no",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(!told.contains("dbsecret"), "{told}");
    assert!(!told.contains("to_log"), "{told}");
    let report = place.report(&[], &[]);
    assert!(
        report.contains("db.host") && report.contains("CppComet"),
        "{report}"
    );
}

#[test]
fn a_wildcard_means_everybody_but_a_wildcard_host_does_not() {
    for (list, origins) in [("*", 0), ("*, a.example", 0), ("*.a.example", 1), ("", 0)] {
        let place = toml(&format!("[ws]\nhost = \"{list}\""));
        assert_eq!(place.load().settings.core.origins.len(), origins, "{list}");
    }
}

#[test]
fn q50_a_comet_ini_without_password_is_refused() {
    for text in [
        "[main]\nnode_name = x",
        "[main]\npassword =\n",
        "[main]\npassword = ; none",
    ] {
        let place = Place::new("comet.ini", text);
        let error = place.error();
        assert!(
            error.contains("main.password") && error.contains("comet.ini"),
            "{error}"
        );
        assert!(!place.data_dir().exists(), "a refused start wrote something");
        // The environment may set it.
        let loaded = config::load(&place.cli(&[]), &place.env(&[("COMET_PASSWORD", "x")])).unwrap();
        assert_eq!(loaded.settings.core.password.reveal(), "x");
    }
}

/// Somebody meant to set one; a generated one would surprise.
#[test]
fn an_empty_password_is_refused() {
    let refused = |place: &Place, args: &[&str], env: &[(&str, &str)]| {
        let error = config::load(&place.cli(args), &place.env(env))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("main.password cannot be used") && error.contains("not an empty one"),
            "{error}"
        );
        assert!(!place.data_dir().exists());
    };
    refused(&toml(""), &["--password", ""], &[]);
    refused(&toml(""), &[], &[("COMET_PASSWORD", "")]);
    refused(&toml("[main]\npassword = \"\"\n"), &[], &[]);
}

#[test]
fn a_generated_password_is_kept_for_its_owner() {
    let place = toml("");
    assert!(place.report(&[], &[]).contains("(generated)"));
    assert!(!place.data_dir().exists(), "check-config wrote something");
    let first = place.load().settings;
    let file = place.data_dir().join("password");
    assert_eq!(first.password_source, PasswordSource::File(file.clone()));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&place.data_dir())), (0o600, 0o700));
    assert_eq!(fs::read_dir(place.data_dir()).unwrap().count(), 1);
    let second = place.load();
    assert_eq!(second.settings.core.password, first.core.password);
    assert_ne!(toml("").load().settings.core.password, first.core.password);
    assert_eq!(notices(&second), "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(notices(&place.load()).contains("0600"));
    fs::write(&file, " \n").unwrap();
    assert!(place.error().contains("empty"));
}

#[test]
fn passwords_are_never_printed() {
    let place = toml("[main]\npassword = \"hunter2\"\n");
    let cli = place.cli(&["--password", "hunter2"]);
    let loaded = config::load(&cli, &place.env(&[])).unwrap();
    assert_eq!(loaded.settings.core.password.reveal(), "hunter2");
    assert!(
        !format!(
            "{loaded:?} {cli:?} {}",
            place.report(&[], &["--password", "hunter2"])
        )
        .contains("hunter2")
    );
}

#[test]
fn a_wrong_value_is_one_line_that_names_file_line_and_what_is_allowed() {
    for (text, wanted) in [
        (
            "[ws]\nport = 65536",
            ":2: ws.port = 65536 cannot be used; it must be a whole number from 0 to 65535",
        ),
        ("[ws]\nport = \"80\"", ":2: ws.port = \"80\" cannot be used"),
        (
            "[ws]\nip = \"example\"",
            ":2: ws.ip = \"example\" cannot be used; it must be an IP address",
        ),
        (
            "[ws]\nlisten = \"off\"",
            ":2: ws.listen = \"off\" cannot be used; it must be ADDR:PORT",
        ),
        (
            "[ws]\n\nprot = 1",
            ":3: unknown key ws.prot; keys of [ws] are: ip, port",
        ),
        (
            "[wss]\nport = 1",
            ":2: unknown key wss.port; sections are: main, ws",
        ),
        (
            "[ws]\nack_timeout = 0",
            ":2: ws.ack_timeout = 0 cannot be used; it must be a whole number from 1",
        ),
        (
            "[ws]\ntrusted_proxies = [\"x\"]",
            ":2: ws.trusted_proxies = [\"x\"] cannot be used; it must be IP",
        ),
        (
            "[main]\ndurability = \"never\"",
            ":2: main.durability = \"never\" cannot be used; it must be one of fsync, os",
        ),
        (
            "[main]\nuseQueryLoger = \"true\"",
            ":2: main.useQueryLoger = \"true\" cannot be used; it must be true or false",
        ),
        (
            "[log]\nlevel = \"loud\"",
            ":2: log.level = \"loud\" cannot be used; it must be off, critical",
        ),
        (
            "[main]\npassword = 5",
            ":2: main.password cannot be used; it must be a text",
        ),
        ("[main]\npassword = \"hunter2", ":2: not valid TOML"),
        ("password = \"hunter2\"", ":1: password must stand in a section"),
        (
            "[ws]\ntls_cert = \"c\"",
            ":2: ws.tls_cert is set but ws.tls_key is not",
        ),
        (
            "[cometql]\ntls_key = \"k\"",
            ":2: cometql.tls_key is set but cometql.tls_cert is not",
        ),
    ] {
        let place = toml(text);
        let error = place.error();
        assert!(error.contains(wanted), "{error}");
        assert!(error.starts_with(&place.file.display().to_string()), "{error}");
        let checked = config::check_config(&place.cli(&[]), &place.env(&[]))
            .unwrap_err()
            .to_string();
        assert_eq!(checked, error);
    }
}

#[test]
fn wrong_flags_and_variables_name_themselves() {
    let place = toml("");
    let load = |flags: &[&str], variables: &[(&str, &str)]| {
        config::load(&place.cli(flags), &place.env(variables)).map_err(|error| error.to_string())
    };
    let error = load(&["--ws-listen", "nowhere"], &[]).unwrap_err();
    assert!(
        error.starts_with("--ws-listen: ws.listen = nowhere cannot be used"),
        "{error}"
    );
    let error = load(&[], &[("COMET_LOG_LEVEL", "loud")]).unwrap_err();
    assert!(error.starts_with("COMET_LOG_LEVEL: log.level = loud"), "{error}");
    let error = load(&[], &[("COMET_USEQUERYLOGER", "perhaps")]).unwrap_err();
    assert!(error.contains("true or false"), "{error}");
    let error = load(&["--data-dir", ""], &[]).unwrap_err();
    assert!(error.contains("main.data_dir is empty"), "{error}");
    let loaded = load(&[], &[("COMET_NONSENSE", "1")]).unwrap();
    assert!(notices(&loaded).contains("COMET_NONSENSE"));
}

#[test]
fn wrong_ini_values_stop_and_unknown_keys_warn() {
    assert!(ini("[ws]\nport = 99999").error().contains(":4: ws.port = 99999"));
    assert!(ini("queue_ttl = -1").error().contains(":3: main.queue_ttl = -1"));
    assert!(
        ini("[ws\nport = 1")
            .error()
            .contains(":3: a section must look like [name]")
    );
    let loaded = ini("Node_name = x\nnonsense").load();
    assert!(notices(&loaded).contains(":3: unknown key main.Node_name"));
    assert!(notices(&loaded).contains(":4: neither a section nor key = value"));
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let place = toml("");
    let cli = Cli::try_parse_from(["comet-server", "--conf", "/no/such/file.toml"]).unwrap();
    let error = config::load(&cli, &place.env(&[])).unwrap_err().to_string();
    assert!(error.starts_with("/no/such/file.toml: "), "{error}");
    let dir = place.dir.path().display().to_string();
    let cli = Cli::try_parse_from(["comet-server", "check-config", &dir]).unwrap();
    assert!(
        config::check_config(&cli, &place.env(&[]))
            .unwrap_err()
            .to_string()
            .contains("directory")
    );
    let env = place.env(&[("COMET_CONFIG", &place.file.display().to_string())]);
    let cli = Cli::try_parse_from(["comet-server"]).unwrap();
    assert_eq!(config::load(&cli, &env).unwrap().file, Some(place.file));
}

#[test]
fn the_language_of_a_file_is_its_extension_or_else_its_content() {
    let ini_text = "[main]\npassword = hunter2 ; x\n";
    let settings = Place::new("comet.conf", ini_text).load().settings;
    assert_eq!(settings.core.password.reveal(), "hunter2");
    let settings = Place::new("comet.conf", "[main]\npassword = \"hunter2\"\n")
        .load()
        .settings;
    assert_eq!(settings.core.password.reveal(), "hunter2");
    assert!(
        Place::new("comet.toml", ini_text)
            .error()
            .contains(":2: not valid TOML")
    );
}

#[test]
fn old_character_sets_may_stand_in_comments_only() {
    let place = ini("");
    fs::write(
        &place.file,
        b"; \xcf\xf0\xe8\xe2\xe5\xf2\n[main]\npassword = hunter2 # \xff\n",
    )
    .unwrap();
    assert_eq!(place.load().settings.core.password.reveal(), "hunter2");
    fs::write(&place.file, b"[main]\npassword = hunter2\xff\n").unwrap();
    assert!(place.error().contains(":2: main.password cannot be used"));
}

/// protocol.md 8.6: a tenant's section changes what it names, for this tenant alone; what is misspelt is told.
#[test]
fn a_tenant_has_rules_of_its_own() {
    let text = "[ws]\nhost = example.com\n[dev-7]\nsessions = 0\ntenant_statements = 3\norigins = other.org,null\n\
                [dev-0]\nburst = 2\n[limits]\nuser_messages = 5\n[quota]\nsessions = 9\n";
    let quoted = text.replace("example.com", "\"example.com\"");
    let quoted = quoted.replace("other.org,null", "[\"other.org\", \"null\"]");
    for place in [ini(text), toml(&quoted)] {
        let core = place.load().settings.core;
        let (seven, zero) = (&core.tenant_rules[&DevId(7)], &core.tenant_rules[&DevId(0)]);
        assert_eq!(core.tenant_rules.len(), 2);
        let told = [&core.rules, seven, zero].map(|rules| {
            let rates = rules.rates;
            let sessions = rules.quota.sessions;
            (sessions, rates.statements, rates.user.messages, rates.burst_s)
        });
        assert_eq!(told, [(9, 0, 5, 5), (0, 3, 5, 5), (9, 0, 5, 2)]);
        assert_eq!(seven.origins.as_deref().unwrap(), ["other.org", "null"]);
        assert_eq!(zero.origins, None);
        let report = place.report(&[], &[]);
        for (name, value) in [
            ("dev-7.sessions", "0"),
            ("dev-7.origins", "other.org"),
            ("quota.sessions", "9"),
        ] {
            let mut lines = report.lines();
            let line = lines.find(|line| line.starts_with(&format!("{name} ")));
            assert!(line.unwrap().contains(value), "{report}");
        }
    }
    let file = |section: &str| format!("[{section}]\nsessions = 1\n");
    assert!(toml(&file("dev-100000")).error().contains("no tenant 100000"));
    for section in ["dev-07", "dev-", "dev--1", "dev-1x", "dev-99999999999", "dev"] {
        assert!(toml(&file(section)).error().contains(section), "{section}");
        let loaded = ini(&file(section)).load();
        assert!(loaded.settings.core.tenant_rules.is_empty(), "{section}");
        assert!(notices(&loaded).contains(section), "{section}");
    }
    assert!(toml("[dev-1]\nsesions = 1\n").error().contains("sessions"));
    assert!(
        toml("[dev-1]\nsessions = -1\n")
            .error()
            .contains("dev-1.sessions")
    );
}
