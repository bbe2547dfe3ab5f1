//! What the kernel says about processes, and what we ask of it: CPU time, memory, open-file limit, processors.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::failure::{Failure, While as _};

/// Files besides connections: standard streams, epoll, sessions, children. The server of the same limit keeps 512 for
/// its store and its back end.
const SPARE_FILES: u64 = 640;

/// CPU seconds (user and system, all threads) a process has used. Clock ticks are 1/100 s on every Linux we know.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may contain blanks; the fields after its closing bracket are fixed.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / 100.0)
}

/// Resident memory of a process in bytes.
pub(crate) fn rss_bytes(pid: u32) -> Option<u64> {
    Some(kibibytes(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:")? * 1024)
}

/// Kernel memory that sockets account for, of the whole machine: slab objects, and TCP buffers.
pub(crate) fn kernel_bytes() -> Option<u64> {
    let slab = kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "Slab:")? * 1024;
    let sockets = fs::read_to_string("/proc/net/sockstat").ok()?;
    let pages: u64 = sockets
        .lines()
        .find(|line| line.starts_with("TCP:"))?
        .split_ascii_whitespace()
        .skip_while(|word| *word != "mem")
        .nth(1)?
        .parse()
        .ok()?;
    Some(slab + pages * 4096)
}

/// Memory of the machine.
pub(crate) fn memory_bytes() -> Option<u64> {
    Some(kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")? * 1024)
}

pub(crate) fn kernel_release() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(format!("Linux {}", text.trim()))
}

/// How many processors there are and what they are called.
pub(crate) fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let names = || {
        text.lines()
            .filter_map(|line| line.strip_prefix("model name"))
            .map(|rest| rest.trim_start_matches([' ', '\t', ':']))
    };
    Some(format!("{} × {}", names().count(), names().next()?))
}

/// Kind of the file system a path is on.
pub(crate) fn file_system(path: &Path) -> Option<String> {
    // Of a directory that does not exist yet its nearest ancestor says it.
    let path = path.ancestors().find_map(|path| path.canonicalize().ok())?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let nearest = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(at, _)| path.starts_with(at))
        .max_by_key(|(at, _)| at.len())?;
    Some(nearest.1.to_owned())
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// How many connections this process may hold, after raising its soft limit of open files to the hard one. The
/// processes it starts inherit the limit.
pub(crate) fn allowed_connections() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let mut raised = limit;
        raised.current = limit.maximum;
        if setrlimit(Resource::Nofile, raised).is_err() {
            return limit.current.unwrap_or(u64::MAX).saturating_sub(SPARE_FILES);
        }
    }
    limit.maximum.unwrap_or(u64::MAX).saturating_sub(SPARE_FILES)
}

/// The processors this thread may run on, ascending.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// Binds this thread, and what it starts afterwards, to processors.
pub(crate) fn run_on(cpus: &[usize]) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        if *cpu >= CpuSet::MAX_CPU {
            return Err(Failure::told(format!("there is no processor {cpu}")));
        }
        set.set(*cpu);
    }
    sched_setaffinity(None, &set)
        .map_err(Into::into)
        .or_while(format!("run on processors {cpus:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_figures() {
        let pid = std::process::id();
        assert!(cpu_seconds(pid).is_some());
        assert!(rss_bytes(pid).is_some_and(|bytes| bytes > 100_000));
        assert_eq!(rss_bytes(u32::MAX), None);
        assert!(!allowed_cpus().is_empty());
        assert!(allowed_connections() > 0);
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(file_system(Path::new("/proc/self/not/there")).is_some_and(|kind| kind == "proc"));
        assert!(kernel_release().is_some_and(|text| text.starts_with("Linux ")));
    }
}
