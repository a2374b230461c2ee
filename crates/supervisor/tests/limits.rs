//! A child that misbehaves fails alone, in time, and with the right error.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail where it stands")]

use std::{path::Path, time::Duration};

use kapelle_supervisor::{ChildError, ChildInput, ChildOutput, LimitedChild, Limits};

fn evil(mode: &str) -> LimitedChild {
    let mut child = LimitedChild::new(env!("CARGO_BIN_EXE_evil-child"));
    child.args.push(mode.into());
    child.limits = Limits { memory: 256 << 20, wall: Duration::from_secs(20), output: 1 << 20, ..Limits::default() };
    child
}

async fn fails(child: LimitedChild) -> ChildError {
    child.run().await.expect_err("the child should have failed")
}

/// Tells whether it is gone, or a zombie without an owner in this process.
fn is_dead(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

async fn dies(pid: &str) {
    let gone = async {
        while !is_dead(pid) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the process should be dead");
}

#[tokio::test]
async fn passes_bytes_through_and_keeps_the_last_words() {
    let mut child = evil("echo");
    child.stdin = ChildInput::Bytes(vec![b'a'; 700_000]);
    let ChildOutput { stdout, stderr_tail } = child.run().await.unwrap();
    assert_eq!(stdout.len(), 700_000);
    assert_eq!(stderr_tail, "read 700000 bytes\n");
}

#[tokio::test]
async fn reads_a_file_as_input() {
    let mut child = evil("echo");
    child.stdin = ChildInput::File(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    assert!(child.run().await.unwrap().stdout.starts_with(b"[package]"));
}

#[tokio::test]
async fn inherits_no_environment() {
    let mut child = evil("environment");
    child.env.push(("NAMED".into(), "yes".into()));
    assert_eq!(child.run().await.unwrap().stdout, b"NAMED=yes;");
}

#[tokio::test]
async fn memory_hog_is_out_of_memory() {
    let error = fails(evil("memory")).await;
    assert!(matches!(error, ChildError::OutOfMemory { limit } if limit == 256 << 20), "{error}");
    assert_eq!(error.to_string(), "the process needs more than 256 MiB of memory");
}

#[tokio::test]
async fn spinner_is_stopped_by_the_processor_limit() {
    let mut child = evil("spin");
    child.limits.cpu = Duration::from_secs(1);
    let error = fails(child).await;
    assert!(matches!(error, ChildError::TimedOut { cpu: true, .. }), "{error}");
}

#[tokio::test]
async fn sleeper_is_stopped_by_the_wall_limit() {
    let mut child = evil("sleep");
    child.limits.wall = Duration::from_millis(200);
    let error = fails(child).await;
    assert!(matches!(error, ChildError::TimedOut { cpu: false, .. }), "{error}");
}

#[tokio::test]
async fn flood_is_cut_and_a_flood_of_errors_is_not_kept() {
    let error = fails(evil("flood")).await;
    assert!(matches!(error, ChildError::TooMuchOutput { limit } if limit == 1 << 20), "{error}");
    assert!(evil("flood-stderr").run().await.unwrap().stderr_tail.len() <= 8 * 1024);
}

#[tokio::test]
async fn crashes_name_the_signal_or_the_code() {
    let abort = fails(evil("abort")).await;
    assert!(matches!(abort, ChildError::Crashed { signal: Some(6), code: None, .. }), "{abort}");
    let exit = fails(evil("exit")).await;
    assert!(matches!(exit, ChildError::Crashed { signal: None, code: Some(7), .. }), "{exit}");
    assert_eq!(exit.to_string(), "the process ended by exit code 7");
    let stack = fails(evil("stack")).await;
    assert!(matches!(stack, ChildError::Crashed { signal: Some(_), .. }), "{stack}");
}

#[tokio::test]
async fn cannot_write_files_nor_open_many() {
    let write = fails(evil("file")).await;
    assert!(matches!(write, ChildError::Crashed { .. }), "{write}");
    let _ = std::fs::remove_file(std::env::temp_dir().join("kapelle-evil-child"));
    let open = fails(evil("files")).await;
    assert!(matches!(open, ChildError::Crashed { code: Some(9), .. }), "{open}");
}

#[tokio::test]
async fn a_grandchild_goes_with_the_child_and_does_not_hold_up_the_answer() {
    let output = evil("orphan").run().await.unwrap();
    dies(&String::from_utf8(output.stdout).unwrap()).await;
}

#[tokio::test]
async fn a_grandchild_goes_on_timeout() {
    let mut child = evil("orphan-and-wait");
    child.limits.wall = Duration::from_millis(500);
    child.env.push(("MARK".into(), own("timeout").into()));
    assert!(matches!(fails(child).await, ChildError::TimedOut { .. }));
    for pid in with_mark(&own("timeout")) {
        dies(&pid).await;
    }
}

#[tokio::test]
async fn dropping_the_future_kills_the_group() {
    let mut child = evil("orphan-and-wait");
    child.env.push(("MARK".into(), own("dropped").into()));
    let task = tokio::spawn(child.run());
    let pids = two_with_mark(&own("dropped")).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    for pid in pids {
        dies(&pid).await;
    }
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_children_along() {
    let mut supervisor = evil("supervise");
    supervisor.env.push(("MARK".into(), own("bereaved").into()));
    let task = tokio::spawn(supervisor.run());
    let pids = two_with_mark(&own("bereaved")).await;
    // The child of the killed process leads a session of its own, so that only the system can end it.
    task.abort();
    for pid in pids {
        dies(&pid).await;
    }
}

/// Makes a mark of this test run: another may run at the same time.
fn own(mark: &str) -> String {
    format!("{mark}-{}", std::process::id())
}

/// Waits until two processes carry this mark.
async fn two_with_mark(mark: &str) -> Vec<String> {
    let both = async {
        loop {
            let pids = with_mark(mark);
            if pids.len() == 2 {
                return pids;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), both).await.expect("both processes should start")
}

/// Returns the processes with this mark in their environment.
fn with_mark(mark: &str) -> Vec<String> {
    let wanted = format!("MARK={mark}");
    let holds = |pid: &String| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes()))
    };
    let names = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).filter(holds).collect()
}

#[tokio::test]
async fn a_missing_program_says_so() {
    let error = fails(LimitedChild::new("/no/such/program")).await;
    assert!(error.to_string().starts_with("cannot start `/no/such/program`: "), "{error}");
}

#[tokio::test]
async fn five_hundred_children_leave_nothing_behind() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    evil("echo").run().await.unwrap();
    let before = open();
    for _ in 0..500 {
        evil("echo").run().await.unwrap();
    }
    // Other tests of this binary run meanwhile and hold a few pipes each.
    assert!(open() < before + 60, "{} then {}", before, open());
}
