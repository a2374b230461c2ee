//! A child that misbehaves in the way its first argument names.

#[path = "evil_workers.rs"]
mod workers;

use std::io::{Read, Write};

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    if let Some(mode) = mode.strip_prefix("worker-") {
        return workers::run(mode);
    }
    match mode.as_str() {
        "echo" => echo(),
        "environment" => {
            print!("{}", std::env::vars().map(|(name, value)| format!("{name}={value};")).collect::<String>())
        }
        "memory" => memory(),
        "spin" => loop {
            std::hint::spin_loop();
        },
        "sleep" => wait_forever(),
        "flood" => flood(&mut std::io::stdout()),
        "flood-stderr" => flood(&mut std::io::stderr()),
        "orphan" => orphan(false),
        "orphan-and-wait" => orphan(true),
        "supervise" => supervise(),
        kapelle_supervisor::helper_process::HELPER_VERB => {
            let arguments: Vec<String> = std::env::args().skip(2).collect();
            let _ = kapelle_supervisor::helper_process::helper_main(&arguments);
        }
        "abort" => std::process::abort(),
        "exit" => std::process::exit(7),
        "file" => std::process::exit(i32::from(
            std::fs::write(std::env::temp_dir().join("kapelle-evil-child"), b"x").is_err(),
        )),
        "files" => files(),
        "stack" => print!("{}", dig(1)),
        other => eprintln!("no such mode: {other}"),
    }
}

fn echo() {
    let mut input = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut input);
    let _ = std::io::stdout().write_all(&input);
    eprintln!("read {} bytes", input.len());
}

fn memory() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 8 << 20]);
    }
}

fn wait_forever() {
    loop {
        std::thread::park();
    }
}

fn flood(out: &mut dyn Write) {
    let line = [b'x'; 8 << 10];
    for _ in 0..(1 << 30) / line.len() {
        if out.write_all(&line).is_err() {
            return;
        }
    }
}

/// Leaves a grandchild that holds the pipes open, and prints its id.
#[allow(clippy::disallowed_methods, reason = "this program exists to leave processes behind")]
fn orphan(wait: bool) {
    if let Ok(me) = std::env::current_exe()
        && let Ok(grandchild) = std::process::Command::new(me).arg("sleep").spawn()
    {
        print!("{}", grandchild.id());
        eprintln!("grandchild {}", grandchild.id());
    }
    let _ = std::io::stdout().flush();
    if wait {
        wait_forever();
    }
}

/// Starts a child in a group of its own, under the mark of this process.
fn supervise() {
    let mark = std::env::var_os("MARK").unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    if let (Ok(me), Ok(runtime)) = (std::env::current_exe(), runtime) {
        let mut child = kapelle_supervisor::LimitedChild::new(me);
        child.args.push("sleep".into());
        child.env.push(("MARK".into(), mark));
        let _ = runtime.block_on(child.run());
    }
}

fn files() {
    let mut open = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        open.push(file);
        if open.len() > 4_096 {
            return;
        }
    }
    std::process::exit(9);
}

fn dig(depth: u64) -> u64 {
    let filler = std::hint::black_box([depth; 64]);
    if depth == 0 { 0 } else { dig(depth + 1) + filler[7] }
}
