//! What a process used, and how busy the machine is: from `/proc`.

use anyhow::{Context, Result};
use std::{fs, time::Duration};

/// Linux counts CPU time in ticks of 1/100 s on every architecture that Outcry runs on (`getconf CLK_TCK`).
const TICK: Duration = Duration::from_millis(10);

/// What a process used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// The most memory it ever held (`VmHWM`).
    pub peak_rss_bytes: u64,
}

impl Usage {
    /// Of a running process.
    pub fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).with_context(|| format!("reading {path}: does the process still run?"))
        };
        let cpu = cpu_time(&read("stat")?).with_context(|| format!("reading the CPU time of process {pid}"))?;
        let peak_rss_bytes = peak_rss(&read("status")?).with_context(|| format!("reading VmHWM of process {pid}"))?;
        Ok(Self { cpu, peak_rss_bytes })
    }
}

fn cpu_time(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses, which may hold anything, parentheses too.
    let (_, after_name) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u32>().ok()?.checked_add(fields.get(12)?.parse().ok()?)?;
    TICK.checked_mul(ticks)
}

fn peak_rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Load averages over 1, 5 and 15 minutes, as the kernel writes them.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// How many cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_program_name_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100 1 1 1";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_time("nonsense"), None);
    }

    #[test]
    fn this_process_used_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.peak_rss_bytes > 1_000_000, "{usage:?}");
    }
}
