//! Use of processes and of the machine, as Linux tells it in `/proc`. On other systems nothing is told.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Ticks of the processor's clock in a second, as `/proc` counts; fixed on Linux.
const TICKS_PER_S: f64 = 100.0;
/// Processes that are remembered.
const PROCESSES: usize = 10_000;

/// Earlier readings, so that a use of the processor over time can be told.
#[derive(Debug, Default)]
pub(crate) struct Machine(Mutex<Readings>);

#[derive(Debug, Default)]
struct Readings {
    /// Time and ticks of each process at its last reading.
    processes: HashMap<u32, (u64, u64)>,
    /// Busy ticks of the machine.
    machine: Option<(u64, u64)>,
}

/// Returns the cores in use between two readings; `None` for readings at the same time.
fn cores(last: (u64, u64), now: (u64, u64)) -> Option<f64> {
    let ms = now.0.checked_sub(last.0).filter(|ms| *ms > 0)? as f64;
    Some(now.1.saturating_sub(last.1) as f64 / TICKS_PER_S * 1_000.0 / ms)
}

impl Machine {
    /// Returns the cores that a process used since its last reading; since its start at the first one.
    pub(crate) fn process_cpu(&self, pid: u32, now_ms: u64) -> Option<f64> {
        let now = (now_ms, ticks(&read(&format!("/proc/{pid}/stat"))?)?);
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if readings.processes.len() >= PROCESSES {
            readings.processes.clear();
        }
        match readings.processes.insert(pid, now) {
            Some(last) => cores(last, now),
            None => Some(0.0),
        }
    }

    /// Returns the cores of the machine that were busy since the last reading.
    pub(crate) fn machine_cpu(&self, now_ms: u64) -> Option<f64> {
        let now = (now_ms, busy(&read("/proc/stat")?)?);
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match readings.machine.replace(now) {
            Some(last) => cores(last, now),
            None => Some(0.0),
        }
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Returns the memory of a process in bytes.
pub(crate) fn process_memory(pid: u32) -> Option<u64> {
    kibibytes(&read(&format!("/proc/{pid}/status"))?, "VmRSS:")
}

/// Returns the memory of the machine, and what of it is available.
pub(crate) fn machine_memory() -> Option<(u64, u64)> {
    let text = read("/proc/meminfo")?;
    Some((kibibytes(&text, "MemTotal:")?, kibibytes(&text, "MemAvailable:")?))
}

/// Returns the ticks that a process used. The name in the second field may contain spaces and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

/// Returns the busy ticks of all processors: all but idle ones and those that wait for a disk.
fn busy(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).take(8).collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some(ticks.iter().sum::<u64>() - idle)
}

fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system_are_read_whatever_a_process_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 40 2 0 0 20 0 1 0 5 1000 10";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(busy("cpu  10 1 5 100 7 2 3 0 0 0\ncpu0 1 1\n"), Some(21));
        assert_eq!(kibibytes("VmPeak:\t 9 kB\nVmRSS:\t    12 kB\n", "VmRSS:"), Some(12 * 1_024));
        assert_eq!((ticks(""), busy("intr 1"), kibibytes("", "VmRSS:")), (None, None, None));
        assert_eq!(cores((1_000, 50), (3_000, 250)), Some(1.0));
        assert_eq!(cores((1_000, 50), (1_000, 60)), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory() {
        assert!(process_memory(std::process::id()).is_some_and(|bytes| bytes > 1 << 20));
        assert!(machine_memory().is_some_and(|(total, free)| total > free));
        assert!(Machine::default().process_cpu(std::process::id(), 1).is_some());
    }
}
