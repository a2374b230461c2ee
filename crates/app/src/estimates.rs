//! Estimates of runs, from earlier runs and tasks. The rules are in `kapelle_core::estimate`; this reads the facts.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use kapelle_api as api;
use kapelle_core::{
    Account, Name, RunId, TaskId, TenantId,
    definition::{Action, Definition},
    estimate::{
        Case, Estimate, Expected, Facts, Limit, LimitOf, ModelFacts, Row, Sample, Source, Span, StepEstimate, estimate,
    },
    run::{RunStatus, StatusKind},
    task::{StateKind, Task, TaskState},
};
use kapelle_gateway::estimate_tokens;
use kapelle_store::{AccountRow, Page, RunFilter, RunRow};

use crate::{
    app::App,
    app_error::AppError,
    budgets,
    caller::{Caller, Permission},
    run_start, run_view, settings, workflow_files,
};

/// Earlier runs of a workflow that are read, the steps of one, and the steps of all.
const RUNS: u32 = 10;
const STEPS_EACH: u32 = 1_000;
const STEPS: usize = 4_000;
/// Newest tasks that are looked at for workers without such steps, and those of one worker that are used.
const TASKS: u32 = 3_000;
const TASKS_EACH: usize = 50;
/// Workflows within workflows that are estimated.
const DEPTH: u32 = 3;
/// Steps that an answer shows.
const SHOWN: usize = 1_000;

/// Point in time of an estimate: the first run and task that are not known yet.
#[derive(Debug, Clone, Copy, Default)]
struct Before {
    run: Option<RunId>,
    task: Option<TaskId>,
}

impl App {
    /// Estimates a run without starting it.
    ///
    /// # Errors
    /// Every problem of the text with its position; inputs that do not fit. An unknown worker is a guess: a host may
    /// add it before the run starts.
    pub async fn estimate(self: &Arc<Self>, by: &Caller, given: api::StartRun) -> Result<api::Estimate, AppError> {
        by.allow(Permission::Read)?;
        let tenant = by.tenant;
        let strategy = given.strategy.as_deref().map(run_start::strategy).transpose()?;
        let read = self.list_for(tenant, move |app| {
            let (_, definition) = app.version_of(tenant, &given)?;
            let mut inputs = given.inputs;
            workflow_files::check_inputs(&definition, &mut inputs).map_err(|error| AppError::input("inputs", error))?;
            let mut facts = app.facts(tenant, &definition, Before::default(), DEPTH)?;
            facts.limits = app.limits(tenant)?;
            let strategy = strategy.unwrap_or_else(|| definition.strategy.clone());
            Ok(shown(&definition, &estimate(&definition, &strategy, &facts, Some(&inputs))))
        });
        read.await
    }

    /// Returns the estimate of a run from what was known before it started, and what it took.
    ///
    /// # Errors
    /// When the tenant has no such run.
    pub async fn run_estimate(self: &Arc<Self>, by: &Caller, id: RunId) -> Result<api::Estimate, AppError> {
        by.allow(Permission::Read)?;
        let row = self.one_run(by.tenant, id)?;
        self.list_for(by.tenant, move |app| {
            let definition = app.stored_definition(row.tenant, row.version)?;
            let inputs = app.engine.value(&row.inputs)?;
            let first = app.reader().steps(row.id, TaskId(0), 1)?.first().map(|task| task.id);
            let facts = app.facts(row.tenant, &definition, Before { run: Some(row.id), task: first }, DEPTH)?;
            let found = estimate(&definition, &row.strategy, &facts, Some(&inputs));
            let (took, spent) = (duration(&row), app.spent(row.tenant, Account::Run(row.id))?);
            let actual = took.map(|duration_ms| api::ActualUse {
                duration_ms,
                cost_nanousd: spent.spent.0,
                calls: spent.calls,
                input_tokens: spent.input,
                output_tokens: spent.output,
            });
            let workflow = row.workflow.to_string();
            Ok(api::Estimate { workflow, actual, stops: Vec::new(), ..shown(&definition, &found) })
        })
        .await
    }

    /// Reads what is known before a run of a definition.
    fn facts(&self, tenant: TenantId, definition: &Definition, before: Before, depth: u32) -> Result<Facts, AppError> {
        let mut facts = Facts { tokens: estimate_tokens, ..Facts::default() };
        let mut left = STEPS;
        for run in self.earlier(tenant, &definition.name, before)? {
            let rows = self.reader().steps(run.id, TaskId(0), STEPS_EACH)?;
            left = left.saturating_sub(rows.len());
            self.add_run(&mut facts, &run, &rows)?;
            if left == 0 {
                break;
            }
        }
        let steps = definition.blocks.iter().flat_map(|block| &block.steps);
        let (mut workers, mut workflows) = (BTreeSet::new(), BTreeSet::new());
        for step in steps {
            match &step.action {
                Action::Worker { worker, .. } => drop(workers.insert(worker.clone())),
                Action::Workflow { workflow, .. } => drop(workflows.insert(workflow.clone())),
                _ => {}
            }
        }
        self.add_workers(&mut facts, tenant, workers, before)?;
        for workflow in workflows {
            if let Some(sample) = self.run_sample(tenant, &workflow, before, depth)? {
                facts.workflows.insert(workflow, sample);
            }
        }
        // The slots of worker hosts are not known, so that queues are no bound where there are hosts.
        if self.memory.hosts.of(tenant).is_empty() {
            let slots = self.settings().queues.clone();
            let of = |queue: &Name| (queue.clone(), slots.get(queue).copied().unwrap_or(settings::OTHER_SLOTS));
            facts.slots = facts.queues.values().map(of).collect();
        }
        Ok(facts)
    }

    /// Returns the newest runs of a workflow that succeeded, before a point in time.
    fn earlier(&self, tenant: TenantId, workflow: &Name, before: Before) -> Result<Vec<RunRow>, AppError> {
        let filter =
            RunFilter { workflow: Some(workflow.clone()), states: vec![StatusKind::Succeeded], ..RunFilter::default() };
        Ok(self.reader().runs(tenant, &filter, Page { before: before.run.map(|run| run.0), most: RUNS })?)
    }

    fn add_run(&self, facts: &mut Facts, run: &RunRow, rows: &[Task]) -> Result<(), AppError> {
        let mut started: HashMap<TaskId, AccountRow> = HashMap::new();
        for child in self.reader().children(run.tenant, run.id, run_view::CHILDREN)? {
            let row = self.reader().run(run.tenant, child)?;
            if let Some(task) = row.and_then(|row| row.parent?.task) {
                started.insert(task, self.spent(run.tenant, Account::Run(child))?);
            }
        }
        let mut seen = Vec::with_capacity(rows.len());
        for task in rows {
            let Some(origin) = &task.origin else { continue };
            let spent = match started.remove(&task.id) {
                Some(spent) => spent,
                None => self.spent(task.tenant, Account::Task(task.id))?,
            };
            let took_ms = match &task.state {
                TaskState::Succeeded { ended_at, .. } => Some(ended_at.since(task.created_at).0),
                _ => None,
            };
            seen.push(Row {
                path: &origin.path,
                began: task.state.kind() != StateKind::Skipped,
                took_ms,
                cost: spent.spent.0,
                calls: spent.calls,
                input_tokens: spent.input,
                output_tokens: spent.output,
            });
        }
        facts.history.add_run(&seen);
        Ok(())
    }

    /// Adds what is known of workers: their queues, models and newest tasks.
    fn add_workers(
        &self,
        facts: &mut Facts,
        tenant: TenantId,
        workers: BTreeSet<Name>,
        before: Before,
    ) -> Result<(), AppError> {
        let mut samples: BTreeMap<Name, Vec<[u64; 5]>> = BTreeMap::new();
        let newest =
            if workers.is_empty() { Vec::new() } else { self.reader().newest_successes(tenant, before.task, TASKS)? };
        for task in newest {
            let TaskState::Succeeded { started_at, ended_at, .. } = &task.state else { continue };
            let own = samples.get(&task.worker).map_or(0, Vec::len);
            if own >= TASKS_EACH || !workers.contains(&task.worker) {
                continue;
            }
            let spent = self.spent(tenant, Account::Task(task.id))?;
            let one = [ended_at.since(*started_at).0, spent.spent.0, spent.calls, spent.input, spent.output];
            samples.entry(task.worker.clone()).or_default().push(one);
        }
        for worker in workers {
            if let Some(sample) = samples.get(&worker).and_then(|of| sample(of)) {
                facts.workers.insert(worker.clone(), sample);
            }
            // A worker host may add it later.
            let Some(spec) = self.spec(tenant, &worker) else { continue };
            facts.queues.insert(worker.clone(), spec.queue.clone());
            if let Some((name, price, output_max)) =
                spec.model.as_ref().and_then(|it| self.gateway.first_model(it.as_str()))
            {
                let cost_max = spec.max_cost.map(|cost| cost.0);
                let (input_price, output_price) = (price.input, price.output);
                facts.models.insert(worker, ModelFacts { name, input_price, output_price, output_max, cost_max });
            }
        }
        Ok(())
    }

    /// Returns time and spending of a run that a step starts: of earlier ones, otherwise an estimate.
    fn run_sample(
        &self,
        tenant: TenantId,
        workflow: &Name,
        before: Before,
        depth: u32,
    ) -> Result<Option<Sample>, AppError> {
        let mut seen = Vec::new();
        for run in self.earlier(tenant, workflow, before)? {
            let Some(took) = duration(&run) else { continue };
            let spent = self.spent(tenant, Account::Run(run.id))?;
            seen.push([took, spent.spent.0, spent.calls, spent.input, spent.output]);
        }
        if !seen.is_empty() || depth == 0 {
            return Ok(sample(&seen));
        }
        let given = api::StartRun { workflow: Some(workflow.to_string()), ..api::StartRun::default() };
        let Ok((_, definition)) = self.version_of(tenant, &given) else { return Ok(None) };
        let facts = self.facts(tenant, &definition, before, depth - 1)?;
        let found = estimate(&definition, &definition.strategy, &facts, None);
        Ok(Some(Sample { expected: found.total, tasks: 0 }))
    }

    fn spent(&self, tenant: TenantId, account: Account) -> Result<AccountRow, AppError> {
        let found = self.reader().account(tenant, &account, 0)?;
        Ok(found.unwrap_or_else(|| AccountRow::new(tenant, account, 0)))
    }

    /// Returns what is left of the budgets that a run of the tenant spends from.
    fn limits(&self, tenant: TenantId) -> Result<Vec<Limit>, AppError> {
        let found = budgets::standing(self.reader(), Some(tenant), self.now())?;
        let limit = |(row, spent): (kapelle_store::BudgetRow, kapelle_core::Money)| {
            let of = match &row.account {
                Account::Day | Account::Tenant => LimitOf::All,
                Account::Queue(name) => LimitOf::Queue(Name::new(name)),
                Account::Worker(name) => LimitOf::Worker(Name::new(name)),
                _ => return None,
            };
            Some(Limit { account: row.account.written(), of, left: row.limit.0.saturating_sub(spent.0) })
        };
        Ok(found.into_iter().filter_map(limit).collect())
    }
}

/// Returns the duration of a run that ended.
fn duration(run: &RunRow) -> Option<u64> {
    let ended = match &run.status {
        RunStatus::Succeeded { ended_at, .. }
        | RunStatus::Failed { ended_at, .. }
        | RunStatus::Cancelled { ended_at, .. } => *ended_at,
        _ => return None,
    };
    Some(ended.since(run.created_at).0)
}

fn sample(of: &[[u64; 5]]) -> Option<Sample> {
    let span = |at: usize| Span::of(of.iter().map(|one| one[at]).collect());
    let expected = Expected {
        duration_ms: span(0)?,
        cost: span(1)?,
        calls: span(2)?,
        input_tokens: span(3)?,
        output_tokens: span(4)?,
    };
    Some(Sample { expected, tasks: of.len() as u64 })
}

fn range(span: Span) -> api::Range {
    api::Range { low: span.low(), likely: span.likely(), high: span.high() }
}

fn expected(of: &Expected) -> api::ExpectedUse {
    api::ExpectedUse {
        duration_ms: range(of.duration_ms),
        cost_nanousd: range(of.cost),
        calls: range(of.calls),
        input_tokens: range(of.input_tokens),
        output_tokens: range(of.output_tokens),
    }
}

fn step(of: &StepEstimate) -> api::EstimatedStep {
    api::EstimatedStep {
        path: of.path.clone(),
        worker: of.worker.as_ref().map(ToString::to_string),
        source: match of.source {
            Source::Runs => api::EstimateSource::Runs,
            Source::Worker => api::EstimateSource::Worker,
            Source::Written => api::EstimateSource::Written,
            Source::Model => api::EstimateSource::Model,
            Source::Guess => api::EstimateSource::Guess,
        },
        samples: of.samples,
        times: range(of.times),
        times_known: of.times_known,
        start_ms: of.start_ms,
        one: expected(&of.one),
        total: expected(&of.total),
    }
}

fn shown(definition: &Definition, found: &Estimate) -> api::Estimate {
    let is_guess = |step: &&StepEstimate| matches!(step.source, Source::Model | Source::Guess);
    let stops = found.parked.iter().map(|stop| api::EstimatedStop {
        account: stop.account.clone(),
        step: stop.step.clone(),
        case: match stop.case {
            Case::Likely => api::EstimateCase::Likely,
            Case::High => api::EstimateCase::High,
        },
        left_nanousd: stop.left,
        needed_nanousd: stop.needed,
    });
    api::Estimate {
        workflow: definition.name.to_string(),
        runs: found.runs,
        total: expected(&found.total),
        work_ms: range(found.work_ms),
        guessed: found.steps.iter().filter(is_guess).count() as u64,
        stops: stops.collect(),
        steps: found.steps.iter().take(SHOWN).map(step).collect(),
        steps_more: found.steps.len() > SHOWN,
        actual: None,
    }
}
