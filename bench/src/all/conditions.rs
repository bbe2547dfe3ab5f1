//! What a table of figures holds under: machine, kernel, limits, server, day.

use crate::clock;
use crate::proc;
use crate::server::Server;

/// Name and value, in the order to show them. The server's version is asked of `server`, if there is one to ask.
pub(super) fn conditions(placement: &str, server: Option<&Server>) -> Vec<(&'static str, String)> {
    let mut list = vec![
        ("date", clock::date()),
        (
            "server",
            server.and_then(version).unwrap_or_else(|| "unknown".into()),
        ),
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
    list
}

fn version(server: &Server) -> Option<String> {
    let rows = server.client().ok()?.rows("SELECT VERSION()").ok()?;
    rows.into_iter().next()?.into_iter().next()
}
