//! A time limit for the processes that a test starts.
//!
//! A test that waits for a process waits for ever when the process does not end, or when a process of that process keeps
//! a pipe open; the test run then says nothing at all. Here such a process is killed, and the test fails with its name.

use std::time::Duration;

/// The age at which a process is killed, for tests that do not need longer ones.
pub const AGE_MOST: Duration = Duration::from_secs(300);

/// Kills every process that this one started, and every process of those, once it is older than the limit. The first
/// call counts; a later one changes nothing. On systems without `/proc` it does nothing.
pub fn limit(age: Duration) {
    #[cfg(target_os = "linux")]
    linux::limit(age);
    #[cfg(not(target_os = "linux"))]
    let _ = age;
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{collections::HashSet, fs, sync::OnceLock, thread, time::Duration};

    use rustix::process::{Pid, Signal, kill_process};

    /// Interval between two looks at the processes.
    const LOOK: Duration = Duration::from_secs(1);
    /// Clock ticks a second in `/proc`: the same on every Linux system of today.
    const TICKS: u64 = 100;

    /// A process as `/proc/PID/stat` shows it.
    struct Process {
        pid: u32,
        parent: u32,
        /// Its start, in ticks since the start of the system: together with the number it names one process for good.
        started: u64,
    }

    pub(super) fn limit(age: Duration) {
        static WATCH: OnceLock<()> = OnceLock::new();
        WATCH.get_or_init(|| {
            thread::spawn(move || watch(age));
        });
    }

    #[expect(clippy::disallowed_methods, reason = "the end of a process of a process is nowhere to wait for")]
    fn watch(age: Duration) {
        let mut ours = HashSet::new();
        loop {
            thread::sleep(LOOK);
            look(age, &mut ours);
        }
    }

    /// Notes new processes, so that one whose parent is gone is known still, and kills the old ones.
    fn look(age: Duration, ours: &mut HashSet<(u32, u64)>) {
        let all = processes();
        loop {
            let known = ours.len();
            let mut numbers: HashSet<u32> = ours.iter().map(|(pid, _)| *pid).collect();
            numbers.insert(std::process::id());
            ours.extend(all.iter().filter(|one| numbers.contains(&one.parent)).map(|one| (one.pid, one.started)));
            if ours.len() == known {
                break;
            }
        }
        ours.retain(|known| all.iter().any(|one| (one.pid, one.started) == *known));
        let old = now().saturating_sub(age.as_secs() * TICKS);
        for (pid, _) in ours.iter().filter(|(_, started)| *started < old) {
            eprintln!("killed after {} s, because a test has to end: {pid} {}", age.as_secs(), words(*pid));
            if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    fn processes() -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries.flatten().filter_map(|entry| read(entry.file_name().to_str()?.parse().ok()?)).collect()
    }

    /// Reads one process; none when it has ended, also as a zombie that waits for its parent.
    fn read(pid: u32) -> Option<Process> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in brackets and may hold anything, also brackets.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let started = fields.get(19)?.parse().ok()?;
        (*fields.first()? != "Z").then_some(())?;
        Some(Process { pid, parent: fields.get(1)?.parse().ok()?, started })
    }

    /// Returns the age of the system in ticks.
    fn now() -> u64 {
        let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = text.split('.').next().and_then(|seconds| seconds.parse::<u64>().ok());
        seconds.unwrap_or(0) * TICKS
    }

    fn words(pid: u32) -> String {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        process::{Command, Stdio},
        time::Duration,
    };

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process that does not end by itself is what is tested")]
    fn a_process_and_what_it_left_behind_are_killed() {
        super::limit(Duration::from_secs(3));
        // The shell ends before its time is over. Its child keeps the pipe open.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & sleep 2"]).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.stdout.is_empty());
    }
}
