//! One change of many things: they are counted first, and the person is asked.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};

use kapelle_api::{Api, BulkRefusal, BulkResult, ClientError};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    shown,
};

/// Refusals that are printed.
const REFUSED: usize = 10;

/// Whether and how a change of many things is confirmed.
#[derive(Debug, Clone, clap::Args)]
pub struct Sure {
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
    /// Only say how many there are, and do nothing
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
}

/// A change of many things: its verb, and their name.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// Such as `cancel`.
    pub verb: &'static str,
    /// Such as `cancelled`.
    pub done: &'static str,
    /// Such as `run`.
    pub noun: &'static str,
}

/// Counts the things that a filter names, asks, and changes them. `ask` makes one request; it is told whether to change
/// nothing, and the id before which it continues.
///
/// # Errors
/// When the person does not agree or cannot be asked, or a request is refused.
pub async fn carry_out(
    app: &App,
    change: Change,
    sure: &Sure,
    ask: impl AsyncFn(&dyn Api, bool, Option<String>) -> Result<BulkResult, ClientError>,
) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let counted = all(session.api(), true, &ask).await;
    let counted = match counted {
        Ok(counted) if counted.done > 0 && !sure.dry_run => counted,
        other => return said(app, change, &session.close(other).await?),
    };
    if let Err(failure) = agreed(change, &counted, sure) {
        session.close(Ok(())).await?;
        return Err(failure);
    }
    let done = all(session.api(), false, &ask).await;
    said(app, change, &session.close(done).await?)
}

/// Asks page by page, and adds the answers up.
async fn all(
    api: &dyn Api,
    dry_run: bool,
    ask: &impl AsyncFn(&dyn Api, bool, Option<String>) -> Result<BulkResult, ClientError>,
) -> Result<BulkResult, ClientError> {
    let mut sum = BulkResult { dry_run, ..BulkResult::default() };
    let mut before = None;
    loop {
        let page = ask(api, dry_run, before).await?;
        sum.matched += page.matched;
        sum.done += page.done;
        sum.spent_nanousd += page.spent_nanousd;
        sum.last.clone_from(&page.last);
        before = page.last;
        sum.ids.extend(page.ids);
        sum.refused.extend(page.refused);
        if !page.more || before.is_none() {
            return Ok(sum);
        }
    }
}

fn agreed(change: Change, counted: &BulkResult, sure: &Sure) -> Result<(), Failure> {
    if sure.yes {
        return Ok(());
    }
    let Change { verb, noun, .. } = change;
    let many = many(counted.done, noun);
    let spent = match counted.spent_nanousd {
        0 => String::new(),
        spent => format!(", which cost {} so far", shown::money(kapelle::Money(spent))),
    };
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        let failure = Failure::usage(format!("this would {verb} {many}{spent}; nothing was done"));
        return Err(failure.help("--yes does it without asking, --dry-run only counts"));
    }
    let mut line = String::new();
    let asked = write!(stderr(), "{verb} {many}{spent}? [y/N] ").and_then(|()| stdin().lock().read_line(&mut line));
    match asked {
        Ok(_) if matches!(line.trim().to_lowercase().as_str(), "y" | "yes") => Ok(()),
        _ => Err(Failure::new(Code::Interrupted, format!("nothing was done: {verb} of {many} was not confirmed"))),
    }
}

fn said(app: &App, change: Change, result: &BulkResult) -> Result<Code, Failure> {
    let Change { verb, done, noun } = change;
    if app.out.json {
        app.out.print_json(&json!(result))?;
        return Ok(Code::Ok);
    }
    let count = many(result.done, noun);
    match (result.dry_run, result.done) {
        (_, 0) if result.refused.is_empty() => app.out.note(&format!("no {noun} to {verb}")),
        (true, _) => app.out.print(&format!("{count} to {verb}"))?,
        (false, _) => app.out.print(&format!("{done} {count}"))?,
    }
    for BulkRefusal { id, detail } in result.refused.iter().take(REFUSED) {
        app.out.note(&format!("{id}: {detail}"));
    }
    if result.refused.len() > REFUSED {
        app.out.note(&format!("and {} more were refused", result.refused.len() - REFUSED));
    }
    Ok(Code::Ok)
}

fn many(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
