//! `kapelle top`: the work of a server, live.

mod frame;
mod snapshot;

use std::time::Duration;

use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure},
    out, remote,
    signals::Signals,
    terminal::{self, Terminal},
};
use frame::{Frame, Rates};
use snapshot::Snapshot;

/// Show the work of a server, live. Keys: q quits, p pauses, any other redraws.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one frame and exit, as when the output is not a terminal
    #[arg(long)]
    once: bool,
    /// The interval between two frames, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

/// Runs the verb.
///
/// # Errors
/// When the server cannot be found, or it refuses.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let client = remote::client(app)?;
    let first = Snapshot::take(&client).await?;
    if app.out.json {
        app.out.print_json(&json!(first))?;
        return Ok(Code::Ok);
    }
    if args.once || !out::stdout_is_terminal() {
        let frame = Frame { snapshot: &first, rates: None, paused: false, server: client.base() };
        // A pipe has no width; a file of frames is read on a terminal of the usual width.
        let (width, _) = if out::stdout_is_terminal() { terminal::size() } else { (100, 0) };
        app.out.print(&frame.lines(width, usize::MAX).join("\n"))?;
        return Ok(Code::Ok);
    }
    live(&client, first, Duration::from_secs(args.every)).await
}

async fn live(client: &kapelle_api::Client, first: Snapshot, every: Duration) -> Result<Code, Failure> {
    let gone = |error: std::io::Error| Failure::new(Code::Failed, format!("the terminal: {error}"));
    let mut signals = Signals::listen().map_err(gone)?;
    let mut terminal = Terminal::take().map_err(gone)?;
    let colour = anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
    let (mut now, mut rates, mut paused) = (first, None, false);
    let mut trouble: Option<String> = None;
    let mut tick = tokio::time::interval(every);
    tick.reset();
    loop {
        let (width, height) = terminal::size();
        let frame = Frame { snapshot: &now, rates: rates.as_ref(), paused, server: client.base() };
        let mut lines = frame.lines(width, height);
        if let Some(trouble) = &trouble {
            lines.truncate(height.saturating_sub(1));
            lines.push(frame::cut(&out::paint(out::Tone::Bad, trouble), width));
        }
        if !colour {
            lines.iter_mut().for_each(|line| *line = anstream::adapter::strip_str(line).to_string());
        }
        terminal.draw(&lines).map_err(gone)?;
        let look = tokio::select! {
            code = signals.next() => return Ok(if code == Code::Interrupted { Code::Ok } else { code }),
            key = terminal.key() => match key {
                b'q' | b'Q' => return Ok(Code::Ok),
                b'p' | b'P' => {
                    paused = !paused;
                    !paused
                }
                _ => false,
            },
            _ = tick.tick() => !paused,
        };
        if look {
            // A server that is away for a moment is reported, and asked again.
            match Snapshot::take(client).await {
                Ok(next) => {
                    rates = Rates::between(&now, &next);
                    (now, trouble) = (next, None);
                }
                Err(failure) => trouble = Some(failure.message),
            }
        }
    }
}
