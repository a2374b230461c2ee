//! The rules of a submission, common to all interfaces.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{
    Category, DurationMs, Money, Name, Requires, TenantId, Timestamp,
    cache::CacheRule,
    limit::KeyLimit,
    plain,
    retry::{Jitter, RetryPolicy},
    task_rate::TaskRate,
    worker::{Effect, WorkerSpec},
};
use kapelle_engine::{SubmitTask, question::cacheable};

use crate::{app::App, app_error::AppError, artifacts};

/// The longest accepted duration, in milliseconds: a hundred years.
const LONGEST_MS: u64 = 100 * 366 * 86_400_000;
/// The most attempts.
const ATTEMPTS_MAX: u32 = 1_000;

/// Builds a task for the engine.
///
/// # Errors
/// An invalid field, its value, and the possible ones.
pub(crate) fn task(app: &App, tenant: TenantId, given: api::SubmitTask) -> Result<SubmitTask, AppError> {
    let worker = Name::parse(&given.worker).map_err(|error| AppError::input("worker", error))?;
    let spec = app.known(tenant, &worker)?;
    if !(-100..=100).contains(&given.priority) {
        return Err(AppError::input("priority", format!("{} is not within -100 and 100", given.priority)));
    }
    let input = match app.schema(&spec)? {
        None => given.input,
        Some(schema) => schema
            .admit(if given.input.is_null() { serde_json::json!({}) } else { given.input })
            .map_err(|error| AppError::input("input", error.message))?,
    };
    let queue = optional_name("queue", given.queue.as_deref())?;
    let requires = Requires::parse(&given.requires).map_err(|error| AppError::input("requires", error))?;
    artifacts::check(app, tenant, &input)?;
    let retry = given.retry.as_ref().map(|retry| policy(retry, &spec)).transpose()?;
    let rule = given.cache.map(|cache| CacheRule { max_age: cache.max_age_ms.map(DurationMs) });
    let cache = cacheable(&spec, rule, &input);
    let max_cost = given.max_cost_nanousd.map(|cost| Money(cost.min(i64::MAX.unsigned_abs())));
    Ok(SubmitTask {
        queue,
        requires,
        priority: given.priority,
        key: given.key.as_deref().map(Name::key).transpose().map_err(|error| AppError::input("key", error))?,
        delay: DurationMs(bounded("delay_ms", given.delay_ms)?),
        deadline: given.deadline.as_deref().map(|text| deadline(text, app.now())).transpose()?,
        ttl: optional_duration("ttl_ms", given.ttl_ms)?,
        timeout: optional_duration("timeout_ms", given.timeout_ms)?,
        retry,
        max_cost,
        cache,
        ..SubmitTask::new(worker, app.engine().payload(&input)?)
    })
}

/// Builds the description of a host's worker.
///
/// # Errors
/// An invalid field.
pub(crate) fn spec(given: &api::Served) -> Result<Arc<WorkerSpec>, AppError> {
    let name = Name::parse(given.name()).map_err(|error| AppError::input("workers", error))?;
    let mut spec = WorkerSpec::named(name.as_str());
    if let api::Served::Worker(worker) = given {
        spec.description = plain::lines(&worker.description);
        if let Some(queue) = optional_name("workers.queue", worker.queue.as_deref())? {
            spec.queue = queue;
        }
        spec.slots = worker.slots.unwrap_or(spec.slots);
        spec.timeout = optional_duration("workers.timeout_ms", worker.timeout_ms)?;
        spec.retry = worker.retry.as_ref().map(|retry| policy(retry, &spec)).transpose()?;
        spec.per_key = worker.per_key.map(KeyLimit::from);
        if spec.per_key.is_some_and(|rule| rule.limit == 0) {
            let message = format!("workers.per_key.limit of {name}: 0 lets no task run; expected at least 1");
            return Err(AppError::unprocessable(message));
        }
        spec.effects = effects(&name, &worker.effects)?;
        let rate = worker.rate.as_deref().map(TaskRate::parse).transpose();
        spec.rate = rate.map_err(|error| AppError::unprocessable(format!("workers.rate of {name}: {error}")))?;
        spec.requires = Requires::parse(&worker.requires)
            .map_err(|error| AppError::unprocessable(format!("workers.requires of {name}: {error}")))?;
        for (field, schema) in [("input", &worker.input), ("output", &worker.output)] {
            if let Some(schema) = schema {
                kapelle_workers::schema::Schema::compile(schema)
                    .map_err(|error| AppError::unprocessable(format!("workers.{field} of {name}: {error}")))?;
            }
        }
        (spec.input, spec.output) = (worker.input.clone(), worker.output.clone());
    }
    Ok(Arc::new(spec))
}

/// Reads the effects that a host declares for a worker.
fn effects(name: &Name, given: &[String]) -> Result<Vec<Effect>, AppError> {
    let read = |word: &String| {
        Effect::from_word(word).ok_or_else(|| {
            let known: Vec<&str> = Effect::ALL.into_iter().map(Effect::as_str).collect();
            let shown: String = word.chars().take(40).collect();
            let known = known.join(", ");
            AppError::unprocessable(format!("workers.effects of {name}: `{shown}` is not known; expected {known}"))
        })
    };
    given.iter().take(Effect::ALL.len()).map(read).collect()
}

/// Parses names of queues.
///
/// # Errors
/// The first invalid name.
pub(crate) fn names(field: &str, given: &[String]) -> Result<Arc<[Name]>, AppError> {
    let parsed = given.iter().map(|name| Name::parse(name));
    parsed.collect::<Result<_, _>>().map_err(|error| AppError::input(field, error))
}

fn optional_name(field: &str, given: Option<&str>) -> Result<Option<Name>, AppError> {
    let parsed = given.map(Name::parse).transpose();
    parsed.map_err(|error| AppError::input(field, error))
}

fn bounded(field: &str, ms: u64) -> Result<u64, AppError> {
    if ms > LONGEST_MS {
        return Err(AppError::input(field, format!("{ms} is longer than a hundred years")));
    }
    Ok(ms)
}

/// Checks a duration.
///
/// # Errors
/// When it is shorter than `least` or longer than a hundred years.
pub(crate) fn span(field: &str, ms: u64, least: u64) -> Result<DurationMs, AppError> {
    if (least..=LONGEST_MS).contains(&ms) {
        return Ok(DurationMs(ms));
    }
    Err(AppError::input(field, format!("{ms}; expected {least} to {LONGEST_MS} milliseconds (a hundred years)")))
}

fn optional_duration(field: &str, ms: Option<u64>) -> Result<Option<DurationMs>, AppError> {
    match ms {
        None => Ok(None),
        Some(0) => Err(AppError::input(field, "expected more than 0")),
        Some(ms) => bounded(field, ms).map(|ms| Some(DurationMs(ms))),
    }
}

fn deadline(text: &str, now: Timestamp) -> Result<Timestamp, AppError> {
    let parsed = text.parse::<jiff::Timestamp>();
    let stamp = parsed.map_err(|_| {
        let shown: String = text.chars().take(60).collect();
        AppError::unprocessable(format!(
            "deadline: `{shown}` is not an RFC 3339 time; expected one such as 2026-12-01T10:00:00Z"
        ))
    })?;
    let at = Timestamp(stamp.as_millisecond());
    // No later than the other accepted times, so that every time in an answer can be formatted.
    if at > Timestamp(now.0 + LONGEST_MS.cast_signed()) {
        return Err(AppError::unprocessable("deadline: expected a time within a hundred years"));
    }
    Ok(at)
}

fn policy(given: &api::Retry, spec: &WorkerSpec) -> Result<RetryPolicy, AppError> {
    let wrong = |what: String| AppError::unprocessable(format!("retry.{what}"));
    let usual = spec.retry.clone().unwrap_or_default();
    let max_attempts = given.max_attempts.unwrap_or(usual.max_attempts);
    if !(1..=ATTEMPTS_MAX).contains(&max_attempts) {
        return Err(wrong(format!("max_attempts: {max_attempts} is not between 1 and {ATTEMPTS_MAX}")));
    }
    let multiplier = given.multiplier.unwrap_or(usual.multiplier);
    if !(1.0..=100.0).contains(&multiplier) {
        return Err(wrong(format!("multiplier: {multiplier} is not between 1 and 100")));
    }
    let jitter = match given.jitter.as_deref() {
        None => usual.jitter,
        Some("none") => Jitter::None,
        Some("full") => Jitter::Full,
        Some("equal") => Jitter::Equal,
        Some(other) => return Err(wrong(format!("jitter: `{other}` is not none, full or equal"))),
    };
    let on = match &given.on {
        None => usual.on,
        Some(words) => {
            let known = words.iter().map(|word| {
                category(word).ok_or_else(|| {
                    let all = Category::ALL.map(Category::as_str).join(", ");
                    wrong(format!(
                        "on: `{word}` is not a category; expected some of {all}, or none for no further attempt"
                    ))
                })
            });
            Some(known.collect::<Result<_, _>>()?)
        }
    };
    Ok(RetryPolicy {
        max_attempts,
        delay: DurationMs(bounded("retry.delay_ms", given.delay_ms.unwrap_or(usual.delay.0))?),
        multiplier,
        max_delay: DurationMs(bounded("retry.max_delay_ms", given.max_delay_ms.unwrap_or(usual.max_delay.0))?),
        jitter,
        on,
    })
}

fn category(word: &str) -> Option<Category> {
    Category::from_word(word)
}
