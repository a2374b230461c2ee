//! `kapelle schedules`: runs and tasks that start at set times.

mod create;

use kapelle_api::{BackfillRange, Fire, FireState, NextQuery, Paging, Reason, Schedule, ScheduleDeleted};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::{Tone, paint},
    shown,
};

/// Fires that people are shown.
const FIRES: usize = 20;
/// Rows of one page.
const PAGE: u32 = 1_000;

/// List, show, make, pause, fire and delete schedules.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the schedules with their next times
    List,
    /// Show a schedule, its next times, and its last fires with their reasons
    Show {
        /// Its name
        name: String,
    },
    /// Make a schedule
    Create(Box<create::Args>),
    /// Pause a schedule: nothing is fired until it is resumed
    Pause(Change),
    /// Resume a schedule; the times that passed are not fired
    Resume(Change),
    /// Delete a schedule; its runs and tasks continue
    Delete {
        /// Its name
        name: String,
    },
    /// Show the next times
    Next {
        /// Its name
        name: String,
        /// The number of times
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
    },
    /// Fire a schedule now, whatever its times, also a paused one
    Fire {
        /// Its name
        name: String,
        /// An idempotency key: firing again with this one fires once
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Fire the times of a past range that were not started, one after another, at most 100
    Backfill {
        /// Its name
        name: String,
        /// The first time, such as 2026-12-01T00:00:00Z
        #[arg(long, value_name = "TIME")]
        from: String,
        /// The last time, included
        #[arg(long, value_name = "TIME")]
        to: String,
        /// List the times, and fire nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// The schedule that is paused or resumed.
#[derive(Debug, clap::Args)]
struct Change {
    /// Its name
    name: String,
    /// The recorded reason
    #[arg(long, default_value = "by hand")]
    reason: String,
}

/// Runs the verb.
///
/// # Errors
/// When the folder or the server cannot be reached, or it refuses.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => list(app).await,
        Verb::Show { name } => show(app, &name).await,
        Verb::Create(args) => create::run(app, *args).await,
        Verb::Pause(change) => set_paused(app, change, true).await,
        Verb::Resume(change) => set_paused(app, change, false).await,
        Verb::Delete { name } => delete(app, &name).await,
        Verb::Next { name, count } => next(app, &name, count).await,
        Verb::Fire { name, idempotency_key } => fire(app, &name, idempotency_key.as_deref()).await,
        Verb::Backfill { name, from, to, dry_run } => backfill(app, &name, BackfillRange { from, to, dry_run }).await,
    }
}

async fn list(app: &App) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let (mut schedules, mut cursor) = (Vec::new(), None);
    loop {
        let page = session.api().schedules(Paging { limit: Some(PAGE), cursor }).await?;
        schedules.extend(page.schedules);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if app.out.json {
        app.out.print_json(&json!({ "schedules": schedules }))?;
    } else if schedules.is_empty() {
        app.out.note("no schedules; write `on: { schedule: ... }` in a workflow, or use `kapelle schedules create`");
    } else {
        let row = |schedule: &Schedule| {
            let next = match (&schedule.paused_reason, schedule.next.first()) {
                (Some(why), _) => paint(Tone::Warn, &format!("paused: {why}")),
                (None, Some(at)) => at.clone(),
                (None, None) => "never".to_owned(),
            };
            let (name, cron, zone) = (schedule.name.clone(), schedule.cron.clone(), schedule.timezone.clone());
            vec![name, cron, zone, target(schedule), maker(schedule).to_owned(), next]
        };
        let rows = schedules.iter().map(row).collect();
        app.out.print(&shown::table(&["SCHEDULE", "CRON", "TIME ZONE", "STARTS", "MADE BY", "NEXT"], rows))?;
    }
    say_who_fires(app, &session);
    Ok(Code::Ok)
}

fn target(schedule: &Schedule) -> String {
    match (&schedule.workflow, &schedule.worker) {
        (Some(workflow), _) => format!("workflow {workflow}"),
        (None, worker) => format!("worker {}", worker.as_deref().unwrap_or_default()),
    }
}

fn maker(schedule: &Schedule) -> &str {
    schedule.file.as_deref().or(schedule.created_by.as_deref()).unwrap_or("owner")
}

/// Says that times pass while no server runs.
fn say_who_fires(app: &App, session: &ApiSession) {
    if session.is_local() {
        app.out.note("schedules are fired while `kapelle serve` runs");
    }
}

async fn show(app: &App, name: &str) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let schedule = session.api().schedule(name).await?;
    if app.out.json {
        app.out.print_json(&json!(schedule))?;
    } else {
        print(app, &schedule)?;
    }
    say_who_fires(app, &session);
    Ok(Code::Ok)
}

/// Prints a schedule for people.
fn print(app: &App, schedule: &Schedule) -> Result<(), Failure> {
    app.out.print(&format!("{}: {} in {}, {}", schedule.name, schedule.cron, schedule.timezone, target(schedule)))?;
    if let Some(file) = &schedule.file {
        app.out.print(&format!("made by {file}, which changes it"))?;
    }
    if let Some(why) = &schedule.paused_reason {
        app.out.print(&paint(Tone::Warn, &format!("paused: {why}")))?;
    }
    let jitter = match schedule.jitter_ms {
        0 => String::new(),
        ms => format!(", delayed by up to {}", shown::duration(kapelle::core::DurationMs(ms))),
    };
    app.out.print(&format!("missed times: {}, open ones: {}{jitter}", schedule.catch_up, schedule.overlap))?;
    if schedule.with != json!({}) {
        app.out.print(&format!("inputs: {}", schedule.with))?;
    }
    let next = if schedule.next.is_empty() { "never".to_owned() } else { schedule.next.join("\n      ") };
    app.out.print(&format!("next: {next}"))?;
    let fires = schedule.fires.as_deref().unwrap_or_default();
    let (newest, earlier) = fires.split_at(fires.len().min(FIRES));
    if !newest.is_empty() {
        app.out.print(&table(newest))?;
    }
    if !earlier.is_empty() {
        app.out.note(&format!("and {} earlier ones, with --json", earlier.len()));
    }
    Ok(())
}

/// Formats what became of times.
fn table(fires: &[Fire]) -> String {
    let row = |fire: &Fire| {
        let state = match fire.state {
            FireState::Started | FireState::Queued => fire.state.to_string(),
            _ => paint(Tone::Warn, fire.state.as_str()),
        };
        vec![fire.scheduled_at.clone(), fire.kind.to_string(), state, fire.explanation.clone()]
    };
    shown::table(&["TIME", "FIRED BY", "STATE", "WHY"], fires.iter().map(row).collect())
}

async fn set_paused(app: &App, change: Change, paused: bool) -> Result<Code, Failure> {
    let why = Reason { reason: Some(change.reason) };
    let session = ApiSession::open_existing(app).await?;
    let done = match paused {
        true => session.api().pause_schedule(&change.name, why).await,
        false => session.api().resume_schedule(&change.name, why).await,
    };
    let schedule = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(schedule))?;
    } else if paused {
        app.out.print(&format!("schedule {} is paused", schedule.name))?;
    } else {
        let next = schedule.next.first().map_or("never", String::as_str);
        app.out.print(&format!("schedule {} is resumed; next: {next}", schedule.name))?;
    }
    Ok(Code::Ok)
}

async fn delete(app: &App, name: &str) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let done = session.api().delete_schedule(name).await;
    let deleted: ScheduleDeleted = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(deleted))?;
    } else {
        app.out.print(&format!("schedule {} is deleted", deleted.name))?;
    }
    Ok(Code::Ok)
}

async fn next(app: &App, name: &str, count: u32) -> Result<Code, Failure> {
    let next = ApiSession::reading(app)?.api().next_fires(name, NextQuery { count: Some(count) }).await?;
    if app.out.json {
        app.out.print_json(&json!(next))?;
    } else if next.times.is_empty() {
        app.out.note("it never comes again");
    } else {
        app.out.print(&next.times.join("\n"))?;
    }
    Ok(Code::Ok)
}

async fn fire(app: &App, name: &str, key: Option<&str>) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let local = session.is_local();
    let done = session.api().fire_schedule(name, key).await;
    let fire = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(fire))?;
    } else {
        app.out.print(&fire.explanation)?;
    }
    if local && fire.state == FireState::Started {
        app.out.note("`kapelle serve` or `kapelle resume` works on it");
    }
    Ok(if fire.state == FireState::Refused { Code::Failed } else { Code::Ok })
}

async fn backfill(app: &App, name: &str, range: BackfillRange) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let done = session.api().backfill_schedule(name, range).await;
    let filled = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(filled))?;
    } else if filled.times.is_empty() {
        app.out.note("nothing to fire: every time of the range was started before");
    } else if filled.dry_run {
        app.out.print(&filled.times.join("\n"))?;
        app.out.note("nothing is fired; without --dry-run these times are");
    } else {
        app.out.print(&table(&filled.fires))?;
    }
    Ok(Code::Ok)
}
