//! What a table of figures holds under: machine, kernel, limits, server, day.

use crate::args::Common;
use crate::clock;
use crate::proc;
use crate::server::Server;

/// Name and value, in the order to show them.
pub(super) fn conditions(common: &Common, placement: &str, server: &Server) -> Vec<(&'static str, String)> {
    let mut list = vec![
        ("date", clock::date()),
        ("server", version(server).unwrap_or_else(|| "unknown".into())),
        (
            "kernel",
            proc::kernel_release().unwrap_or_else(|| "unknown".into()),
        ),
        ("processor", proc::processor().unwrap_or_else(|| "unknown".into())),
        ("pinning", placement.to_owned()),
        (
            "connections",
            format!(
                "{} allowed by the limit of open files",
                proc::allowed_connections()
            ),
        ),
    ];
    if let Some(bytes) = proc::memory_bytes() {
        list.push(("memory", format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))));
    }
    list.extend(settings(common));
    if let Some(rounds) = common.rounds {
        list.push((
            "rounds",
            format!("{rounds} for all, in place of those of each line"),
        ));
    }
    if let Some(seconds) = common.seconds {
        list.push((
            "seconds",
            format!("{seconds} for all, in place of those of each line"),
        ));
    }
    list
}

/// What decides how a started server behaves; of a running one we know nothing.
fn settings(common: &Common) -> Vec<(&'static str, String)> {
    if common.spawn.is_none() {
        return vec![(
            "settings",
            "those of the running server, not known here".to_owned(),
        )];
    }
    let inherited = std::env::vars()
        .filter(|(name, _)| name.starts_with("COMET_") && name != "COMET_PASSWORD")
        .map(|(name, value)| format!("{name}={value}"));
    let mut words: Vec<String> = inherited.chain(common.server_arg.iter().cloned()).collect();
    if words.is_empty() {
        words.push("as built in, plus what each experiment names below".to_owned());
    }
    let directory = common.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    vec![
        ("settings", words.join(" ")),
        (
            "data on",
            proc::file_system(&directory).unwrap_or_else(|| "an unknown file system".into()),
        ),
    ]
}

fn version(server: &Server) -> Option<String> {
    let rows = server.client().ok()?.rows("SELECT VERSION()").ok()?;
    rows.into_iter().next()?.into_iter().next()
}
