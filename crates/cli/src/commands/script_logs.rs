//! The output of a script: from the server that supervises it, or from the files of its log.

use std::time::Duration;

use kapelle_api::{Api, LogLine};

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::{Out, Tone, paint},
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
pub async fn run(app: &App, session: &ApiSession, id: &str, (tail, follow): (usize, bool)) -> Result<Code, Failure> {
    let worker = id.split('.').next().unwrap_or(id);
    if follow && session.is_local() {
        return Err(Failure::new(Code::Unavailable, "no server supervises the scripts of this project")
            .help("without -f, the log as it was written is shown"));
    }
    let mut next = print(app.out, session.api(), worker, (tail.min(TAIL_MAX), 0)).await?;
    if !follow {
        return Ok(Code::Ok);
    }
    let mut signals = Signals::listen().map_err(|error| Failure::new(Code::Failed, format!("signals: {error}")))?;
    loop {
        tokio::select! {
            code = signals.next() => return Ok(code),
            () = tokio::time::sleep(EVERY) => next = print(app.out, session.api(), worker, (TAIL_MAX, next)).await?,
        }
    }
}

/// Prints the lines from a number on. Returns the number of the next line.
async fn print(out: Out, api: &dyn Api, worker: &str, (tail, from): (usize, u64)) -> Result<u64, Failure> {
    let got = api.script_logs(worker, tail).await?;
    let Some(last) = got.lines.last().map(|line| line.number) else { return Ok(from) };
    if last < from && from > 0 && last + 1 != from {
        // The server was restarted and counts from the beginning.
        return Ok(0);
    }
    for line in got.lines.iter().filter(|line| line.number >= from) {
        if out.json {
            out.print(&serde_json::to_string(line).unwrap_or_default())?;
        } else {
            out.print(&text(line))?;
        }
    }
    Ok(last + 1)
}

fn text(line: &LogLine) -> String {
    let tone = match line.stream.as_str() {
        "err" => Tone::Warn,
        "kapelle" => Tone::Bold,
        _ => Tone::Dim,
    };
    let whence = paint(tone, &format!("{}/{}", line.instance, line.stream));
    format!("{} {whence} {}", line.at, line.text)
}
