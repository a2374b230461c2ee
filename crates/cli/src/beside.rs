//! `kapelle host --each-queue`: one process for each queue, started, watched and ended together.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use kapelle_supervisor::{Ask, ChildProgram, ChildProgramEnd};
use tokio::sync::mpsc;

use crate::{
    app::App,
    commands::host::Args,
    failure::{Code, Failure},
    out::Out,
    settings::Settings,
    signals::Signals,
};

/// The wait before a process that ended by itself is restarted: doubled each time, up to the longest.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MOST: Duration = Duration::from_secs(60);
/// Running time after which the count of failures returns to 0.
const SETTLED: Duration = Duration::from_secs(30);
/// Failures in a row after which the command gives up.
const TRIES: u32 = 5;
/// Exit codes that another start would not change: wrong usage, not found, refused.
const HOPELESS: [i32; 3] = [Code::Usage as i32, Code::NotFound as i32, Code::Refused as i32];

/// The process of a queue.
struct Post {
    out: Out,
    queue: String,
    program: PathBuf,
    args: Vec<OsString>,
}

/// Runs one process for each queue of the configuration until asked to end.
///
/// # Errors
/// When a process cannot work at all, or fails again and again.
pub async fn each_queue(app: &App, settings: &Settings, args: &Args) -> Result<Code, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Code::Failed, format!("the path of this program: {error}")))?;
    let mut signals = Signals::listen().map_err(|error| Failure::new(Code::Failed, format!("signals: {error}")))?;
    let (ends, mut ended) = mpsc::unbounded_channel();
    let (ask, _) = tokio::sync::broadcast::channel(4);
    let mut left = 0;
    for (queue, config) in &settings.config.queues {
        let slots = args.slots.unwrap_or(config.slots);
        if slots == 0 {
            app.out.note(&format!("queue {queue} has no slots and gets no process"));
            continue;
        }
        let post = Post {
            out: app.out,
            queue: queue.clone(),
            program: program.clone(),
            args: arguments(app, args, queue, slots),
        };
        let (asked, ends) = (ask.subscribe(), ends.clone());
        left += 1;
        tokio::spawn(async move {
            let end = post.keep(asked).await;
            let _ = ends.send((post.queue, end));
        });
    }
    let mut code = None;
    let mut failed = None;
    while left > 0 {
        tokio::select! {
            asked = signals.next() => {
                let how = if code.is_none() { "stopping: every process finishes its attempts" } else { "stopping now" };
                app.out.note(how);
                code = Some(asked);
                let _ = ask.send(if asked == Code::Interrupted { Ask::Interrupt } else { Ask::End });
            }
            Some((queue, end)) = ended.recv() => {
                left -= 1;
                if let Err(failure) = end {
                    app.out.warn(&format!("queue {queue} has no process left: {}", failure.message));
                    // The others could continue, but a caller that looks at one exit code must learn of the failure.
                    let _ = ask.send(Ask::End);
                    failed.get_or_insert(failure);
                }
            }
        }
    }
    match failed {
        Some(failure) => Err(failure),
        None => Ok(code.unwrap_or(Code::Ok)),
    }
}

fn arguments(app: &App, args: &Args, queue: &str, slots: u32) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec!["host".into(), "--queue".into(), queue.into()];
    let mut add = |name: &str, value: &str| all.extend([OsString::from(name), OsString::from(value)]);
    add("--name", &format!("{} {queue}", args.name));
    add("--slots", &slots.to_string());
    if let Some(server) = &app.global.server {
        add("--server", server);
    }
    args.worker.iter().for_each(|worker| add("--worker", worker));
    args.label.iter().for_each(|label| add("--label", label));
    if let Some(file) = &app.global.token_file {
        all.extend(["--token-file".into(), file.clone().into_os_string()]);
    }
    if let Some(data) = &app.global.data {
        all.extend(["--data".into(), data.clone().into_os_string()]);
    }
    let flags = [(args.long_poll, "--long-poll"), (app.global.quiet, "--quiet"), (app.global.no_color, "--no-color")];
    for (given, flag) in flags {
        if given {
            all.push(flag.into());
        }
    }
    all
}

impl Post {
    /// Keeps the process running until it is asked to end.
    async fn keep(&self, mut asked: tokio::sync::broadcast::Receiver<Ask>) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            let started = tokio::time::Instant::now();
            let cannot = |error: &dyn std::fmt::Display| Failure::new(Code::Failed, error.to_string());
            let mut process = ChildProgram::start(&self.program, &self.args).await.map_err(|error| cannot(&error))?;
            self.out.note(&format!("queue {}: process {}", self.queue, process.id()));
            let mut ending = false;
            let end = loop {
                tokio::select! {
                    end = process.ended() => break end.map_err(|error| cannot(&error))?,
                    what = asked.recv() => {
                        ending = true;
                        process.ask(what.unwrap_or(Ask::End));
                    }
                }
            };
            if ending {
                return Ok(());
            }
            tries = if started.elapsed() >= SETTLED { 1 } else { tries + 1 };
            if end.code.is_some_and(|code| HOPELESS.contains(&code)) || tries >= TRIES {
                return Err(gone(end, tries));
            }
            let wait = AGAIN.saturating_mul(1 << (tries - 1)).min(AGAIN_MOST);
            self.out.warn(&format!(
                "the process {} of queue {} ended by {end}; next start in {} s",
                process.id(),
                self.queue,
                wait.as_secs()
            ));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = asked.recv() => return Ok(()),
            }
        }
    }
}

fn gone(end: ChildProgramEnd, tries: u32) -> Failure {
    let code = match end.code {
        Some(code) if code == Code::Usage as i32 => Code::Usage,
        Some(code) if code == Code::NotFound as i32 => Code::NotFound,
        Some(code) if code == Code::Refused as i32 => Code::Refused,
        _ => Code::Failed,
    };
    let often = if tries > 1 { format!(", {tries} times in a row") } else { String::new() };
    Failure::new(code, format!("it ended by {end}{often}"))
}
