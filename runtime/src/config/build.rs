//! Typed settings from checked values. What a single key cannot know is checked here: pairs of keys, and what the
//! core demands.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use comet_core::{Config, DevId, Secret};

use super::resolve::{Dialect, Origin, Resolved};
use super::rules;
use super::value::Value;
use super::{
    CometQlSettings, Durability, LogFormat, LogLevel, LogSettings, LogTag, PageSettings, PasswordSource,
    RecordSettings, Settings, SettingsError, Switch, TlsFiles, TrustedProxies, WsSettings,
};

/// Makes settings without touching the disk. A missing password is left empty for `password` to fill, unless a
/// comet.ini was read: there it must be set (Q50).
pub(super) fn build(resolved: &Resolved, console: bool) -> Result<Settings, SettingsError> {
    let get = Values(resolved);
    let core = core(&get)?;
    if core.password.reveal().is_empty()
        && let Some((path, Dialect::Ini)) = &resolved.file
    {
        return Err(SettingsError::new(format!(
            "{}: main.password is not set; without it anybody could control the server",
            path.display()
        )));
    }
    let data_dir = PathBuf::from(get.text("main.data_dir"));
    if data_dir.as_os_str().is_empty() {
        return Err(SettingsError::new(
            "main.data_dir is empty; it must be a directory",
        ));
    }
    let cometql = match get.number("cometql.thread_num") {
        0 => None,
        _ => Some(cometql(&get)?),
    };
    Ok(Settings {
        core,
        ws: ws(&get)?,
        cometql,
        record: record(&get),
        login_failures_max: get.count("main.login_failures"),
        metrics_listen: get.listen("metrics.listen"),
        data_dir,
        durability: if get.text("main.durability") == "os" {
            Durability::Os
        } else {
            Durability::Fsync
        },
        base_dir: get.path("main.base_dir"),
        content_types: content_types(resolved),
        pages: pages(&get)?,
        pidfile: get.path("main.pidfile"),
        log: log(&get),
        console,
        password_source: PasswordSource::Given,
    })
}

fn core(get: &Values<'_>) -> Result<Config, SettingsError> {
    let common = rules::common(get.0);
    let tenant_rules = rules::of_tenants(get.0, &common, get.count("main.dev_index_size"), origins)?;
    let config = Config {
        password: get.secret("main.password"),
        node_name: get.text("main.node_name").into(),
        dev_index_size: get.count("main.dev_index_size"),
        origins: origins(get.list("ws.host")),
        send_online_events: get.flag("main.send_user_online_events"),
        send_offline_events: get.flag("main.send_user_offline_events"),
        save_last_online: get.flag("main.save_users_last_online_time"),
        body_bytes_max: get.size("main.max_message_body"),
        devices_per_user_max: get.size("main.max_devices_per_user"),
        queue_ttl_ms: get.seconds_as_ms("main.queue_ttl"),
        queue_len_max: get.size("main.queue_max"),
        delivery_window_bytes: get.size("main.delivery_window"),
        reload_grace_ms: get.seconds_as_ms("main.reload_grace"),
        // A part of the send buffer, so that private messages alone can never overflow it.
        private_window_bytes: Config::default()
            .private_window_bytes
            .min(get.size("ws.send_buffer") / 4),
        ack_timeout_ms: get.seconds_as_ms("ws.ack_timeout"),
        address_connections_max: get.count("ws.max_connections_per_address"),
        rules: common,
        tenant_rules,
        key_failures_max: get.count("ws.key_failures"),
        private_addresses_are_clients: !get.list("ws.trusted_proxies").is_empty(),
        subscriptions_max: get.size("ws.max_subscriptions"),
        commands_per_second_max: get.count("ws.max_commands_per_second"),
        ws_uptime_max_ms: get.seconds_as_ms("ws.maxUptime"),
        ws_uptime_sweep_ms: get.seconds_as_ms("ws.uptimeTestInterval"),
        cometql_uptime_max_ms: get.seconds_as_ms("cometql.maxUptime"),
        cometql_uptime_sweep_ms: get.seconds_as_ms("cometql.uptimeTestInterval"),
        ws_statistics_ms: get.seconds_as_ms("ws.statistics"),
        cometql_statistics_ms: get.seconds_as_ms("cometql.statistics"),
        memory_limit_bytes: get
            .number_if_set("main.memory_limit")
            .unwrap_or_else(crate::host::memory_budget),
        query_bytes_max: get.size("cometql.max_query"),
        conditions_max: get.size("cometql.max_conditions"),
        ..Config::default()
    };
    // The password may still be missing; everything else must suit the core.
    let probe = Config {
        password: Secret::new("set"),
        ..config.clone()
    };
    probe.check().map_err(|error| SettingsError::new(error.text()))?;
    Ok(config)
}

fn ws(get: &Values<'_>) -> Result<WsSettings, SettingsError> {
    Ok(WsSettings {
        listen: get.address("ws"),
        tls: get.tls("ws")?,
        backlog: get.backlog("ws"),
        ping_interval_ms: get.seconds_as_ms("ws.ping_interval"),
        send_buffer_bytes: get.size("ws.send_buffer"),
        message_bytes_max: get.size("ws.max_message_size"),
        trusted_proxies: TrustedProxies::parse(get.list("ws.trusted_proxies").iter().map(String::as_str))
            .unwrap_or_default(),
        handshake_timeout_ms: get.seconds_as_ms("ws.handshake_timeout"),
        handshakes_max: get.size("ws.max_handshakes"),
        accepts_per_second_max: get.number("ws.max_accepts_per_address"),
        shards: get
            .number_if_set("ws.shards")
            .and_then(|shards| usize::try_from(shards).ok()),
        shard_descriptors: get.flag("ws.shard_descriptors"),
    })
}

fn cometql(get: &Values<'_>) -> Result<CometQlSettings, SettingsError> {
    Ok(CometQlSettings {
        listen: get.address("cometql"),
        tls: get.tls("cometql")?,
        backlog: get.backlog("cometql"),
        prepared_max: get.size("cometql.max_prepared"),
        handshake_timeout_ms: get.seconds_as_ms("cometql.handshake_timeout"),
        handshakes_max: get.size("cometql.max_handshakes"),
    })
}

fn record(get: &Values<'_>) -> Option<RecordSettings> {
    Some(RecordSettings {
        dir: get.path("record.dir")?,
        segment_bytes: get.size("record.segment_size"),
        segments: get.size("record.segments"),
        redact: get.flag("record.redact"),
    })
}

/// The demonstration makes and removes users: it must not meet those of a site by accident.
fn pages(get: &Values<'_>) -> Result<PageSettings, SettingsError> {
    let tenants = get.number("main.dev_index_size");
    let chosen = get.number_if_set("main.demo_dev_id");
    let dev = chosen.unwrap_or(tenants - 1);
    if dev >= tenants {
        return Err(SettingsError::new(format!(
            "main.demo_dev_id is {dev}; it must be below main.dev_index_size, which is {tenants}"
        )));
    }
    let demo = match get.switch("main.demo") {
        Switch::Auto if chosen.is_none() && tenants == 1 => Switch::Off,
        Switch::On if chosen.is_none() && tenants == 1 => {
            return Err(SettingsError::new(
                "main.demo is on, but the only tenant belongs to the site; main.demo_dev_id = 0 lets them share it",
            ));
        }
        switch @ (Switch::Auto | Switch::On | Switch::Off) => switch,
    };
    Ok(PageSettings {
        console: get.switch("main.console"),
        demo,
        demo_dev: DevId(u32::try_from(dev).unwrap_or(u32::MAX)),
    })
}

fn log(get: &Values<'_>) -> LogSettings {
    let level_of = |tag: &LogTag| Some((*tag, get.level(&format!("log.{}", tag.name()))?));
    LogSettings {
        level: get.level("log.level").unwrap_or(LogLevel::INFO),
        format: if get.text("log.format") == "json" {
            LogFormat::Json
        } else {
            LogFormat::Text
        },
        tags: LogTag::ALL.iter().filter_map(level_of).collect(),
        queries: get.flag("main.useQueryLoger"),
        statistics: get.flag("statistics.to_log"),
    }
}

/// `*` anywhere means everybody (protocol.md 2.2); `*.example.com` is an entry like any other.
fn origins(list: &[String]) -> Vec<String> {
    if list.iter().any(|entry| entry == "*") {
        Vec::new()
    } else {
        list.to_vec()
    }
}

fn content_types(resolved: &Resolved) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for (name, value, _) in resolved.all() {
        if let (Some(extension), Value::Text(text)) = (name.strip_prefix("content-type."), value) {
            types.insert(extension.to_owned(), text.clone());
        }
    }
    types
}

/// Reads values by name. A name that is missing or has another kind is a mistake in `keys`, found by any test.
struct Values<'a>(&'a Resolved);

impl Values<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).map(|(value, _)| value)
    }

    fn text(&self, name: &str) -> &str {
        let Some(Value::Text(text)) = self.value(name) else {
            panic!("{name} is a text with a default")
        };
        text
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.text(name))
            .filter(|text| !text.is_empty())
            .map(PathBuf::from)
    }

    fn secret(&self, name: &str) -> Secret {
        if let Some(Value::Secret(secret)) = self.value(name) {
            secret.clone()
        } else {
            Secret::new("")
        }
    }

    fn flag(&self, name: &str) -> bool {
        let Some(Value::Flag(flag)) = self.value(name) else {
            panic!("{name} is a flag with a default")
        };
        *flag
    }

    fn switch(&self, name: &str) -> Switch {
        let Some(Value::Switch(switch)) = self.value(name) else {
            panic!("{name} is a switch with a default")
        };
        *switch
    }

    fn number_if_set(&self, name: &str) -> Option<u64> {
        let Value::Number(number) = self.value(name)? else {
            panic!("{name} is a number")
        };
        Some(*number)
    }

    fn number(&self, name: &str) -> u64 {
        self.number_if_set(name)
            .unwrap_or_else(|| panic!("{name} has a default"))
    }

    /// The bounds in `keys` fit into `usize` on every machine this runs on.
    fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(usize::MAX)
    }

    fn count(&self, name: &str) -> u32 {
        u32::try_from(self.number(name)).unwrap_or(u32::MAX)
    }

    fn seconds_as_ms(&self, name: &str) -> u64 {
        self.number(name).saturating_mul(1000)
    }

    fn list(&self, name: &str) -> &[String] {
        let Some(Value::List(list)) = self.value(name) else {
            panic!("{name} is a list with a default")
        };
        list
    }

    fn level(&self, name: &str) -> Option<LogLevel> {
        let Value::Level(level) = self.value(name)? else {
            panic!("{name} is a level")
        };
        Some(*level)
    }

    fn listen(&self, name: &str) -> Option<SocketAddr> {
        let Some(Value::Listen(listen)) = self.value(name) else {
            panic!("{name} is an address")
        };
        *listen
    }

    fn address(&self, section: &str) -> SocketAddr {
        let Some(Value::Ip(ip)) = self.value(&format!("{section}.ip")) else {
            panic!("{section}.ip is set")
        };
        let port = u16::try_from(self.number(&format!("{section}.port"))).expect("ports are bounded");
        SocketAddr::new(*ip, port)
    }

    fn backlog(&self, section: &str) -> u32 {
        u32::try_from(self.number(&format!("{section}.backlog"))).unwrap_or(u32::MAX)
    }

    /// Both files or none.
    fn tls(&self, section: &str) -> Result<Option<TlsFiles>, SettingsError> {
        let [cert, key] = ["tls_cert", "tls_key"].map(|name| format!("{section}.{name}"));
        match (self.path(&cert), self.path(&key)) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
            (Some(_), None) => Err(self.lonely(&cert, &key)),
            (None, Some(_)) => Err(self.lonely(&key, &cert)),
        }
    }

    fn lonely(&self, set: &str, missing: &str) -> SettingsError {
        let origin = self.0.get(set).map_or(&Origin::Default, |(_, origin)| origin);
        SettingsError::new(format!(
            "{origin}: {set} is set but {missing} is not; TLS needs both"
        ))
    }
}
