//! Workers that misbehave in every way leave no process behind, and their siblings are not affected.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail where it stands")]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use kapelle_supervisor::{
    helper_process::{Allowance, Helper, Launch, Process},
    machine::{Cause, Exit},
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

const EVIL: &str = env!("CARGO_BIN_EXE_evil-child");

/// A helper of its own, and the word that its workers carry in their environment.
struct Stage {
    helper: Helper,
    run: String,
}

fn stage(name: &str) -> Stage {
    let run = format!("{name}-{}", std::process::id());
    Stage { helper: Helper::start(EVIL).unwrap(), run }
}

/// Starts a helper without control groups: workers are known only by descent, session and mark.
fn bare(name: &str) -> Stage {
    let run = format!("{name}-{}", std::process::id());
    Stage { helper: Helper::start_without_cgroups(EVIL).unwrap(), run }
}

impl Stage {
    fn launch(&self, mode: &str) -> Launch {
        Launch {
            program: EVIL.into(),
            args: vec![format!("worker-{mode}")],
            env: vec![("RUN".to_owned(), self.run.clone())],
            folder: std::env::temp_dir(),
            allowance: Allowance::default(),
        }
    }

    async fn start(&self, mode: &str) -> Process {
        within(60, self.helper.spawn(self.launch(mode))).await.unwrap()
    }

    /// Starts it and waits for its first line.
    async fn started(&self, mode: &str) -> Process {
        let mut process = self.start(mode).await;
        let mut line = String::new();
        let mut lines = BufReader::new(&mut process.stdout);
        within(30, lines.read_line(&mut line)).await.unwrap();
        assert!(!line.is_empty());
        process
    }

    /// Waits until that many processes carry the word.
    async fn count(&self, wanted: usize) {
        until(30, || carriers(&self.run).len() == wanted).await;
    }

    /// Checks that all processes are gone a second after the grace period.
    async fn nobody_left(&self) {
        until(2, || carriers(&self.run).is_empty()).await;
    }
}

async fn within<T>(seconds: u64, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("in time")
}

async fn until(seconds: u64, mut holds: impl FnMut() -> bool) {
    within(seconds, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Returns the living processes that carry this word in their environment.
fn carriers(run: &str) -> BTreeSet<i32> {
    let (run, unmarked) = (format!("RUN={run}"), format!("UNMARKED={run}"));
    let names = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let alive = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
    };
    let carries = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut entries = environment.split(|byte| *byte == 0);
        entries.any(|entry| entry == run.as_bytes() || entry == unmarked.as_bytes())
    };
    names.filter_map(|name| name.parse().ok()).filter(carries).filter(alive).collect()
}

#[expect(clippy::disallowed_methods, reason = "the test kills the helper as an operator would")]
fn kill(pid: i32, signal: &str) {
    let done = std::process::Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn what_goes_in_comes_out_and_the_exit_code_is_told() {
    let stage = stage("echo");
    let mut process = stage.start("echo").await;
    process.stdin.write_all(b"one\ntwo\n").await.unwrap();
    drop(process.stdin);
    let mut said = String::new();
    within(60, process.stdout.read_to_string(&mut said)).await.unwrap();
    assert_eq!(said, "one\ntwo\n");
    assert_eq!(within(30, process.handle.exited()).await, Exit { code: Some(0), ..Exit::default() });
    let mut launch = stage.launch("exit");
    launch.args.push("7".to_owned());
    let mut failed = stage.helper.spawn(launch.clone()).await.unwrap();
    assert_eq!(within(30, failed.handle.exited()).await.code, Some(7));
    launch.program = "/no/such/program".into();
    let error = stage.helper.spawn(launch.clone()).await.unwrap_err().to_string();
    assert!(error.starts_with("/no/such/program: No such file"), "{error}");
    launch.env.push(("LARGE".to_owned(), "x".repeat(200 << 10)));
    let error = stage.helper.spawn(launch).await.unwrap_err().to_string();
    assert!(error.contains("160 KiB"), "{error}");
}

#[tokio::test]
async fn a_worker_is_given_nothing_but_what_is_named() {
    let stage = stage("clean");
    let mut launch = stage.launch("");
    launch.args = vec!["environment".to_owned()];
    let mut process = stage.helper.spawn(launch).await.unwrap();
    let mut said = String::new();
    within(60, process.stdout.read_to_string(&mut said)).await.unwrap();
    let names: Vec<&str> =
        said.split(';').filter_map(|entry| entry.split('=').next()).filter(|n| !n.is_empty()).collect();
    assert_eq!(BTreeSet::from_iter(names), BTreeSet::from(["KAPELLE_MARK", "RUN"]), "{said}");
}

#[tokio::test]
async fn asked_to_end_it_ends_and_one_that_will_not_is_killed() {
    let stage = stage("term");
    let mut quiet = stage.started("quiet").await;
    quiet.handle.terminate();
    assert_eq!(within(30, quiet.handle.exited()).await.signal, Some(15));
    for mode in ["ignore-term", "setsid", "double-fork", "stop", "close"] {
        let mut process = if mode == "close" { stage.start(mode).await } else { stage.started(mode).await };
        stage.count(if matches!(mode, "setsid" | "double-fork") { 2 } else { 1 }).await;
        process.handle.kill();
        let exit = within(30, process.handle.exited()).await;
        assert_eq!(exit.signal, Some(9), "{mode}");
        // The intermediate process may still be there.
        let left = u32::from(matches!(mode, "setsid" | "double-fork"));
        assert!(exit.swept == left || mode == "double-fork" && exit.swept == 2, "{mode}: {exit:?}");
        stage.nobody_left().await;
    }
}

#[tokio::test]
async fn one_that_stands_still_is_woken_to_hear_that_it_must_end() {
    let stage = stage("still");
    let mut process = stage.started("stop").await;
    process.handle.terminate();
    assert_eq!(within(30, process.handle.exited()).await.signal, Some(15));
}

#[tokio::test]
async fn the_same_holds_where_no_control_groups_can_be_made() {
    let stage = bare("bare");
    assert!(!stage.helper.has_cgroups());
    for mode in ["ignore-term", "setsid", "double-fork", "fork"] {
        let mut process = stage.started(mode).await;
        stage
            .count(match mode {
                "ignore-term" => 1,
                "fork" => 201,
                _ => 2,
            })
            .await;
        process.handle.kill();
        within(30, process.handle.exited()).await;
        stage.nobody_left().await;
    }
}

#[tokio::test]
async fn what_is_left_behind_goes_when_its_worker_ends_by_itself() {
    let stage = bare("daemon");
    let mut process = stage.start("daemonize").await;
    let exit = within(30, process.handle.exited()).await;
    assert_eq!((exit.code, exit.swept <= 1), (Some(0), true));
    stage.nobody_left().await;
}

#[tokio::test]
async fn one_that_hides_its_origin_is_ended_as_a_stray() {
    let stage = bare("unmarked");
    let mut process = stage.started("unmarked").await;
    // Its daemon has written its number. Then it falls to the helper, carries no mark, and is found at the next check.
    let file = std::env::temp_dir().join(&stage.run);
    until(30, || file.exists()).await;
    let stray: i32 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    until(30, || !carriers(&stage.run).contains(&stray)).await;
    assert_eq!(carriers(&stage.run), BTreeSet::from([process.handle.pid()]), "nobody else was ended");
    std::fs::remove_file(file).unwrap();
    process.handle.kill();
    within(30, process.handle.exited()).await;
    stage.nobody_left().await;
}

#[tokio::test]
async fn a_leak_and_a_crowd_are_ended_alone_and_told() {
    let stage = bare("greedy");
    let mut sibling = stage.start("echo").await;
    let mut leak = stage.launch("leak");
    leak.allowance = Allowance { memory: Some(64 << 20), processes: 16 };
    let mut leak = stage.helper.spawn(leak).await.unwrap();
    let exit = within(30, leak.handle.exited()).await;
    assert_eq!((exit.cause, exit.word()), (Some(Cause::Memory(64 << 20)), "oom"));
    assert_eq!(exit.to_string(), "it used more than 64 MiB of memory");
    let mut crowd = stage.launch("fork");
    crowd.allowance = Allowance { memory: None, processes: 16 };
    let mut crowd = stage.helper.spawn(crowd).await.unwrap();
    let exit = within(30, crowd.handle.exited()).await;
    // It may be found before it has made all of them.
    assert_eq!(exit.cause, Some(Cause::Processes(16)));
    assert!((16..=200).contains(&exit.swept), "{exit:?}");
    // The sibling has been running all the time, and answers.
    sibling.stdin.write_all(b"here\n").await.unwrap();
    let mut line = String::new();
    within(30, BufReader::new(&mut sibling.stdout).read_line(&mut line)).await.unwrap();
    assert_eq!(line, "here\n");
    assert_eq!(carriers(&stage.run), BTreeSet::from([sibling.handle.pid()]));
}

#[tokio::test]
async fn a_flood_waits_for_who_reads_it() {
    let stage = stage("flood");
    let mut process = stage.start("flood").await;
    let mut chunk = vec![0; 1 << 20];
    let mut read = 0;
    while read < 64 << 20 {
        read += within(60, process.stdout.read(&mut chunk)).await.unwrap();
    }
    process.handle.kill();
    within(30, process.handle.exited()).await;
}

#[tokio::test]
async fn dropping_a_process_ends_it() {
    let stage = stage("dropped");
    let process = stage.started("setsid").await;
    stage.count(2).await;
    drop(process);
    stage.nobody_left().await;
}

#[tokio::test]
async fn when_the_helper_is_killed_nobody_is_left_and_another_takes_its_place() {
    for stage in [stage("helper"), bare("helper-bare")] {
        let before = stage.helper.pid().unwrap();
        let mut all = Vec::new();
        for mode in ["ignore-term", "setsid", "double-fork"] {
            all.push(stage.started(mode).await);
        }
        stage.count(5).await;
        kill(before, "-KILL");
        for process in &mut all {
            assert_eq!(within(30, process.handle.exited()).await.cause, Some(Cause::HelperLost));
        }
        stage.nobody_left().await;
        let mut next = stage.started("quiet").await;
        assert_ne!(stage.helper.pid().unwrap(), before);
        next.handle.terminate();
        assert_eq!(within(30, next.handle.exited()).await.signal, Some(15));
    }
}

#[tokio::test]
async fn the_signals_of_a_service_manager_do_not_end_the_helper() {
    let stage = stage("manager");
    let mut process = stage.started("quiet").await;
    kill(stage.helper.pid().unwrap(), "-TERM");
    kill(stage.helper.pid().unwrap(), "-INT");
    process.handle.terminate();
    assert_eq!(within(30, process.handle.exited()).await.signal, Some(15));
}

/// Runs a server in a child, killed with SIGKILL; its helper alone knows the workers.
#[tokio::test]
async fn when_the_server_is_killed_nobody_is_left() {
    for victim in ["server", "both"] {
        let stage = stage(&format!("bereaved-{victim}"));
        let mut server = stage.start("server").await;
        let mut line = String::new();
        within(30, BufReader::new(&mut server.stdout).read_line(&mut line)).await.unwrap();
        let helper: i32 = line.trim().strip_prefix("helper ").unwrap().parse().unwrap();
        // The server, its helper, and three workers of which two have left a process behind.
        until(30, || carriers(&stage.run).len() >= 6).await;
        let all = carriers(&stage.run);
        if victim == "both" {
            kill(helper, "-STOP");
            kill(server.handle.pid(), "-KILL");
            kill(helper, "-KILL");
            // The next start of any server kills their leftovers.
            until(30, || {
                let _ = kapelle_supervisor::helper_process::sweep_leftovers();
                carriers(&stage.run).is_disjoint(&all)
            })
            .await;
        } else {
            kill(server.handle.pid(), "-KILL");
            until(5, || carriers(&stage.run).is_disjoint(&all)).await;
        }
        within(30, server.handle.exited()).await;
    }
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// `KAPELLE_SPAWN_CYCLES` sets the number of cycles.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the time is only shown")]
async fn many_cycles_leave_the_helper_as_it_was() {
    let cycles = std::env::var("KAPELLE_SPAWN_CYCLES").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    let stage = stage("cycles");
    let pid = u32::try_from(stage.helper.pid().unwrap()).unwrap();
    let figures = || (count(&format!("/proc/{pid}/fd")), count(&format!("/proc/{pid}/task")));
    let zombies = || {
        let alive = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let names = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| alive(name).contains(&format!(") Z {pid} "))).count()
    };
    let mut before = None;
    let started = Instant::now();
    for cycle in 0..cycles {
        let mut process = stage.start("exit").await;
        assert_eq!(within(60, process.handle.exited()).await.code, Some(0));
        if cycle == cycles / 10 {
            before = Some((figures(), resident_kib(pid)));
        }
    }
    let (before, memory) = before.unwrap();
    // The helper reports an end a moment before it releases its resources.
    until(30, || figures() <= before && zombies() == 0).await;
    let now = resident_kib(pid);
    assert!(now <= memory + memory / 20 + 256, "{memory} KiB, then {now} KiB");
    println!("{cycles} cycles in {} ms, {before:?}, {memory} then {now} KiB", started.elapsed().as_millis());
}
