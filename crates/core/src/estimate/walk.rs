//! The way of an estimate through a workflow: block by block, each step with its number of times.

use serde_json::Value as Json;

use super::{
    chance::Chance,
    facts::Facts,
    limits::{Parked, parked},
    paths::Timetable,
    span::{Counts, Expected, Span},
};
use crate::{
    definition::{Action, BlockIx, Definition, ForEach, Repeat, StepDef, Strategy, Timer, Wait, WaitFor, graph},
    expr::{Context, Path, Shared, Template},
    name::Name,
};

/// Items of a list of which nothing is known.
const ITEMS: (u64, u64, u64) = (1, 10, 100);
/// Milliseconds of a task of which nothing is known.
const TASK_MS: (u64, u64, u64) = (1, 100, 10_000);
/// Tokens of the prompt around an input, and those of an input of which nothing is known.
const PROMPT: (u64, u64, u64) = (100, 300, 1_000);
const INPUT: (u64, u64, u64) = (50, 500, 4_000);
/// Tokens of an answer of which nothing is known.
const ANSWER: (u64, u64) = (50, 300);
/// Milliseconds before an answer, and for each token of it.
const LATENCY: (u64, u64, u64) = (300, 800, 3_000);
const TOKEN_MS: (u64, u64, u64) = (5, 15, 40);

/// Origin of the numbers of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Earlier runs of the same step.
    Runs,
    /// Tasks of its worker elsewhere, or runs of the workflow that it starts.
    Worker,
    /// A time written in the workflow.
    Written,
    /// The length of its input and the prices of its model; the length of the answer is a guess.
    Model,
    /// Nothing: a guess.
    Guess,
}

/// Expected times, duration and spending of a step.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct StepEstimate {
    /// Path, with `[]` for the number of an item or a turn.
    pub path: String,
    pub worker: Option<Name>,
    /// Queue of its tasks.
    pub queue: Option<Name>,
    pub source: Source,
    /// Tasks or runs that the numbers come from.
    pub samples: u64,
    /// Number of times.
    pub times: Span,
    /// Whether that number follows from the inputs and the file alone.
    pub times_known: bool,
    /// Once.
    pub one: Expected,
    /// All times together.
    pub total: Expected,
    /// Likely time from the start of the run to the first start of the step.
    pub start_ms: u64,
}

/// Expected duration and spending of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Spending of all steps; the duration is that of the run.
    pub total: Expected,
    /// Sum of the durations of all steps: the time of a run that does one thing at a time.
    pub work_ms: Span,
    /// Steps that do something, in the order of the file.
    pub steps: Vec<StepEstimate>,
    /// Budgets that are too small, the first to stop the run first.
    pub parked: Vec<Parked>,
    /// Earlier runs that were read.
    pub runs: u64,
}

/// Estimates a run of a workflow with those inputs. Without inputs nothing is known of lists and conditions.
#[must_use]
pub fn estimate(definition: &Definition, strategy: &Strategy, facts: &Facts, inputs: Option<&Json>) -> Estimate {
    let mut walk =
        Walk { definition, strategy, facts, context: inputs.and_then(|it| context(definition, it)), steps: Vec::new() };
    let (mut critical, mut work) =
        walk.block(definition.root, &At { prefix: String::new(), start_ms: 0, times: Counts::ONE, sure: true }, None);
    if let Some(block) = definition.finally {
        let at = At { prefix: "finally".to_owned(), start_ms: critical.likely(), times: Counts::ONE, sure: true };
        let (more, sum) = walk.block(block, &at, None);
        (critical, work) = (critical.plus(more), work.plus(sum));
    }
    let steps = walk.steps;
    let busy = busiest(&steps, facts).zip(work, u64::min);
    let spent = steps.iter().fold(Expected::default(), |sum, step| sum.spent_plus(step.total));
    let mut limits = facts.limits.clone();
    if let Some(budget) = definition.budget {
        limits.push(super::Limit { account: "run".to_owned(), of: super::LimitOf::All, left: budget.0 });
    }
    Estimate {
        total: Expected { duration_ms: critical.max(busy), ..spent },
        work_ms: work,
        parked: parked(&limits, &steps),
        steps,
        runs: facts.history.runs(),
    }
}

/// Returns the names that expressions can use before the start.
fn context(definition: &Definition, inputs: &Json) -> Option<Context> {
    let context = Context::new().with("inputs", Shared::from_json(inputs));
    let vars = definition.vars.render(&context).ok()?;
    Some(context.with("vars", Shared::from_json(&vars)))
}

/// Returns the time of the queue whose slots have the most work.
fn busiest(steps: &[StepEstimate], facts: &Facts) -> Span {
    let of = |queue: &Name, slots: u32| {
        let own = steps.iter().filter(|step| step.queue.as_ref() == Some(queue));
        let sum = own.fold(Span::ZERO, |sum, step| {
            let all = step.one.duration_ms.zip(step.times, u64::saturating_mul);
            sum.plus(all)
        });
        sum.zip(Span::ZERO, |sum, _| sum / u64::from(slots.max(1)))
    };
    facts.slots.iter().map(|(queue, slots)| of(queue, *slots)).fold(Span::ZERO, Span::max)
}

/// The place of a block or a step in the run.
#[derive(Clone)]
struct At {
    prefix: String,
    start_ms: u64,
    times: Counts,
    /// Whether the number of times follows from the inputs and the file.
    sure: bool,
}

struct Walk<'a> {
    definition: &'a Definition,
    strategy: &'a Strategy,
    facts: &'a Facts,
    context: Option<Context>,
    steps: Vec<StepEstimate>,
}

/// The time of a part of the run, and the sum of the times in it.
type Times = (Span, Span);

impl<'a> Walk<'a> {
    fn block(&mut self, index: BlockIx, at: &At, first: Option<u32>) -> Times {
        let definition = self.definition;
        let block = definition.block(index);
        let mut table = Timetable::new(block.steps.len());
        let (mut work, mut before) = (Span::ZERO, Span::ZERO);
        for step in graph::levels(block).into_iter().flatten() {
            let start = table.ready(block, step, self.strategy, before);
            let start_ms = at.start_ms.saturating_add(start.likely());
            let of = block.step(step);
            let separator = if at.prefix.is_empty() { "" } else { "." };
            let prefix = format!("{}{separator}{}", at.prefix, of.name);
            let place = At { prefix, start_ms, ..at.clone() };
            let (critical, sum) = self.step(of, place);
            table.end[step.0 as usize] = start.plus(critical);
            before = start.plus(critical);
            work = work.plus(sum);
        }
        (table.whole(block, first), work)
    }

    /// Estimates a step with its condition.
    fn step(&mut self, step: &'a StepDef, at: At) -> Times {
        if step.is_handler {
            // It runs only after a failure, which the likely run does not have.
            let times = Counts { low: 0.0, likely: 0.0, high: at.times.high };
            self.items(step, At { times, sure: false, ..at });
            return (Span::ZERO, Span::ZERO);
        }
        let chance = self.chance(step, &at.prefix);
        let sure = at.sure && matches!(chance, Chance::Known(_));
        let times = chance.of(at.times);
        let (critical, work) = self.items(step, At { times, sure, ..at });
        (chance.duration(critical), chance.duration(work))
    }

    fn chance(&self, step: &StepDef, path: &str) -> Chance {
        let is_branch = matches!(step.action, Action::Branch { .. });
        let condition = step.condition.as_ref().filter(|_| !is_branch);
        if let Some(is) = condition
            .and_then(|condition| self.known(condition.references(), |context| condition.eval_bool(context).ok()))
        {
            return Chance::Known(is);
        }
        match self.facts.history.chance(path) {
            Chance::Unknown if condition.is_some() || !step.unless_begun.is_empty() => Chance::Unknown,
            Chance::Unknown => Chance::Known(true),
            Chance::Seen { taken, of } if taken == of && condition.is_none() => Chance::Known(true),
            seen => seen,
        }
    }

    /// Evaluates what refers only to the inputs and `vars`.
    fn known<'p, T>(
        &self,
        references: impl IntoIterator<Item = &'p Path>,
        evaluate: impl FnOnce(&Context) -> Option<T>,
    ) -> Option<T> {
        let context = self.context.as_ref()?;
        let all = references.into_iter().all(|path| matches!(path.root(), "inputs" | "vars"));
        if all { evaluate(context) } else { None }
    }

    /// Estimates the items of a step.
    fn items(&mut self, step: &'a StepDef, at: At) -> Times {
        let Some(ForEach { list, max_parallel, .. }) = &step.for_each else { return self.turns(step, at) };
        let known = self.known(list.references(), |context| list.render_shared(context).ok()?.len());
        let seen = || self.facts.history.items(&at.prefix);
        let known = known.or_else(|| Some(list.as_constant()?.as_array()?.len()));
        let items = known.map(|items| Span::exact(items as u64)).or_else(seen);
        let items = items.unwrap_or(Span::new(ITEMS.0, ITEMS.1, ITEMS.2));
        let at_once = u64::from((*max_parallel).min(self.slots(step)).max(1));
        let first = step.first.map_or(u64::MAX, u64::from);
        let waves = Span::exact(first).zip(items, |first, items| first.min(items).div_ceil(at_once));
        let inner = At {
            prefix: format!("{}[]", at.prefix),
            times: at.times.of_items(items),
            sure: at.sure && known.is_some(),
            start_ms: at.start_ms,
        };
        let (one, sum) = self.turns(step, inner);
        let wave = self.facts.history.wave_ms(&at.prefix, at_once).unwrap_or(one);
        let critical = wave.zip(waves, u64::saturating_mul);
        (critical, sum.zip(items, u64::saturating_mul).max(critical))
    }

    /// Returns how many tasks of a step run at once.
    fn slots(&self, step: &StepDef) -> u32 {
        let Action::Worker { worker, .. } = &step.action else { return u32::MAX };
        let queue = step.queue.as_ref().or_else(|| self.facts.queues.get(worker));
        queue.and_then(|queue| self.facts.slots.get(queue)).copied().unwrap_or(u32::MAX)
    }

    /// Estimates the turns of a step.
    fn turns(&mut self, step: &'a StepDef, at: At) -> Times {
        let Some(Repeat { until, max }) = &step.repeat else { return self.action(step, at) };
        let most = u64::from(*max);
        let seen = self.facts.history.items(&at.prefix).filter(|_| until.is_some());
        let turns = match (seen, until) {
            (Some(seen), _) => seen.zip(Span::exact(most), u64::min),
            (None, None) => Span::exact(most),
            (None, Some(_)) => Span::new(1, most.div_ceil(2), most),
        };
        let inner = At {
            prefix: format!("{}[]", at.prefix),
            times: at.times.of_items(turns),
            sure: at.sure && until.is_none(),
            start_ms: at.start_ms,
        };
        let (one, sum) = self.action(step, inner);
        (one.zip(turns, u64::saturating_mul), sum.zip(turns, u64::saturating_mul))
    }

    fn action(&mut self, step: &'a StepDef, at: At) -> Times {
        match &step.action {
            Action::Steps(block) => self.block(*block, &at, step.first),
            Action::Branch { then, otherwise } => self.branch(step, (*then, *otherwise), &at),
            Action::Worker { worker, with } => {
                let queue = step.queue.clone().or_else(|| self.facts.queues.get(worker).cloned());
                let (one, source, samples) = self.task(&at.prefix, worker, with);
                self.leaf(at, (Some(worker.clone()), queue), (one, source, samples), true)
            }
            Action::Workflow { workflow, wait, .. } => {
                let found = self.facts.workflows.get(workflow).map(|run| (run.expected, Source::Worker, run.tasks));
                let (one, source, samples) = found.unwrap_or((guessed(), Source::Guess, 0));
                let own = self.facts.history.expected(&at.prefix).map(|(own, samples)| (own, Source::Runs, samples));
                self.leaf(at, (None, None), own.unwrap_or((one, source, samples)), *wait)
            }
            Action::Wait(wait) => {
                let found = self.wait(wait, &at.prefix);
                self.leaf(at, (None, None), found, true)
            }
        }
    }

    fn leaf(
        &mut self,
        at: At,
        (worker, queue): (Option<Name>, Option<Name>),
        (one, source, samples): (Expected, Source, u64),
        waits: bool,
    ) -> Times {
        let times = at.times.span();
        let total = one.spent_times(at.times);
        let total = Expected { duration_ms: one.duration_ms.times(at.times), ..total };
        let (path, start_ms, times_known) = (at.prefix, at.start_ms, at.sure);
        self.steps.push(StepEstimate {
            path,
            worker,
            queue,
            source,
            samples,
            times,
            times_known,
            one,
            total,
            start_ms,
        });
        let took = if waits { one.duration_ms } else { Span::ZERO };
        (took, took)
    }

    fn task(&self, path: &str, worker: &Name, with: &Template) -> (Expected, Source, u64) {
        if let Some((own, samples)) = self.facts.history.expected(path) {
            return (own, Source::Runs, samples);
        }
        if let Some(sample) = self.facts.workers.get(worker) {
            return (sample.expected, Source::Worker, sample.tasks);
        }
        match self.facts.models.get(worker) {
            None => (guessed(), Source::Guess, 0),
            Some(model) => {
                let count = |input: &Json| (self.facts.tokens)(&input.to_string());
                let known = with.as_constant().map(count);
                let known = known.or_else(|| {
                    self.known(with.references(), |context| with.render(context).ok().map(|it| count(&it)))
                });
                let input = known.map_or(Span::new(INPUT.0, INPUT.1, INPUT.2), Span::exact);
                let input = input.plus(Span::new(PROMPT.0, PROMPT.1, PROMPT.2));
                let most = model.output_max.max(1);
                let output = Span::new(ANSWER.0.min(most), ANSWER.1.min(most), most);
                let cost = input.zip(output, |input, output| {
                    let cost = model.input_price.saturating_mul(input);
                    cost.saturating_add(model.output_price.saturating_mul(output))
                        .min(model.cost_max.unwrap_or(u64::MAX))
                });
                let token_ms = Span::new(TOKEN_MS.0, TOKEN_MS.1, TOKEN_MS.2);
                let latency = Span::new(LATENCY.0, LATENCY.1, LATENCY.2);
                let duration_ms = latency.plus(token_ms.zip(output, u64::saturating_mul));
                let calls = Span::exact(1);
                (Expected { duration_ms, cost, calls, input_tokens: input, output_tokens: output }, Source::Model, 0)
            }
        }
    }

    fn wait(&self, wait: &Wait, path: &str) -> (Expected, Source, u64) {
        let lasts = |duration_ms| Expected { duration_ms, ..Expected::default() };
        if let WaitFor::Timer(Timer::Fixed(time)) = &wait.target {
            return (lasts(Span::exact(time.0)), Source::Written, 0);
        }
        if let Some((own, samples)) = self.facts.history.expected(path) {
            return (own, Source::Runs, samples);
        }
        (lasts(Span::new(0, 0, wait.timeout.map_or(0, |timeout| timeout.0))), Source::Guess, 0)
    }

    fn branch(&mut self, step: &StepDef, (then, otherwise): (BlockIx, Option<BlockIx>), at: &At) -> Times {
        let condition = step.condition.as_ref();
        let known = condition
            .and_then(|condition| self.known(condition.references(), |context| condition.eval_bool(context).ok()));
        let chance = known.map_or_else(|| self.way(then, otherwise, &at.prefix), Chance::Known);
        let sure = at.sure && known.is_some();
        let way = |walk: &mut Walk<'a>, block, chance: Chance| {
            let at = At { times: chance.of(at.times), sure, ..at.clone() };
            let (critical, work) = walk.block(block, &at, None);
            (chance.duration(critical), chance.duration(work))
        };
        let (critical, work) = way(self, then, chance);
        let Some(block) = otherwise else { return (critical, work) };
        let (other, sum) = way(self, block, chance.other());
        (chance.either(critical, other), chance.either(work, sum))
    }

    /// Returns how often the first way was taken, from rows whose names are in only one of the blocks.
    fn way(&self, then: BlockIx, otherwise: Option<BlockIx>, prefix: &str) -> Chance {
        let of = |block: BlockIx, other: Option<BlockIx>| {
            let names = self.definition.block(block).steps.iter().map(|step| step.name.as_str());
            let own = names.filter(|name| other.is_none_or(|other| self.definition.block(other).find(name).is_none()));
            own.map(|name| self.facts.history.seen(&format!("{prefix}.{name}"))).max().unwrap_or(0)
        };
        let taken = of(then, otherwise);
        let all = match otherwise {
            Some(block) => taken + of(block, Some(then)),
            None => self.facts.history.seen(prefix).max(taken),
        };
        if all == 0 { Chance::Unknown } else { Chance::Seen { taken, of: all } }
    }
}

fn guessed() -> Expected {
    Expected { duration_ms: Span::new(TASK_MS.0, TASK_MS.1, TASK_MS.2), ..Expected::default() }
}
