//! `kapelle schedules create`.

use std::path::Path;

use kapelle::core::DurationMs;
use kapelle_api::{CatchUp, NewSchedule, Overlap};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    inputs::InputArgs,
};

/// Make a schedule.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "CRON has five fields (minute, hour, day of the month, month, day of the week), or six with the seconds \
                  first; or is @hourly, @daily, @weekly, @monthly or @yearly; or a span such as 15m. Inputs may hold \
                  expressions over fire.scheduled, fire.time, fire.date and fire.schedule."
)]
pub struct Args {
    /// Its name
    name: String,
    /// The times
    #[arg(long)]
    cron: String,
    /// The time zone of the times, such as Europe/Berlin
    #[arg(long, value_name = "NAME", default_value = "UTC")]
    timezone: String,
    /// The workflow to run: a name of the project, or of one that was run before
    #[arg(long, value_name = "NAME", conflicts_with = "worker", required_unless_present = "worker")]
    workflow: Option<String>,
    /// The worker to submit a task to
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    #[command(flatten)]
    inputs: InputArgs,
    /// The rule for times missed while no server ran: skip, one or all
    #[arg(long, value_name = "RULE", default_value = "skip", value_parser = catch_up)]
    catch_up: CatchUp,
    /// The rule while an earlier one is open: allow, skip, queue or cancel_running
    #[arg(long, value_name = "RULE", default_value = "skip", value_parser = overlap)]
    overlap: Overlap,
    /// The longest random delay, such as 30s
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    jitter: DurationMs,
    /// Take the place of a schedule of that name
    #[arg(long)]
    replace: bool,
}

fn duration(text: &str) -> Result<DurationMs, String> {
    DurationMs::parse(text).map_err(|error| error.to_string())
}

fn catch_up(text: &str) -> Result<CatchUp, String> {
    CatchUp::from_word(text).ok_or_else(|| "expected skip, one or all".to_owned())
}

fn overlap(text: &str) -> Result<Overlap, String> {
    Overlap::from_word(text).ok_or_else(|| "expected allow, skip, queue or cancel_running".to_owned())
}

/// Runs the verb.
///
/// # Errors
/// When a field is wrong, the name is taken, or the folder cannot be opened.
pub(super) async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    // An input may be an expression where the schema wants a number, so the schema is checked with the schedule.
    let inputs = args.inputs.read(None, Path::new("."))?;
    if inputs.has_files() {
        let failure = Failure::usage("--input: a schedule keeps no files; expected values");
        return Err(failure.help("give the name of the file, and let a step read it"));
    }
    let request = NewSchedule {
        name: args.name,
        cron: args.cron,
        timezone: Some(args.timezone),
        workflow: args.workflow,
        worker: args.worker,
        with: inputs.value,
        catch_up: Some(args.catch_up),
        overlap: Some(args.overlap),
        jitter_ms: args.jitter.0,
        replace: args.replace,
    };
    let session = ApiSession::open(app).await?;
    let local = session.is_local();
    let done = session.api().create_schedule(request).await;
    let made = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(made))?;
    } else {
        app.out.print(&format!("schedule {} is made; next: {}", made.name, made.next.join(", ")))?;
    }
    if local {
        app.out.note("schedules are fired while `kapelle serve` runs");
    }
    Ok(Code::Ok)
}
