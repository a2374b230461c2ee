//! Long-lived workers that misbehave.
#![allow(unsafe_code, reason = "a program that misbehaves does so by system calls")]
#![allow(clippy::disallowed_methods, reason = "this program exists to leave processes behind")]

use std::{
    io::{BufRead, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

pub fn run(mode: &str) {
    let again = std::env::args().nth(2);
    match mode {
        "quiet" => stay("quiet"),
        "exit" => std::process::exit(again.and_then(|code| code.parse().ok()).unwrap_or(0)),
        "ignore-term" => {
            ignore_term();
            stay("ignoring");
        }
        "setsid" => {
            leave("worker-ignore-term", true, false);
            stay("left");
        }
        "double-fork" => {
            leave("worker-daemonize", false, false);
            stay("forked");
        }
        "daemonize" => leave("worker-ignore-term", true, false),
        "unmarked" => {
            leave("worker-unmarked-daemonize", false, true);
            stay("forked");
        }
        "unmarked-daemonize" => {
            leave("worker-stray", true, true);
            // While this process lives, the stray is known by its descent: it must have written its number by then.
            while !stray_file().exists() {
                std::thread::park_timeout(std::time::Duration::from_millis(1));
            }
        }
        "stray" => {
            ignore_term();
            stray();
        }
        "flood" => flood(),
        "leak" => leak(),
        "fork" => fork(),
        "close" => {
            for fd in 0..3 {
                // SAFETY: these files are not used again in this program.
                unsafe { libc::close(fd) };
            }
            park();
        }
        "stop" => {
            say("stopping");
            // SAFETY: raises a signal in this process.
            unsafe { libc::raise(libc::SIGSTOP) };
            park();
        }
        "echo" => echo(),
        "server" => server(),
        other => eprintln!("no such mode: {other}"),
    }
}

fn say(text: &str) {
    println!("{text}");
    let _ = std::io::stdout().flush();
}

fn park() {
    loop {
        std::thread::park();
    }
}

fn stay(text: &str) {
    say(text);
    park();
}

fn ignore_term() {
    // SAFETY: ignoring signals runs no code of ours.
    unsafe {
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
}

/// Starts this program in another mode, and does not wait for it.
fn leave(mode: &str, own_session: bool, unmarked: bool) {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.arg(mode).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if unmarked {
        command
            .env_clear()
            .env("UNMARKED", std::env::var_os("RUN").or(std::env::var_os("UNMARKED")).unwrap_or_default());
    }
    if own_session {
        // SAFETY: a plain system call between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                Ok(())
            });
        }
    }
    let _ = command.spawn();
}

/// Returns the file in which a stray writes its number: in the folder that it was started in.
fn stray_file() -> std::path::PathBuf {
    std::env::var_os("UNMARKED").unwrap_or_default().into()
}

/// Writes its number, whole or not at all, and stays.
fn stray() {
    let fresh = stray_file().with_extension("new");
    if std::fs::write(&fresh, std::process::id().to_string()).is_ok() && std::fs::rename(&fresh, stray_file()).is_ok() {
        park();
    }
}

fn flood() {
    let line = [b'x'; 64 << 10];
    let mut out = std::io::stdout();
    while out.write_all(&line).is_ok() {}
}

fn leak() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    say("leaking");
    loop {
        hoard.push(vec![1; 4 << 20]);
        std::thread::park_timeout(std::time::Duration::from_millis(4));
    }
}

/// Forks up to 200 processes that stay, in sessions of their own.
fn fork() {
    for _ in 0..200 {
        // SAFETY: this program has one thread, and the child only waits.
        if unsafe { libc::fork() } == 0 {
            // SAFETY: plain system calls.
            unsafe { libc::setsid() };
            park();
        }
    }
    stay("forked 200");
}

fn echo() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        say(&line);
    }
}

/// Supervises workers that resist their end, until it is killed.
fn server() {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() else {
        return;
    };
    let Ok(helper) = kapelle_supervisor::helper_process::Helper::start(std::env::current_exe().unwrap_or_default())
    else {
        return;
    };
    let run = std::env::var("RUN").unwrap_or_default();
    runtime.block_on(async {
        let mut all = Vec::new();
        for mode in ["worker-ignore-term", "worker-setsid", "worker-double-fork"] {
            let launch = kapelle_supervisor::helper_process::Launch {
                program: std::env::current_exe().unwrap_or_default(),
                args: vec![mode.to_owned()],
                env: vec![("RUN".to_owned(), run.clone())],
                folder: std::env::temp_dir(),
                allowance: kapelle_supervisor::helper_process::Allowance::default(),
            };
            all.extend(helper.spawn(launch).await.ok());
        }
        say(&format!("helper {}", helper.pid().unwrap_or_default()));
        std::future::pending::<()>().await;
    });
}
