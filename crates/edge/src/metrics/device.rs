//! The machine and what runs on it, as the agent's metrics tell it: disk, memory, processes and times, looked at when they are
//! asked for.
//!
//! A module's figures are those of all processes of its process group. The agent's are this daemon's, in which the hub runs as
//! well; so there are none of the hub. What the kernel does not say of a process without a container (traffic on the network,
//! bytes on disk of children that ended) is left out rather than guessed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::manifest::agent::AGENT_MODULE;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::Instant;

use super::agent::HOST;
use super::proc::{Proc, Usage};
use crate::runtime::{ModuleRuntime, RunState};

/// Says which modules run, with the process that leads the group of each.
pub type Running = Arc<dyn Fn() -> Vec<(String, u32)> + Send + Sync>;

/// Those of a runtime.
pub fn running_in(runtime: Arc<impl ModuleRuntime>) -> Running {
    Arc::new(move || {
        let states = runtime.observe().into_iter();
        let running = states.filter_map(|state| match state.run {
            RunState::Running { pid } => Some((state.name.to_string(), pid)),
            RunState::Created | RunState::Exited { .. } => None,
        });
        running.collect()
    })
}

/// What is measured.
pub struct Device {
    /// On the disk that is told of.
    data_dir: PathBuf,
    started: Instant,
    running: Running,
    proc: Proc,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device")
    }
}

/// A file system, as `/proc/self/mounts` has it.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    kind: String,
}

impl Device {
    /// The daemon, which started then, the disk that this folder is on, and what runs when somebody asks.
    pub fn new(data_dir: &Path, started: Instant, running: Running) -> Self {
        Self { data_dir: data_dir.to_owned(), started, running, proc: Proc::system() }
    }

    /// With another `/proc` than the machine's.
    #[cfg(test)]
    pub(super) fn of(self, proc: Proc) -> Self {
        Self { proc, ..self }
    }

    fn disk(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let Ok(disk) = rustix::fs::statvfs(&self.data_dir) else { return Ok(()) };
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let Mount { device, kind } = mount_of(&self.data_dir, &mounts);
        let labels = [("disk_name", device.as_str()), ("disk_filesystem", kind.as_str()), ("disk_filetype", "")];
        for (name, help, blocks) in [
            ("available_disk_space_bytes", "Space left on the disk", disk.f_bavail),
            ("total_disk_space_bytes", "Size of the disk", disk.f_blocks),
        ] {
            let bytes = blocks.saturating_mul(disk.f_frsize);
            gauge(encoder, name, help, &labels, bytes as f64)?;
        }
        Ok(())
    }

    /// Memory and threads. A module may take all the memory there is.
    fn processes(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let running = (self.running)();
        let groups = self.proc.groups(running.iter().map(|(_, pid)| *pid));
        let modules = running.iter().filter_map(|(name, pid)| Some((name.as_str(), *groups.get(pid)?)));
        // A group without threads has ended, and its runtime does not know it yet.
        let modules = modules.filter(|(_, usage)| usage.threads > 0);
        let used: Vec<(&str, Usage)> =
            self.proc.own().map(|own| (AGENT_MODULE, own)).into_iter().chain(modules).collect();
        let of_each = |value: fn(&Usage) -> u64| used.iter().map(move |(name, usage)| (*name, value(usage)));
        if let Some((total_kib, available_kib)) = self.proc.memory_kib() {
            let host = total_kib.saturating_sub(available_kib) * 1024;
            let memory = of_each(|usage| usage.resident_bytes).chain([(HOST, host)]);
            gauges(encoder, "used_memory_bytes", "Memory in use", memory)?;
            let total = used.iter().map(|(name, _)| *name).chain([HOST]).map(|name| (name, total_kib * 1024));
            gauges(encoder, "total_memory_bytes", "Memory there is", total)?;
        }
        gauges(encoder, "created_pids_total", "Threads that live", of_each(|usage| usage.threads))
    }
}

impl Collector for Device {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.disk(&mut encoder)?;
        self.processes(&mut encoder)?;
        if let Some(secs) = self.proc.uptime_secs() {
            gauge(&mut encoder, "host_uptime_seconds", "Time since the machine started", &[], secs)?;
        }
        let secs = self.started.elapsed().as_secs_f64();
        gauge(&mut encoder, "iotedged_uptime_seconds", "Time since the daemon started", &[], secs)
    }
}

/// A metric of modules.
fn gauges<'a>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (&'a str, u64)>,
) -> fmt::Result {
    let name = format!("edgeAgent_{name}");
    let mut encoder = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
    for (module, value) in values {
        ConstGauge::new(value as f64).encode(encoder.encode_family(&[("module_name", module)])?)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder, name: &str, help: &str, labels: &[(&str, &str)], value: f64) -> fmt::Result {
    let name = format!("edgeAgent_{name}");
    let mut encoder = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(encoder.encode_family(&labels)?)
}

/// What the folder is on: the last and longest mount point above it.
fn mount_of(folder: &Path, mounts: &str) -> Mount {
    let mut found = Mount { device: String::new(), kind: String::new() };
    let mut longest = 0;
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(device), Some(point), Some(kind)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if folder.starts_with(point) && point.len() >= longest {
            longest = point.len();
            found = Mount { device: device.to_owned(), kind: kind.to_owned() };
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_of_a_folder_is_found() {
        let mounts =
            "/dev/root / ext4 rw 0 0\nproc /proc proc rw 0 0\n/dev/sda1 /var f2fs rw 0 0\n/dev/sdb /va xfs rw 0 0\n";
        let at = |folder: &str| mount_of(Path::new(folder), mounts);
        assert_eq!(at("/var/lib/edge"), Mount { device: "/dev/sda1".into(), kind: "f2fs".into() });
        assert_eq!(at("/srv"), Mount { device: "/dev/root".into(), kind: "ext4".into() });
        assert_eq!(mount_of(Path::new("/srv"), "garbage"), Mount { device: String::new(), kind: String::new() });
    }
}
