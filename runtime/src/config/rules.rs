//! What tenants may use: `[limits]` and `[quota]` for all of them, a section `[dev-N]` for one.

use std::collections::BTreeMap;

use comet_core::{DevId, Pace, Quota, Rates, Rules};

use super::SettingsError;
use super::keys::tenant_of;
use super::resolve::Resolved;
use super::value::Value;

/// The rules for everybody.
pub(super) fn common(resolved: &Resolved) -> Rules {
    let number = |name: &str| match resolved.get(name) {
        Some((Value::Number(number), _)) => *number,
        Some(_) | None => panic!("{name} is a number with a default"),
    };
    let mut rules = Rules::default();
    for (name, _, _) in resolved.all() {
        if let Some((section @ ("limits" | "quota"), key)) = name.split_once('.') {
            set(&mut rules, key, number(&format!("{section}.{key}")));
        }
    }
    rules
}

/// The rules of the tenants that have their own: those for everybody, with what their section changes.
pub(super) fn of_tenants(
    resolved: &Resolved,
    common: &Rules,
    tenants: u32,
    origins: impl Fn(&[String]) -> Vec<String>,
) -> Result<BTreeMap<DevId, Rules>, SettingsError> {
    let mut all: BTreeMap<DevId, Rules> = BTreeMap::new();
    for (name, value, origin) in resolved.all() {
        let Some((section, key)) = name.split_once('.') else {
            continue;
        };
        let Some(dev) = tenant_of(section) else { continue };
        if dev >= tenants {
            return Err(SettingsError::new(format!(
                "{origin}: there is no tenant {dev}; main.dev_index_size is {tenants}"
            )));
        }
        let rules = all.entry(DevId(dev)).or_insert_with(|| common.clone());
        if let Value::Number(number) = value {
            set(rules, key, *number);
        }
        if let Value::List(list) = value {
            rules.origins = Some(origins(list));
        }
    }
    Ok(all)
}

fn set(rules: &mut Rules, key: &str, number: u64) {
    let small = u32::try_from(number).unwrap_or(u32::MAX);
    if let Some(quota) = quota(&mut rules.quota, key) {
        *quota = number;
    } else if let Some(rate) = rate(&mut rules.rates, key) {
        *rate = small;
    } else {
        panic!("{key} is a key of limits or of quota");
    }
}

fn quota<'a>(quota: &'a mut Quota, key: &str) -> Option<&'a mut u64> {
    Some(match key {
        "connections" => &mut quota.connections,
        "sessions" => &mut quota.sessions,
        "users_online" => &mut quota.users_online,
        "subscriptions" => &mut quota.subscriptions,
        "users" => &mut quota.users,
        "channels" => &mut quota.channels,
        "messages" => &mut quota.messages,
        "bytes" => &mut quota.bytes,
        _ => return None,
    })
}

fn rate<'a>(rates: &'a mut Rates, key: &str) -> Option<&'a mut u32> {
    let (pace, kind): (&mut Pace, &str) = match key.split_once('_') {
        None if key == "burst" => return Some(&mut rates.burst_s),
        Some(("tenant", "statements")) => return Some(&mut rates.statements),
        Some(("connection", kind)) => (&mut rates.connection, kind),
        Some(("user", kind)) => (&mut rates.user, kind),
        Some(("tenant", kind)) => (&mut rates.tenant, kind),
        Some(_) | None => return None,
    };
    match kind {
        "commands" => Some(&mut pace.commands),
        "messages" => Some(&mut pace.messages),
        "subscriptions" => Some(&mut pace.subscriptions),
        _ => None,
    }
}
