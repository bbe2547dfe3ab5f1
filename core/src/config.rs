//! Every limit and switch the core obeys, in one struct, units in the names (protocol.md 8.2 gives the keys).
//!
//! `Config::check` turns it into a `CheckedConfig`; the core takes nothing else, so no rule asks again.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::DevId;
use crate::name::Secret;
use crate::rules::Rules;

/// Settings of the core. `Default` is what a server without a configuration file uses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `main.password`: CometQL password and base of the JWT secret. Must not be empty (Q50).
    pub password: Secret,
    /// `main.node_name`: label in logs and `/info`.
    pub node_name: Arc<str>,
    /// Product and version as told in F1 and `version_comment`.
    pub product: Arc<str>,
    /// `main.dev_index_size`: dev_ids are 0 … this-1. At least 1.
    pub dev_index_size: u32,
    /// `ws.host`: Origins that may connect; empty = everybody (protocol.md 2.2).
    pub origins: Vec<String>,
    /// `main.send_user_online_events`: F7 `online`.
    pub send_online_events: bool,
    /// `main.send_user_offline_events`: F7 `offline`.
    pub send_offline_events: bool,
    /// `main.save_users_last_online_time`: keep users_time across restarts.
    pub save_last_online: bool,
    /// `main.max_message_body`: longest message or user data, bytes.
    pub body_bytes_max: usize,
    /// `main.max_devices_per_user` (Q29). At least 1.
    pub devices_per_user_max: usize,
    /// `main.queue_ttl`: a private message older than this is dropped; 0 = never (Q71).
    pub queue_ttl_ms: u64,
    /// `main.queue_max`: unpaid private messages per user; 0 = no limit.
    pub queue_len_max: usize,
    /// `main.delivery_window`: what EXPLAIN DELIVERY remembers, bytes of all tenants together; 0 = nothing.
    pub delivery_window_bytes: usize,
    /// `main.reload_grace`: how long a vanished device keeps its claim (protocol.md 5.1).
    pub reload_grace_ms: u64,
    /// Private messages on their way to one connection and not acknowledged, bytes of frames; at least one message
    /// is always allowed. Well below the runtime's send buffer, and little enough for a slow phone to take within
    /// `ack_timeout`.
    pub private_window_bytes: usize,
    /// `ws.ack_timeout`: a connection that leaves a probe unanswered, or whose page acknowledges nothing, this long is
    /// dropped. At least 1.
    pub ack_timeout_ms: u64,
    /// How long the server remembers the messages that pages sent with a send key (protocol-v5.md 3).
    pub send_memory_ms: u64,
    /// How many of them at most.
    pub send_memory_max: usize,
    /// `ws.max_connections_per_address`: open connections of one address (of one IPv6 /64); 0 = any number. Private
    /// addresses are counted as for wrong keys.
    pub address_connections_max: u32,
    /// What a tenant may use, unless it has rules of its own.
    pub rules: Rules,
    /// Tenants with rules of their own: sections `dev-N`.
    pub tenant_rules: BTreeMap<DevId, Rules>,
    /// `ws.key_failures`: wrong keys of one user from one address that are free, and in each minute; 0 = any number.
    pub key_failures_max: u32,
    /// Addresses of private networks are those of browsers (proxies are known); else they may be a proxy's, behind which
    /// everybody has the same, and wrong keys are not counted for them.
    pub private_addresses_are_clients: bool,
    /// `ws.max_subscriptions`: channels per connection.
    pub subscriptions_max: usize,
    /// Longest piece of a channel's list of recipients (docs/architecture.md, fan-out). At least 2; at 1,024 its copy
    /// is 8 KiB.
    pub recipients_piece_max: usize,
    /// `ws.max_commands_per_second` per connection, 0 = no limit (Q63).
    pub commands_per_second_max: u32,
    /// `ws.maxUptime`: connections older than this are dropped by the sweep; 0 = never (Q51).
    pub ws_uptime_max_ms: u64,
    /// `ws.uptimeTestInterval`: time between sweeps; 0 = no sweep.
    pub ws_uptime_sweep_ms: u64,
    /// `cometql.maxUptime`, as above for CometQL sessions.
    pub cometql_uptime_max_ms: u64,
    /// `cometql.uptimeTestInterval`, as above.
    pub cometql_uptime_sweep_ms: u64,
    /// `ws.statistics`: time between rate measurements; 0 = off.
    pub ws_statistics_ms: u64,
    /// `cometql.statistics`, as above.
    pub cometql_statistics_ms: u64,
    /// `main.memory_limit`, bytes of the budget of protocol.md 8.7; 0 = no limit.
    pub memory_limit_bytes: u64,
    /// `cometql.max_query`: longest statement, bytes.
    pub query_bytes_max: usize,
    /// `cometql.max_conditions`: conditions in one WHERE (error 18).
    pub conditions_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            password: Secret::new(""),
            node_name: "NoName".into(),
            product: concat!("comet-server ", env!("CARGO_PKG_VERSION")).into(),
            dev_index_size: 100_000,
            origins: Vec::new(),
            send_online_events: true,
            send_offline_events: true,
            save_last_online: true,
            body_bytes_max: 262_144,
            devices_per_user_max: 16,
            queue_ttl_ms: 0,
            queue_len_max: 0,
            delivery_window_bytes: 8 << 20,
            reload_grace_ms: 60_000,
            private_window_bytes: 65_536,
            ack_timeout_ms: 10_000,
            send_memory_ms: 120_000,
            send_memory_max: 131_072,
            address_connections_max: 0,
            rules: Rules::default(),
            tenant_rules: BTreeMap::new(),
            key_failures_max: 20,
            private_addresses_are_clients: false,
            subscriptions_max: 256,
            recipients_piece_max: 1024,
            commands_per_second_max: 0,
            ws_uptime_max_ms: 0,
            ws_uptime_sweep_ms: 0,
            cometql_uptime_max_ms: 0,
            cometql_uptime_sweep_ms: 0,
            ws_statistics_ms: 0,
            cometql_statistics_ms: 0,
            memory_limit_bytes: 0,
            query_bytes_max: 1 << 20,
            conditions_max: 10,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// `main.password` is empty.
    NoPassword,
    /// `main.dev_index_size` is 0.
    NoTenants,
    /// `main.max_devices_per_user` is 0.
    NoDevices,
    /// `ws.ack_timeout` is 0.
    NoAckTimeout,
    /// `private_window_bytes` is 0.
    NoWindow,
    /// `recipients_piece_max` is under 2: a piece could not be split.
    NoPieces,
    /// `main.max_message_body` is 0.
    NoBody,
    /// `cometql.max_query` is under the 4 bytes of the shortest statement.
    NoQuery,
}

impl ConfigError {
    /// One line for whoever started the server.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoPassword => "main.password must be set",
            Self::NoTenants => "main.dev_index_size must be at least 1",
            Self::NoDevices => "main.max_devices_per_user must be at least 1",
            Self::NoAckTimeout => "ws.ack_timeout must be more than 0",
            Self::NoWindow => "the window of private messages must be more than 0",
            Self::NoPieces => "a piece of a list of recipients must hold at least 2",
            Self::NoBody => "main.max_message_body must be at least 1",
            Self::NoQuery => "cometql.max_query must be at least 4",
        }
    }
}

/// A configuration that passed `Config::check`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckedConfig(Config);

impl CheckedConfig {
    /// Sets another password, which must not be empty; returns the one before.
    pub(crate) fn replace_password(&mut self, password: Secret) -> Secret {
        core::mem::replace(&mut self.0.password, password)
    }
}

impl core::ops::Deref for CheckedConfig {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.0
    }
}

impl Config {
    /// The rules of a tenant.
    pub fn rules(&self, dev: DevId) -> &Rules {
        self.tenant_rules.get(&dev).unwrap_or(&self.rules)
    }

    /// Origins that may connect to a tenant.
    pub fn origins(&self, dev: DevId) -> &[String] {
        self.rules(dev).origins.as_ref().unwrap_or(&self.origins)
    }

    /// Refuses what the core could not work with.
    pub fn check(self) -> Result<CheckedConfig, ConfigError> {
        if self.password.reveal().is_empty() {
            Err(ConfigError::NoPassword)
        } else if self.dev_index_size == 0 {
            Err(ConfigError::NoTenants)
        } else if self.devices_per_user_max == 0 {
            Err(ConfigError::NoDevices)
        } else if self.ack_timeout_ms == 0 {
            Err(ConfigError::NoAckTimeout)
        } else if self.private_window_bytes == 0 {
            Err(ConfigError::NoWindow)
        } else if self.recipients_piece_max < 2 {
            Err(ConfigError::NoPieces)
        } else if self.body_bytes_max == 0 {
            Err(ConfigError::NoBody)
        } else if self.query_bytes_max < 4 {
            Err(ConfigError::NoQuery)
        } else {
            Ok(CheckedConfig(self))
        }
    }
}
