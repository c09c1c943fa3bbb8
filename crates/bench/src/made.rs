//! How a report came to be: when, on which host, by which command.

use serde::{Deserialize, Serialize};

/// When, where and by which command a report was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Date and time of the beginning, UTC, as RFC 3339 has it; old reports know the day alone.
    pub date: String,
    /// Commit that the program was built from, if that is known; with a `+` where files had been changed.
    pub commit: Option<String>,
    /// The arguments of the command.
    pub arguments: Vec<String>,
    /// The machine.
    pub host: Host,
}

/// A machine and its operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Name of the CPU.
    pub cpu: String,
    /// Cores that the program may use.
    pub cores: usize,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Operating system and its version, kernel.
    pub os: String,
}

impl Made {
    /// When and where, in a line.
    pub fn line(&self) -> String {
        let commit = self.commit.as_ref().map_or(String::new(), |commit| format!(", commit {commit}"));
        format!("{}{commit}; {}", self.date, self.host)
    }
}

#[cfg(feature = "files")]
impl Made {
    /// Now, on this machine.
    pub fn now(commit: Option<String>, arguments: Vec<String>) -> Self {
        let date = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
        Self { date, commit, arguments, host: Host::here() }
    }
}

#[cfg(feature = "files")]
impl Host {
    fn here() -> Self {
        use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};
        let wanted =
            RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()).with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(wanted);
        let cpu = system.cpus().first().map_or_else(String::new, |cpu| cpu.brand().trim().to_owned());
        let os = [System::long_os_version(), System::kernel_version()];
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_bytes: system.total_memory(),
            os: os.into_iter().flatten().collect::<Vec<_>>().join(", kernel "),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu, cores, memory_bytes, os } = self;
        let gigabytes = (*memory_bytes as f64 / f64::from(1 << 30)).round();
        // Old reports do not know it.
        let memory = if gigabytes > 0.0 { format!(", {gigabytes} GiB") } else { String::new() };
        write!(f, "{cpu}, {cores} cores{memory}, {os}")
    }
}

#[cfg(all(test, feature = "files"))]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let Made { date, host, .. } = Made::now(None, Vec::new());
        assert!(date.starts_with("20") && date.ends_with('Z') && date.len() == "2026-11-30T12:34:56Z".len(), "{date}");
        assert!(host.cores > 0 && host.memory_bytes > 1 << 28 && !host.os.is_empty(), "{host:?}");
    }
}
