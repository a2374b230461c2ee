//! `kapelle runs estimate FILE|NAME|RUN`.

use std::path::PathBuf;

use kapelle::{Money, core::DurationMs};
use kapelle_api::{Estimate, EstimateCase, EstimateSource, EstimatedStep, ExpectedUse, Range, StartRun};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    commands::run::{StrategyArg, wrong_inputs},
    failure::{Code, Failure},
    ids,
    inputs::InputArgs,
    shown, workflow,
};

/// Estimate time, cost and tokens of a run before it starts
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The workflow: a file, or the name of one in workflows/. Or a run such as run_3, to compare its estimate with
    /// what it took
    #[arg(value_name = "FILE|RUN")]
    file: PathBuf,
    #[command(flatten)]
    inputs: InputArgs,
    /// The order in which ready steps start, instead of the one in the file
    #[arg(long, value_enum)]
    strategy: Option<StrategyArg>,
}

/// Runs the verb.
///
/// # Errors
/// When the workflow or an input is invalid, or the run does not exist.
pub(super) async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let estimate = match ids::run(&args.file.to_string_lossy()) {
        Ok(run) if !args.file.exists() => ApiSession::reading(app)?.api().run_estimate(&run.to_string()).await?,
        _ => of_file(app, args).await?,
    };
    if app.out.json {
        app.out.print_json(&json!(estimate))?;
    } else {
        app.out.print(&text(&estimate))?;
    }
    Ok(Code::Ok)
}

async fn of_file(app: &App, args: Args) -> Result<Estimate, Failure> {
    let workflow = workflow::read(&workflow::find(&app.project, &args.file)?)?;
    let mut inputs = args.inputs.read(workflow.definition.inputs.as_deref(), workflow.folder())?;
    kapelle::check_inputs(&workflow.definition, &mut inputs.value).map_err(|error| wrong_inputs(&workflow, error))?;
    let start = StartRun {
        source: Some(String::from_utf8_lossy(&workflow.source).into_owned()),
        inputs: inputs.value,
        strategy: args.strategy.map(|strategy| strategy.word().to_owned()),
        ..StartRun::default()
    };
    Ok(ApiSession::reading_any(app)?.api().estimate(start).await?)
}

/// Formats an amount as `$0.0012`, with two digits that matter.
fn money(amount: u64) -> String {
    if amount == 0 { "$0".to_owned() } else { Money(amount).to_string() }
}

fn time(ms: u64) -> String {
    shown::duration(DurationMs(ms))
}

/// Formats a range: one value when all are equal.
fn range(of: Range, show: impl Fn(u64) -> String) -> String {
    if of.low == of.high {
        show(of.likely)
    } else {
        format!("{} ({} to {})", show(of.likely), show(of.low), show(of.high))
    }
}

fn number(value: u64) -> String {
    value.to_string()
}

fn source(step: &EstimatedStep) -> String {
    match step.source {
        EstimateSource::Runs => format!("earlier runs, {}", shown::count(step.samples as usize, "task")),
        EstimateSource::Worker if step.samples == 0 => "estimate of that workflow".to_owned(),
        EstimateSource::Worker => format!("its worker, {}", shown::count(step.samples as usize, "task")),
        EstimateSource::Written => "written in the file".to_owned(),
        EstimateSource::Model => "guess, from tokens and prices".to_owned(),
        EstimateSource::Guess => "guess".to_owned(),
    }
}

fn summary(of: &ExpectedUse) -> String {
    format!(
        "time    {}\ncost    {}\ncalls   {}\ntokens  {} in, {} out\n",
        range(of.duration_ms, time),
        range(of.cost_nanousd, money),
        range(of.calls, number),
        range(of.input_tokens, number),
        range(of.output_tokens, number),
    )
}

fn text(estimate: &Estimate) -> String {
    let from = match estimate.runs {
        0 => "no earlier run is known".to_owned(),
        runs => format!("from {}", shown::count(runs as usize, "earlier run")),
    };
    let mut text = format!("{}: {from}; likely (low to high)\n\n{}\n", estimate.workflow, summary(&estimate.total));
    let row = |step: &EstimatedStep| {
        vec![
            step.path.clone(),
            step.worker.clone().unwrap_or_else(|| "-".to_owned()),
            format!("{}{}", range(step.times, number), if step.times_known { "" } else { " ?" }),
            range(step.one.duration_ms, time),
            range(step.total.cost_nanousd, money),
            source(step),
        ]
    };
    let rows = estimate.steps.iter().map(row).collect();
    text.push_str(&shown::table(&["STEP", "WORKER", "TIMES", "TIME OF ONE", "COST OF ALL", "FROM"], rows));
    text.push('\n');
    if estimate.guessed > 0 {
        let steps = shown::count(estimate.guessed as usize, "step");
        text.push_str(&format!("\n{steps} guessed. After a first run the estimate knows more.\n"));
    }
    for stop in &estimate.stops {
        let case = if stop.case == EstimateCase::Likely { "likely" } else { "at worst" };
        text.push_str(&format!(
            "\nThe budget `{}` {case} stops it at step {}: {} are left, {} are needed.\n",
            stop.account,
            stop.step,
            money(stop.left_nanousd),
            money(stop.needed_nanousd)
        ));
    }
    if let Some(line) = compared(estimate) {
        text.push_str(&format!("\n{line}\n"));
    }
    text
}

/// Returns estimate and actual in one line. `None` for a run that has not ended.
pub(super) fn compared(estimate: &Estimate) -> Option<String> {
    let actual = estimate.actual.as_ref()?;
    let total = &estimate.total;
    let mut line = format!("estimated {}, took {}", range(total.duration_ms, time), time(actual.duration_ms));
    if total.cost_nanousd.high > 0 || actual.cost_nanousd > 0 {
        line += &format!("; estimated {}, cost {}", range(total.cost_nanousd, money), money(actual.cost_nanousd));
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_value_when_it_is_known() {
        assert_eq!(range(Range { low: 3, likely: 3, high: 3 }, number), "3");
        assert_eq!(range(Range { low: 1_000, likely: 2_000, high: 65_000 }, time), "2.0 s (1.0 s to 1 m 05 s)");
        assert_eq!((money(0), money(1_500_000)), ("$0".to_owned(), "$0.0015".to_owned()));
    }
}
