//! SHOW statements about the server itself (protocol.md 7.16, 8.5).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::Core;
use super::query::pairs;
use super::statistics::Service;
use crate::cometql::{self, Cell, Rows, Show};
use crate::id::DevId;
use crate::state::{Account, Category};

impl Core {
    pub(super) fn show(&self, dev: DevId, show: &Show) -> Rows {
        match show {
            Show::Databases => cometql::show_databases(),
            Show::Tables => cometql::show_tables(),
            Show::TableStatus => cometql::show_table_status(),
            Show::ProcessList => self.process_list(),
            Show::SessionStatus => self.session_status(dev),
            Show::GlobalStatus => self.global_status(),
            Show::Memory { global: false } => memory_rows(&self.memory_of(dev), &[], &[]),
            Show::Memory { global: true } => self.global_memory(),
            Show::Columns { table, full } => cometql::show_columns(*table, *full),
            Show::Variables { pattern } => {
                let (product, max) = (&self.config.product, self.config.query_bytes_max);
                cometql::show_variables(pattern.as_deref(), product, max)
            }
        }
    }

    /// One row per service.
    fn process_list(&self) -> Rows {
        let row = |name: &str, id: i64, count: u64| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            vec![
                Cell::text(name),
                Cell::Int(id),
                Cell::text("running"),
                Cell::Int(count),
            ]
        };
        Rows {
            columns: ["ServiceName", "id", "status", "count"].map(Into::into).to_vec(),
            rows: vec![
                row("frontend", 0, self.statistics.ws.online()),
                row("backend", 1, self.statistics.sql.online()),
            ],
        }
    }

    /// What the whole server uses, and how far it is from its limit.
    fn global_memory(&self) -> Rows {
        let totals = self.memory_totals();
        let facts = [
            ("limit", totals.limit.to_string()),
            ("state", totals.room.name().to_string()),
            ("refused", totals.refused.to_string()),
        ];
        memory_rows(&totals.core, &totals.outside.parts(), &facts)
    }

    fn session_status(&self, dev: DevId) -> Rows {
        let (online, sessions, messages) = self.tenants.get(dev).map_or((0, 0, 0), |tenant| {
            (tenant.connections, tenant.sessions, tenant.messages)
        });
        let values = [
            ("flag", String::from("session")),
            ("id", dev.0.to_string()),
            ("user_online", online.to_string()),
            ("server_online", sessions.to_string()),
            ("messages", messages.to_string()),
        ];
        pairs(values.iter().map(|(name, value)| (*name, value.as_str())))
    }

    fn global_status(&self) -> Rows {
        let uptime = self.now.mono.micros_since(self.started.mono) / 1_000_000;
        let mut values: Vec<(String, String)> = vec![
            ("flag".into(), "global".into()),
            ("uptime".into(), uptime.to_string()),
            ("uptime_in_hours".into(), (uptime / 3600).to_string()),
            ("uptime_in_days".into(), (uptime / 86_400).to_string()),
        ];
        add_service(
            &mut values,
            "frontend",
            self.config.ws_statistics_ms,
            &self.statistics.ws,
        );
        add_service(
            &mut values,
            "backend",
            self.config.cometql_statistics_ms,
            &self.statistics.sql,
        );
        values.push((
            "network_events".into(),
            self.statistics.network_events.to_string(),
        ));
        pairs(values.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }
}

/// A row for each category, then the sum, then what else there is to know; what has no number of items shows none.
fn memory_rows(account: &Account, outside: &[(&str, u64)], facts: &[(&str, String)]) -> Rows {
    let row =
        |name: &str, items: &str, bytes: &str| vec![name, items, bytes].into_iter().map(Cell::text).collect();
    let mut rows = Vec::new();
    for category in Category::ALL {
        let usage = account.get(category);
        rows.push(row(
            category.name(),
            &usage.items.to_string(),
            &usage.bytes.to_string(),
        ));
    }
    let mut total = account.bytes();
    for (name, bytes) in outside {
        total += bytes;
        rows.push(row(name, "", &bytes.to_string()));
    }
    rows.push(row("total", "", &total.to_string()));
    rows.extend(facts.iter().map(|(name, value)| row(name, "", value)));
    Rows {
        columns: cometql::MEMORY_COLUMNS.map(Into::into).to_vec(),
        rows,
    }
}

fn add_service(values: &mut Vec<(String, String)>, name: &str, interval_ms: u64, service: &Service) {
    let [messages_ps, accepted_ps, closed_ps] = service.rates;
    values.push((format!("{name}_name"), name.into()));
    for (key, value) in [
        ("stat_interval", interval_ms / 1000),
        ("online", service.online()),
        ("messages", service.messages),
        ("add_client", service.accepted),
        ("delete_client", service.closed),
        ("messages_ps", messages_ps),
        ("add_client_ps", accepted_ps),
        ("delete_client_ps", closed_ps),
    ] {
        values.push((format!("{name}_{key}"), value.to_string()));
    }
}
