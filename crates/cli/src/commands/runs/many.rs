//! Acts on many runs: `--all` with its filters.

use kapelle_api::{BulkRuns, RunAct, RunQuery};

use crate::{
    app::App,
    bulk_change::{self, Change, Sure},
    failure::{Code, Failure},
    moment,
};

/// The runs of an act on many.
#[derive(Debug, clap::Args)]
pub(super) struct Many {
    /// All runs that the act fits and the options below name; their number is shown and confirmed first
    #[arg(long)]
    pub(super) all: bool,
    /// With --all: only runs of this workflow
    #[arg(long, value_name = "NAME", requires = "all")]
    workflow: Option<String>,
    /// With --all: only runs with this text in their id, workflow, starter or error
    #[arg(long = "text", value_name = "TEXT", requires = "all")]
    q: Option<String>,
    /// With --all: only runs started from then on: a time back from now, such as 7d, or a date
    #[arg(long, value_name = "TIME", value_parser = moment::parse, requires = "all")]
    since: Option<String>,
    /// With --all: only runs started before then, as --since
    #[arg(long, value_name = "TIME", value_parser = moment::parse, requires = "all")]
    until: Option<String>,
    #[command(flatten)]
    sure: Sure,
}

/// Cancels, reruns, pauses or resumes many runs. `state` narrows those that a rerun takes.
///
/// # Errors
/// When the change is not confirmed, or a request is refused.
pub(super) async fn carry_out(
    app: &App,
    (action, state): (RunAct, Option<&str>),
    many: &Many,
    reason: Option<&str>,
) -> Result<Code, Failure> {
    let change = |verb, done| Change { verb, done, noun: "run" };
    let (change, open, paused) = match action {
        RunAct::Cancel => (change("cancel", "cancelled"), Some(true), None),
        RunAct::Rerun => (change("rerun", "started again"), None, None),
        RunAct::Pause => (change("pause", "paused"), Some(true), Some(false)),
        RunAct::Resume => (change("resume", "resumed"), Some(true), Some(true)),
    };
    bulk_change::carry_out(app, change, &many.sure, async |api, dry_run, before| {
        let filter = RunQuery {
            workflow: many.workflow.clone(),
            q: many.q.clone(),
            since: many.since.clone(),
            until: many.until.clone(),
            state: state.map(str::to_owned),
            open,
            paused,
            before,
            ..RunQuery::default()
        };
        let reason = reason.map(str::to_owned);
        api.bulk_runs(BulkRuns { action, ids: None, filter: Some(filter), dry_run, reason }).await
    })
    .await
}
