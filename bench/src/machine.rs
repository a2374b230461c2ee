//! The machine on which the figures depend.

use std::{fmt, fs::File, io::Write, path::Path};

use crate::{measure::quantile, stopwatch::Stopwatch};

/// Appends that are synced to measure the disk.
const SYNCS: usize = 200;

/// Properties of the machine.
#[derive(Debug)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Median time of appending 4 KiB with fdatasync, in milliseconds.
    pub sync_ms: f64,
    /// 99th percentile of that time, in milliseconds.
    pub sync_p99_ms: f64,
}

impl Machine {
    /// Measures the machine, and the disk under a folder.
    pub fn look(folder: &Path) -> anyhow::Result<Machine> {
        let path = folder.join("sync-probe");
        let mut file = File::create(&path)?;
        let block = [7u8; 4_096];
        let mut samples = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let watch = Stopwatch::start();
            file.write_all(&block)?;
            file.sync_data()?;
            samples.push(watch.ms());
        }
        std::fs::remove_file(&path)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Machine { cores, sync_ms: quantile(&samples, 0.5), sync_p99_ms: quantile(&samples, 0.99) })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cores, sync_ms, sync_p99_ms } = self;
        write!(f, "{cores} cores; 4 KiB appended and synced: p50 {sync_ms:.2} ms, p99 {sync_p99_ms:.2} ms")
    }
}

/// Returns the resident memory of this process, in MB.
pub fn resident_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb: f64 = line.and_then(|line| line.trim().split(' ').next()).unwrap_or_default().parse()?;
    Ok(kb / 1_024.0)
}

/// Returns the processor time of this process's loop, in seconds. A busy machine disturbs it less than wall time.
pub fn loop_cpu_seconds() -> anyhow::Result<f64> {
    cpu_seconds(|thread| thread == "kapelle-loop")
}

/// Returns the processor time of this process since its start, ended threads included, in seconds.
pub fn process_cpu_seconds() -> anyhow::Result<f64> {
    /// Ticks of a second in `/proc`; fixed on Linux.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    anyhow::ensure!(ticks.len() == 2, "/proc/self/stat has no times");
    Ok((ticks[0] + ticks[1]) / TICKS)
}

/// Returns the processor time of selected threads of this process, in seconds.
pub fn cpu_seconds(counts: impl Fn(&str) -> bool) -> anyhow::Result<f64> {
    let mut nanoseconds = 0.0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        if std::fs::read_to_string(thread.join("comm")).is_ok_and(|name| counts(name.trim())) {
            let spent = std::fs::read_to_string(thread.join("schedstat"))?;
            nanoseconds += spent.split(' ').next().unwrap_or_default().parse::<f64>()?;
        }
    }
    Ok(nanoseconds / 1e9)
}
