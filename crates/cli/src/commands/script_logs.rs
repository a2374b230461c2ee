//! The output of a script: from the server that supervises it, or from the files of its log.

use std::time::Duration;

use kapelle_api::{self as api, Client};

use crate::{
    app::App,
    failure::{Code, Failure},
    out::{Out, Tone, paint},
    remote,
    signals::Signals,
};

/// Interval between requests for a followed log.
const EVERY: Duration = Duration::from_millis(300);
/// The most lines that are requested.
const TAIL_MAX: usize = 1_000;

/// Prints the last lines of a script, and follows it on request.
///
/// # Errors
/// When the log does not exist, or the server goes away.
pub async fn run(app: &App, id: &str, tail: usize, follow: bool) -> Result<Code, Failure> {
    let worker = id.split('.').next().unwrap_or(id);
    let tail = tail.min(TAIL_MAX);
    let Some(client) = remote::server(app)? else {
        if follow {
            return Err(Failure::new(Code::Unavailable, "no server supervises the scripts of this project")
                .help("without -f, the log as it was written is shown"));
        }
        return from_file(app, worker, tail);
    };
    let mut next = print(app.out, &client, worker, tail, 0).await?;
    if !follow {
        return Ok(Code::Ok);
    }
    let mut signals = Signals::listen().map_err(|error| Failure::new(Code::Failed, format!("signals: {error}")))?;
    loop {
        tokio::select! {
            code = signals.next() => return Ok(code),
            () = tokio::time::sleep(EVERY) => next = print(app.out, &client, worker, TAIL_MAX, next).await?,
        }
    }
}

/// Prints the lines from a number on. Returns the number of the next line.
async fn print(out: Out, client: &Client, worker: &str, tail: usize, from: u64) -> Result<u64, Failure> {
    let got: api::LogLines = client.get(&format!("/workers/logs/{worker}?tail={tail}")).await?;
    let Some(last) = got.lines.last().map(|line| line.number) else { return Ok(from) };
    if last < from && !got.lines.is_empty() && from > 0 && last + 1 != from {
        // The server was restarted and counts from the beginning.
        return Ok(0);
    }
    for line in got.lines.iter().filter(|line| line.number >= from) {
        if out.json {
            out.print(&serde_json::to_string(line).unwrap_or_default())?;
            continue;
        }
        let tone = match line.stream.as_str() {
            "err" => Tone::Warn,
            "kapelle" => Tone::Bold,
            _ => Tone::Dim,
        };
        let whence = paint(tone, &format!("{}/{}", line.instance, line.stream));
        out.print(&format!("{} {whence} {}", line.at, line.text))?;
    }
    Ok(last + 1)
}

fn from_file(app: &App, worker: &str, tail: usize) -> Result<Code, Failure> {
    let path = app.data()?.join("logs/workers").join(format!("{worker}.log"));
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::io(&path, &error).help("a script has a log once `kapelle serve` or `kapelle supervise` has started it")
    })?;
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(tail)..] {
        app.out.print(line)?;
    }
    Ok(Code::Ok)
}
