//! Facts about the machine for `SHOW UPTIME|AVG|RAM|FILESYSTEM STATUS` (protocol.md 7.16). Read from `/proc` and one
//! system call when asked; what the system does not tell is answered with an empty value, never with an error.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use comet_core::cometql::HostScope;

/// Name and value of every fact, in order. May touch the disk: for session tasks, not for the core's thread.
pub fn facts(scope: HostScope) -> Vec<(String, String)> {
    match scope {
        HostScope::Uptime => uptime(&read_to_string("/proc/uptime").unwrap_or_default()),
        HostScope::LoadAverage => load_average(&read_to_string("/proc/loadavg").unwrap_or_default()),
        HostScope::Memory => memory(&read_to_string("/proc/meminfo").unwrap_or_default()),
        HostScope::FileSystem => file_system("/"),
    }
}

/// The memory budget of a server that was told none: two fifths of what the machine and the control groups it runs in
/// allow, as the system sees up to twice as much of a process as it counts itself; 0 = no limit if nothing is known.
pub fn memory_budget() -> u64 {
    let machine = read_to_string("/proc/meminfo").unwrap_or_default();
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter();
    budget(&machine, limits.filter_map(|path| read_to_string(path).ok()))
}

/// Where the limits of the control groups are: of the process's own and of all it is in. `groups` is `/proc/self/cgroup`,
/// lines `0::/system.slice/comet-server.service` or, of version 1, `7:memory:/path`.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, names): (_, &[&str]) = if controllers.is_empty() {
            ("/sys/fs/cgroup", &["memory.max", "memory.high"])
        } else if controllers.split(',').any(|name| name == "memory") {
            ("/sys/fs/cgroup/memory", &["memory.limit_in_bytes"])
        } else {
            continue;
        };
        let own = Path::new(path.trim_start_matches('/'));
        for group in own.ancestors() {
            files.extend(names.iter().map(|name| Path::new(root).join(group).join(name)));
        }
    }
    files
}

fn budget(machine: &str, groups: impl Iterator<Item = String>) -> u64 {
    let total = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let total = total.map(|kib| kib.saturating_mul(1024));
    // A group without a limit says `max`.
    let groups = groups.filter_map(|text| text.trim().parse::<u64>().ok());
    let smallest = total.into_iter().chain(groups).min();
    smallest.map_or(0, |bytes| bytes / 5 * 2)
}

fn fact(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

/// `/proc/uptime`: two numbers of seconds.
fn uptime(text: &str) -> Vec<(String, String)> {
    let mut words = text.split_whitespace();
    ["os_uptime", "os_idle"]
        .map(|name| fact(name, words.next().unwrap_or_default()))
        .to_vec()
}

/// `/proc/loadavg`: `0.20 0.18 0.12 1/80 11206`.
fn load_average(text: &str) -> Vec<(String, String)> {
    let mut words = text.split_whitespace();
    let mut facts = ["load_avg_1", "load_avg_2", "load_avg_3"]
        .map(|name| fact(name, words.next().unwrap_or_default()))
        .to_vec();
    let (running, total) = words
        .next()
        .unwrap_or_default()
        .split_once('/')
        .unwrap_or_default();
    facts.push(fact("running_processes", running));
    facts.push(fact("total_processes", total));
    facts
}

/// `/proc/meminfo`: lines `MemTotal:  16384 kB`.
fn memory(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| fact(name.trim(), value.trim()))
        .collect()
}

/// Sizes in KiB and the share in use rounded up, as `df` shows them.
fn file_system(path: &str) -> Vec<(String, String)> {
    let mut facts = vec![fact("flag", "filesystem"), fact("filesystem", path)];
    let sizes = rustix::fs::statvfs(path).map(|stat| Sizes {
        total: stat.f_blocks.saturating_mul(stat.f_frsize) / 1024,
        free: stat.f_bfree.saturating_mul(stat.f_frsize) / 1024,
        available: stat.f_bavail.saturating_mul(stat.f_frsize) / 1024,
    });
    if let Ok(sizes) = sizes {
        facts.push(fact("size", sizes.total));
        facts.push(fact("used", sizes.used()));
        facts.push(fact("available", sizes.available));
        facts.push(fact("use", format!("{}%", sizes.percent())));
    } else {
        facts.extend(["size", "used", "available", "use"].map(|name| fact(name, "")));
    }
    facts
}

/// Sizes of a file system, KiB.
struct Sizes {
    total: u64,
    free: u64,
    available: u64,
}

impl Sizes {
    fn used(&self) -> u64 {
        self.total.saturating_sub(self.free)
    }

    /// Space reserved for root is neither used nor available and so left out of the share.
    fn percent(&self) -> u64 {
        let usable = self.used() + self.available;
        if usable == 0 {
            0
        } else {
            (self.used() * 100).div_ceil(usable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(facts: &[(String, String)]) -> Vec<&str> {
        facts.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn the_budget_is_a_part_of_the_smaller_of_machine_and_group() {
        let machine = "MemFree: 5 kB\nMemTotal:       1000 kB\n";
        let of = |machine: &str, groups: &[&str]| budget(machine, groups.iter().map(|&text| text.to_owned()));
        assert_eq!(of(machine, &["max\n"]), 409_600);
        assert_eq!(of(machine, &["500000\n"]), 200_000);
        assert_eq!(of(machine, &["max\n", "500000\n", "700000\n"]), 200_000);
        assert_eq!(of(machine, &["9223372036854771712\n"]), 409_600);
        assert_eq!(of("", &["500000"]), 200_000);
        assert_eq!(of("nothing", &[]), 0);
    }

    /// A service of systemd has its limit in a group of its own, below the top.
    #[test]
    fn limits_are_looked_for_in_all_groups_of_the_process() {
        let files = |groups| {
            let files = limit_files(groups).into_iter();
            files.map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            files("0::/system.slice/comet-server.service\n"),
            [
                "/sys/fs/cgroup/system.slice/comet-server.service/memory.max",
                "/sys/fs/cgroup/system.slice/comet-server.service/memory.high",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/system.slice/memory.high",
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/memory.high",
            ]
        );
        assert_eq!(
            files("9:cpu,cpuacct:/x\n7:hugetlb,memory:/box\nnonsense\n"),
            [
                "/sys/fs/cgroup/memory/box/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
        assert!(files("").is_empty());
    }

    #[test]
    fn every_scope_has_the_names_of_protocol_7_16() {
        assert_eq!(names(&facts(HostScope::Uptime)), ["os_uptime", "os_idle"]);
        assert_eq!(
            names(&facts(HostScope::LoadAverage)),
            [
                "load_avg_1",
                "load_avg_2",
                "load_avg_3",
                "running_processes",
                "total_processes"
            ]
        );
        assert!(names(&facts(HostScope::Memory)).contains(&"MemTotal"));
        assert_eq!(
            names(&facts(HostScope::FileSystem)),
            ["flag", "filesystem", "size", "used", "available", "use"]
        );
    }

    #[test]
    fn texts_of_the_kernel_are_split() {
        assert_eq!(
            uptime("12.5 33.25\n"),
            [fact("os_uptime", "12.5"), fact("os_idle", "33.25")]
        );
        let load = load_average("0.20 0.18 0.12 1/80 11206\n");
        assert_eq!(load[2], fact("load_avg_3", "0.12"));
        assert_eq!(
            load[3..],
            [fact("running_processes", 1), fact("total_processes", 80)]
        );
        assert_eq!(memory("MemTotal:   16 kB\nodd\n"), [fact("MemTotal", "16 kB")]);
    }

    #[test]
    fn a_missing_text_gives_empty_values() {
        assert_eq!(uptime(""), [fact("os_uptime", ""), fact("os_idle", "")]);
        assert_eq!(load_average("").len(), 5);
        assert!(memory("").is_empty());
        assert_eq!(file_system("/no such directory")[2], fact("size", ""));
    }

    #[test]
    fn the_share_in_use_is_rounded_up_and_survives_an_empty_file_system() {
        let sizes = Sizes {
            total: 1000,
            free: 500,
            available: 400,
        };
        assert_eq!(sizes.percent(), 56);
        assert_eq!(
            Sizes {
                total: 0,
                free: 0,
                available: 0
            }
            .percent(),
            0
        );
    }
}
