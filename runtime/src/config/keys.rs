//! Every key there is (protocol.md 8.2 and the new ones), in one table: its kind and its default. Environment names
//! follow by rule: `COMET_<SECTION>_<KEY>` in capitals, without the section for `main`.

use super::value::Kind;
use crate::logging::LogTag;

/// A key that has an effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// `section.key`.
    pub(super) name: &'static str,
    /// What it wants.
    pub(super) kind: Kind,
    /// Its value without any source; `None` = not set.
    pub(super) default: Option<&'static str>,
}

/// What a name found in a file or the environment means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// It sets something.
    Known(Kind),
    /// It is understood and has no effect, for this reason.
    Ignored(&'static str),
    /// Nobody knows it.
    Unknown,
}

const fn key(name: &'static str, kind: Kind, default: &'static str) -> Key {
    Key {
        name,
        kind,
        default: Some(default),
    }
}

const fn unset(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        kind,
        default: None,
    }
}

const fn number(name: &'static str, min: u64, max: u64, default: &'static str) -> Key {
    key(name, Kind::Number { min, max }, default)
}

const DAY_S: u64 = 86_400;
const CENTURY_S: u64 = 36_525 * DAY_S;
const GIB: u64 = 1 << 30;
const TENANTS_MAX: u64 = 1_000_000;
const QUOTA_MAX: u64 = 1 << 50;

/// The table. Times are in seconds and sizes in bytes, as in comet.ini.
pub(super) const KEYS: &[Key] = &[
    unset("main.password", Kind::Secret),
    key("main.node_name", Kind::Text, "NoName"),
    number("main.dev_index_size", 1, TENANTS_MAX, "100000"),
    unset("main.data_dir", Kind::Text),
    key("main.durability", Kind::Word(&["fsync", "os"]), "fsync"),
    key("main.base_dir", Kind::Text, ""),
    key("main.pidfile", Kind::Text, ""),
    key("main.send_user_online_events", Kind::Flag, "true"),
    key("main.send_user_offline_events", Kind::Flag, "true"),
    key("main.save_users_last_online_time", Kind::Flag, "true"),
    key("main.useQueryLoger", Kind::Flag, "false"),
    number("main.max_message_body", 1, GIB, "262144"),
    number("main.max_devices_per_user", 1, 65_535, "16"),
    number("main.login_failures", 0, 1_000_000, "5"),
    number("main.queue_ttl", 0, CENTURY_S, "0"),
    number("main.queue_max", 0, GIB, "0"),
    number("main.delivery_window", 0, 64 * GIB, "8388608"),
    // What the machine has decides, unless somebody says it.
    unset("main.memory_limit", Kind::Bytes { max: 1 << 50 }),
    number("main.reload_grace", 0, 30 * DAY_S, "60"),
    key("main.console", Kind::Switch, "auto"),
    key("main.demo", Kind::Switch, "auto"),
    // The last tenant unless somebody says otherwise.
    unset(
        "main.demo_dev_id",
        Kind::Number {
            min: 0,
            max: TENANTS_MAX - 1,
        },
    ),
    key("ws.ip", Kind::Ip, "127.0.0.1"),
    number("ws.port", 0, 65_535, "8087"),
    key("ws.tls_cert", Kind::Text, ""),
    key("ws.tls_key", Kind::Text, ""),
    key("ws.host", Kind::List, "*"),
    number("ws.statistics", 0, DAY_S, "0"),
    number("ws.uptimeTestInterval", 0, CENTURY_S, "0"),
    number("ws.maxUptime", 0, CENTURY_S, "0"),
    number("ws.backlog", 1, 65_535, "4096"),
    number("ws.ping_interval", 0, DAY_S, "30"),
    // A redelivery must fall into the three minutes a page remembers message ids (protocol.md 5.1).
    number("ws.ack_timeout", 1, 120, "10"),
    number("ws.send_buffer", 1024, 64 * GIB, "1048576"),
    number("ws.max_message_size", 1024, GIB, "1048576"),
    number("ws.max_subscriptions", 0, 1_000_000, "256"),
    number("ws.max_commands_per_second", 0, 1_000_000, "0"),
    number("ws.key_failures", 0, 1_000_000, "20"),
    number("ws.handshake_timeout", 1, 3600, "10"),
    number("ws.max_handshakes", 1, 10_000_000, "4096"),
    number("ws.max_accepts_per_address", 0, 1_000_000, "0"),
    number("ws.max_connections_per_address", 0, 10_000_000, "0"),
    unset("ws.shards", Kind::Number { min: 1, max: 1024 }),
    key("ws.shard_descriptors", Kind::Flag, "false"),
    key("ws.trusted_proxies", Kind::Networks, ""),
    key("cometql.ip", Kind::Ip, "127.0.0.1"),
    number("cometql.port", 0, 65_535, "3307"),
    // Only 0 or not 0 matters: 0 switches the port off.
    number("cometql.thread_num", 0, 65_535, "1"),
    key("cometql.tls_cert", Kind::Text, ""),
    key("cometql.tls_key", Kind::Text, ""),
    number("cometql.statistics", 0, DAY_S, "0"),
    number("cometql.uptimeTestInterval", 0, CENTURY_S, "0"),
    number("cometql.maxUptime", 0, CENTURY_S, "0"),
    number("cometql.backlog", 1, 65_535, "4096"),
    number("cometql.max_query", 4, GIB, "1048576"),
    number("cometql.max_prepared", 0, 1_000_000, "256"),
    number("cometql.max_conditions", 1, 1000, "10"),
    number("cometql.handshake_timeout", 1, 3600, "10"),
    key("record.dir", Kind::Text, ""),
    number("record.segment_size", 4096, 64 * GIB, "134217728"),
    number("record.segments", 2, 1_000_000, "4"),
    key("record.redact", Kind::Flag, "false"),
    number("cometql.max_handshakes", 1, 1_000_000, "512"),
    number("limits.connection_commands", 0, 1_000_000, "0"),
    number("limits.connection_messages", 0, 1_000_000, "0"),
    number("limits.connection_subscriptions", 0, 1_000_000, "0"),
    number("limits.user_commands", 0, 1_000_000, "0"),
    number("limits.user_messages", 0, 1_000_000, "0"),
    number("limits.user_subscriptions", 0, 1_000_000, "0"),
    number("limits.tenant_commands", 0, 1_000_000, "0"),
    number("limits.tenant_messages", 0, 1_000_000, "0"),
    number("limits.tenant_subscriptions", 0, 1_000_000, "0"),
    number("limits.tenant_statements", 0, 1_000_000, "0"),
    number("limits.burst", 1, 3600, "5"),
    number("quota.connections", 0, QUOTA_MAX, "0"),
    number("quota.sessions", 0, QUOTA_MAX, "0"),
    number("quota.users_online", 0, QUOTA_MAX, "0"),
    number("quota.subscriptions", 0, QUOTA_MAX, "0"),
    number("quota.users", 0, QUOTA_MAX, "0"),
    number("quota.channels", 0, QUOTA_MAX, "0"),
    number("quota.messages", 0, QUOTA_MAX, "0"),
    number("quota.bytes", 0, QUOTA_MAX, "0"),
    key("metrics.listen", Kind::Listen, "off"),
    key("statistics.to_log", Kind::Flag, "false"),
    key("log.level", Kind::Level, "info"),
    key("log.format", Kind::Word(&["text", "json"]), "text"),
];

/// Defaults that differ once a comet.ini is read (protocol.md 8.2).
pub(super) const INI_DEFAULTS: &[(&str, &str)] = &[
    ("ws.ip", "0.0.0.0"),
    ("cometql.ip", "0.0.0.0"),
    ("cometql.thread_num", "0"),
    ("main.pidfile", "/var/run/cppcomet.pid"),
    ("log.level", "200"),
    // Such a server is in production, often behind a proxy on the same machine.
    ("main.console", "off"),
    ("main.demo", "off"),
];

/// File types a page is made of: served from `main.base_dir` without asking, but for comet.ini, which lists its own.
pub(super) const CONTENT_TYPES: &[(&str, &str)] = &[
    ("content-type.css", "text/css"),
    ("content-type.gif", "image/gif"),
    ("content-type.html", "text/html"),
    ("content-type.ico", "image/x-icon"),
    ("content-type.jpg", "image/jpeg"),
    ("content-type.js", "application/javascript"),
    ("content-type.json", "application/json"),
    ("content-type.png", "image/png"),
    ("content-type.svg", "image/svg+xml"),
    ("content-type.txt", "text/plain"),
    ("content-type.webp", "image/webp"),
    ("content-type.woff2", "font/woff2"),
];

/// `section.key`, or `section.*` for all of a section, that is accepted without effect, and why.
const IGNORED: &[(&str, &str)] = &[
    ("main.buf_size", BUFFERS),
    ("main.answer_buf_size", BUFFERS),
    ("main.fragment_buf_size", BUFFERS),
    ("main.fragment_buf_max_size", BUFFERS),
    ("ws.epoll_size", BUFFERS),
    ("cometql.epoll_size", BUFFERS),
    (
        "db.*",
        "the state is kept in a store of our own in main.data_dir, not in MySQL",
    ),
    (
        "ws.thread_num",
        "there is one I/O thread for every CPU; ws.shards sets another number",
    ),
    ("ws.cluster", CLUSTER),
    ("cometqlproxy.*", CLUSTER),
    ("freeswitch.*", VIDEO),
    ("sip.*", VIDEO),
    ("statistics.allow", NOTHING_IS_SENT),
    ("statistics.interval", NOTHING_IS_SENT),
    ("statistics.host", NOTHING_IS_SENT),
    ("statistics.email", NOTHING_IS_SENT),
];

const BUFFERS: &str = "buffers grow and shrink by themselves";
const CLUSTER: &str = "this server runs alone, there is no cluster mode";
const VIDEO: &str = "the video add-on is not part of this server";
const NOTHING_IS_SENT: &str = "nothing is ever sent to anybody (Q52)";

/// What a name means.
pub(super) fn meaning(name: &str) -> Meaning {
    if let Some(key) = KEYS.iter().find(|key| key.name == name) {
        return Meaning::Known(key.kind);
    }
    let (section, key) = name.split_once('.').unwrap_or((name, ""));
    match section {
        // Stands for ip and port together.
        "ws" | "cometql" if key == "listen" => return Meaning::Known(Kind::Listen),
        "content-type" if !key.is_empty() => return Meaning::Known(Kind::Text),
        "log" if LogTag::parse(key).is_some() => return Meaning::Known(Kind::Level),
        _ if tenant_of(section).is_some() => {
            return of_tenant(key).map_or(Meaning::Unknown, Meaning::Known);
        }
        _ => {}
    }
    let ignored = |entry: &&(&str, &str)| entry.0 == name || entry.0.strip_suffix(".*") == Some(section);
    IGNORED
        .iter()
        .find(ignored)
        .map_or(Meaning::Unknown, |(_, why)| Meaning::Ignored(why))
}

/// The tenant of a section `dev-N`.
pub(super) fn tenant_of(section: &str) -> Option<u32> {
    let digits = section.strip_prefix("dev-")?;
    let is_canonical = digits == "0" || !digits.starts_with('0');
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_canonical && is_number).then(|| digits.parse().ok())?
}

/// What a key means in the section of a tenant: any of `[limits]` and `[quota]`, and the tenant's origins.
fn of_tenant(key: &str) -> Option<Kind> {
    if key == ORIGINS {
        return Some(Kind::List);
    }
    let of_all =
        |known: &&Key| matches!(known.name.split_once('.'), Some(("limits" | "quota", own)) if own == key);
    KEYS.iter().find(of_all).map(|known| known.kind)
}

/// The key of a tenant's own list of origins.
pub(super) const ORIGINS: &str = "origins";

/// Older spelling to newer.
pub(super) fn alias(name: &str) -> &str {
    match name {
        "ws.benchmark" => "ws.statistics",
        "cometql.benchmark" => "cometql.statistics",
        _ => name,
    }
}

/// The variable that sets a key.
pub(super) fn variable(name: &str) -> String {
    let short = name.strip_prefix("main.").unwrap_or(name);
    format!("COMET_{}", short.replace('.', "_").to_ascii_uppercase())
}

/// The key a variable sets.
pub(super) fn of_variable(name: &str) -> Option<&'static str> {
    let listen = ["ws.listen", "cometql.listen"].into_iter();
    KEYS.iter()
        .map(|key| key.name)
        .chain(listen)
        .find(|key| variable(key) == name)
}

/// The keys of a section, for whoever mistyped one.
pub(super) fn keys_of(section: &str) -> Vec<&'static str> {
    let own = KEYS.iter().filter_map(|key| key.name.split_once('.'));
    if tenant_of(section).is_some() {
        let shared = own.filter(|(of, _)| matches!(*of, "limits" | "quota"));
        return shared.map(|(_, key)| key).chain([ORIGINS]).collect();
    }
    own.filter(|(of, _)| *of == section).map(|(_, key)| key).collect()
}

/// The sections that hold keys with an effect.
pub(super) const SECTIONS: &str =
    "main, ws, cometql, limits, quota, dev-N, record, metrics, statistics, log, content-type";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::value::Raw;
    use super::*;

    #[test]
    fn every_default_is_allowed_and_every_name_is_there_once() {
        for key in KEYS {
            let raw = key.default.map(|text| Raw::Ini(text.to_owned()));
            assert!(
                raw.is_none_or(|raw| key.kind.parse(&raw).is_some()),
                "{}",
                key.name
            );
        }
        let names: BTreeSet<_> = KEYS.iter().map(|key| variable(key.name)).collect();
        assert_eq!(names.len(), KEYS.len());
        for (name, value) in INI_DEFAULTS {
            let Meaning::Known(kind) = meaning(name) else {
                panic!("{name}")
            };
            assert!(kind.parse(&Raw::Ini((*value).to_owned())).is_some(), "{name}");
        }
    }

    #[test]
    fn variables_have_the_promised_names() {
        for (variable, key) in [
            ("COMET_PASSWORD", "main.password"),
            ("COMET_WS_LISTEN", "ws.listen"),
            ("COMET_COMETQL_LISTEN", "cometql.listen"),
            ("COMET_METRICS_LISTEN", "metrics.listen"),
            ("COMET_DATA_DIR", "main.data_dir"),
            ("COMET_DURABILITY", "main.durability"),
            ("COMET_LOG_LEVEL", "log.level"),
            ("COMET_LOG_FORMAT", "log.format"),
        ] {
            assert_eq!(of_variable(variable), Some(key));
        }
        assert_eq!(of_variable("COMET_NONSENSE"), None);
    }

    #[test]
    fn names_of_4_09_without_effect_are_known() {
        for name in [
            "db.host",
            "sip.x",
            "main.buf_size",
            "ws.cluster",
            "statistics.email",
            "db.buf_size",
        ] {
            assert!(matches!(meaning(name), Meaning::Ignored(_)), "{name}");
        }
        for name in ["log.dbLink", "content-type.js", "ws.listen"] {
            assert!(matches!(meaning(name), Meaning::Known(_)), "{name}");
        }
        for name in [
            "log.dblink",
            "ws.prot",
            "Main.password",
            "main.listen",
            "dbx.host",
        ] {
            assert!(matches!(meaning(name), Meaning::Unknown), "{name}");
        }
    }
}
