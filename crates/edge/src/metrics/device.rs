//! The machine as the agent's metrics tell it: disk, memory and times, looked at when they are asked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// What is measured.
#[derive(Debug)]
pub struct Device {
    /// On the disk that is told of.
    data_dir: PathBuf,
    started: Instant,
}

/// A file system, as `/proc/self/mounts` has it.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    kind: String,
}

impl Device {
    /// The daemon, which starts now, and the disk that this folder is on.
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), started: Instant::now() }
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

    fn memory(encoder: &mut DescriptorEncoder) -> fmt::Result {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let (Some(total), Some(available)) = (kib_of(&text, "MemTotal:"), kib_of(&text, "MemAvailable:")) else {
            return Ok(());
        };
        let labels = [("module_name", "host")];
        let used = total.saturating_sub(available);
        gauge(encoder, "used_memory_bytes", "Memory in use", &labels, used as f64 * 1024.0)?;
        gauge(encoder, "total_memory_bytes", "Memory there is", &labels, total as f64 * 1024.0)
    }
}

impl Collector for Device {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.disk(&mut encoder)?;
        Self::memory(&mut encoder)?;
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        if let Some(secs) = uptime.split(' ').next().and_then(|secs| secs.parse().ok()) {
            gauge(&mut encoder, "host_uptime_seconds", "Time since the machine started", &[], secs)?;
        }
        let secs = self.started.elapsed().as_secs_f64();
        gauge(&mut encoder, "iotedged_uptime_seconds", "Time since the daemon started", &[], secs)
    }
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

fn kib_of(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].trim().strip_suffix(" kB")?.parse().ok()
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

    #[test]
    fn memory_is_read() {
        let text = "MemTotal:       24145236 kB\nMemFree:  5 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(kib_of(text, "MemAvailable:"), Some(23_000_000));
        assert_eq!(kib_of("MemTotal: x kB", "MemTotal:"), None);
    }
}
