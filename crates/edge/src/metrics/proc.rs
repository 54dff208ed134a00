//! What the kernel tells of processes and processors, in `/proc`.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A `/proc`.
#[derive(Debug, Clone)]
pub(super) struct Proc {
    root: PathBuf,
}

/// What processes use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Threads that live.
    pub(super) threads: u64,
    /// Memory in the machine; pages that several share count for each.
    pub(super) resident_bytes: u64,
    /// Time on processors, with that of children that ended and were waited for.
    pub(super) cpu_ticks: u64,
}

/// Time of all processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessorTime {
    pub(super) ticks: u64,
    pub(super) busy_ticks: u64,
}

impl Proc {
    /// The machine's.
    pub(super) fn system() -> Self {
        Self { root: PathBuf::from("/proc") }
    }

    /// One a test made.
    #[cfg(test)]
    pub(super) fn at(root: &std::path::Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// What this process uses.
    pub(super) fn own(&self) -> Option<Usage> {
        self.process("self").map(|(_, usage)| usage)
    }

    /// What the process groups of these leaders use. Processes that end meanwhile are left out.
    pub(super) fn groups(&self, leaders: impl Iterator<Item = u32>) -> BTreeMap<u32, Usage> {
        let mut groups: BTreeMap<u32, Usage> = leaders.map(|leader| (leader, Usage::default())).collect();
        if groups.is_empty() {
            return groups;
        }
        for entry in std::fs::read_dir(&self.root).into_iter().flatten().filter_map(Result::ok) {
            let Some(pid) = entry.file_name().to_str().filter(|name| name.parse::<u32>().is_ok()).map(str::to_owned)
            else {
                continue;
            };
            if let Some((group, usage)) = self.process(&pid)
                && let Some(sum) = groups.get_mut(&group)
            {
                sum.threads += usage.threads;
                sum.resident_bytes += usage.resident_bytes;
                sum.cpu_ticks += usage.cpu_ticks;
            }
        }
        groups
    }

    /// Group and usage of a process. The program's name in the second field may hold anything, so counting starts after its
    /// bracket, with the third.
    fn process(&self, pid: &str) -> Option<(u32, Usage)> {
        let stat = std::fs::read_to_string(self.root.join(pid).join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let group = u32::try_from(field(5)?).ok()?;
        let cpu_ticks = (14..=17).map(field).sum::<Option<u64>>()?;
        if matches!(fields.first(), Some(&"Z" | &"X")) {
            return Some((group, Usage { cpu_ticks, ..Usage::default() }));
        }
        // The memory in `stat` is in pages, and nobody here knows their size.
        let status = std::fs::read_to_string(self.root.join(pid).join("status")).unwrap_or_default();
        let resident_bytes = kib_of(&status, "VmRSS:").unwrap_or_default() * 1024;
        Some((group, Usage { threads: field(20)?, resident_bytes, cpu_ticks }))
    }

    /// The time of all processors since the machine started.
    pub(super) fn processors(&self) -> Option<ProcessorTime> {
        let stat = std::fs::read_to_string(self.root.join("stat")).ok()?;
        // User, nice, system, idle, waiting for input or output, interrupts, soft interrupts, stolen. Time of guests, which
        // follows, is in the first two.
        let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
        let fields: Vec<u64> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
        let ticks = fields.iter().sum();
        Some(ProcessorTime { ticks, busy_ticks: ticks - fields.get(3)? - fields.get(4)? })
    }

    /// Memory of the machine: all, and what could be had.
    pub(super) fn memory_kib(&self) -> Option<(u64, u64)> {
        let text = std::fs::read_to_string(self.root.join("meminfo")).ok()?;
        Some((kib_of(&text, "MemTotal:")?, kib_of(&text, "MemAvailable:")?))
    }

    /// Seconds since the machine started.
    pub(super) fn uptime_secs(&self) -> Option<f64> {
        std::fs::read_to_string(self.root.join("uptime")).ok()?.split(' ').next()?.parse().ok()
    }
}

fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    /// A process as the kernel writes it: each of its four times is `ticks`.
    pub(in super::super) fn write_process(proc: &Path, pid: u32, state: &str, group: u32, ticks: u64) {
        let dir = proc.join(pid.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        let times = format!("{ticks} {ticks} {ticks} {ticks}");
        let stat = format!("{pid} (a ) b) {state} 1 {group} {group} 0 -1 0 0 0 0 0 {times} 20 0 3 0 100 0 25\n");
        std::fs::write(dir.join("stat"), stat).unwrap();
        std::fs::write(dir.join("status"), "Name:\ta\nVmRSS:\t     100 kB\n").unwrap();
    }

    pub(in super::super) fn write_processors(proc: &Path, idle: u64, busy: u64) {
        // The last two are of guests.
        std::fs::write(proc.join("stat"), format!("cpu  {busy} 0 0 {idle} 0 0 0 0 5 5\ncpu0 1 2 3\n")).unwrap();
    }

    #[test]
    fn what_a_group_uses_is_summed_up() {
        let dir = tempfile::tempdir().unwrap();
        write_process(dir.path(), 20, "S", 20, 2);
        write_process(dir.path(), 21, "R", 20, 3);
        write_process(dir.path(), 22, "Z", 20, 5);
        write_process(dir.path(), 30, "S", 30, 7);
        std::fs::create_dir(dir.path().join("23")).unwrap();
        std::fs::create_dir(dir.path().join("sys")).unwrap();
        let groups = Proc::at(dir.path()).groups([20, 40].into_iter());
        let both = Usage { threads: 6, resident_bytes: 200 * 1024, cpu_ticks: 40 };
        assert_eq!(groups, BTreeMap::from([(20, both), (40, Usage::default())]));
    }

    #[test]
    fn processors_are_busy_or_idle() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Proc::at(dir.path()).processors(), None);
        write_processors(dir.path(), 30, 10);
        assert_eq!(Proc::at(dir.path()).processors(), Some(ProcessorTime { ticks: 40, busy_ticks: 10 }));
    }

    #[test]
    fn memory_is_read() {
        let text = "MemTotal:       24145236 kB\nMemFree:  5 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(kib_of(text, "MemAvailable:"), Some(23_000_000));
        assert_eq!(kib_of(text, "SwapFree:"), None);
        assert_eq!(kib_of("MemTotal: many", "MemTotal:"), None);
    }

    #[test]
    fn this_machine_tells_it_all() {
        let usage = Proc::system().own().unwrap();
        assert!(usage.threads > 0 && usage.resident_bytes > 0, "{usage:?}");
        assert!(Proc::system().processors().unwrap().busy_ticks > 0);
    }
}
