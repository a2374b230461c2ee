//! History as the API gives it.

use std::{collections::BTreeMap, sync::Arc};

use kapelle_api as api;
use kapelle_core::Timestamp;
use kapelle_store::history::{Dimension, Figures, Point, Resolution};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    to_api,
};

/// Values of one series.
const VALUES: i64 = 1_000;
/// Values of one report.
const VALUES_ALL: usize = 100_000;
/// The default length, in milliseconds: an hour.
const USUAL_MS: i64 = 3_600_000;
const METRICS: [&str; 16] = [
    "throughput",
    "failures",
    "wait_p50",
    "wait_p95",
    "duration_p50",
    "duration_p95",
    "depth",
    "running",
    "slots",
    "runs",
    "spend",
    "calls",
    "input_tokens",
    "output_tokens",
    "cpu",
    "memory",
];

/// A checked question.
struct Wanted {
    metrics: Vec<&'static str>,
    dimension: Dimension,
    resolution: Resolution,
    from: i64,
    to: i64,
    step: i64,
}

impl App {
    /// Returns the history of metrics of the tenant.
    ///
    /// # Errors
    /// When a parameter is invalid, or the store fails.
    pub async fn series(self: &Arc<Self>, by: &Caller, given: api::SeriesQuery) -> Result<api::SeriesReport, AppError> {
        by.allow(Permission::Read)?;
        let wanted = wanted(&given, self.now().0)?;
        let tenant = by.tenant;
        let listed = self.list_for(tenant, move |app| {
            let Wanted { dimension, resolution, from, to, .. } = wanted;
            // The figures of the last seconds belong to it.
            app.write_history(false)?;
            let Some(history) = app.memory.recorder.history() else { return Ok(report(&wanted, &[])) };
            let points = history.read((tenant, dimension), resolution, (from, to))?;
            let mut told = report(&wanted, &points);
            for mark in history.marks((from, to))? {
                let at = to_api::time(Timestamp(mark.at));
                told.marks.push(api::SeriesMark { at, kind: mark.kind, text: mark.text });
            }
            Ok(told)
        });
        listed.await
    }
}

fn wanted(given: &api::SeriesQuery, now: i64) -> Result<Wanted, AppError> {
    let mut metrics = Vec::new();
    for word in given.metric.split(',').map(str::trim) {
        let known = METRICS.into_iter().find(|metric| *metric == word);
        metrics.push(known.ok_or_else(|| {
            let word: String = word.chars().take(40).collect();
            AppError::parameter("metric", format!("`{word}` is not known; expected some of {}", METRICS.join(", ")))
        })?);
    }
    let dimension = match given.by.as_deref().unwrap_or("all") {
        "all" => Dimension::All,
        "queue" => Dimension::Queue,
        "worker" => Dimension::Worker,
        "provider" => Dimension::Provider,
        "model" => Dimension::Model,
        other => {
            let other: String = other.chars().take(40).collect();
            let message = format!("`{other}` is not known; expected all, queue, worker, provider or model");
            return Err(AppError::parameter("by", message));
        }
    };
    let to = given.to.as_deref().map_or(Ok(now), |text| time("to", text))?;
    let from = given.from.as_deref().map_or(Ok(to - USUAL_MS), |text| time("from", text))?;
    if from >= to {
        return Err(AppError::parameter("from", "it is not before `to`; expected an earlier time"));
    }
    let finest = Resolution::ALL
        .into_iter()
        .find(|resolution| from >= now - resolution.kept_ms() && (to - from) / resolution.span_ms() <= VALUES);
    let step = match given.step {
        Some(step) => i64::try_from(step)
            .ok()
            .filter(|step| *step > 0 && step % 10_000 == 0)
            .ok_or_else(|| AppError::parameter("step", "expected a multiple of 10,000 ms, such as 60000"))?,
        None => {
            let span = finest.unwrap_or(Resolution::Hour).span_ms();
            // A year of hours has more values than a chart.
            span * ((to - from) / span / VALUES + 1)
        }
    };
    if (to - from) / step > VALUES {
        return Err(AppError::parameter("step", format!("too many values; expected at most {VALUES}; make it longer")));
    }
    let fits = |resolution: &Resolution| step % resolution.span_ms() == 0 && from >= now - resolution.kept_ms();
    let resolution = Resolution::ALL
        .into_iter()
        .find(fits)
        .or_else(|| Resolution::ALL.into_iter().rev().find(|resolution| step % resolution.span_ms() == 0));
    let resolution = resolution.unwrap_or(Resolution::TenSeconds);
    let from = from - from.rem_euclid(step);
    Ok(Wanted { metrics, dimension, resolution, from, to, step })
}

/// Parses a time in a query.
pub(crate) fn time(field: &str, text: &str) -> Result<i64, AppError> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.map(jiff::Timestamp::as_millisecond).map_err(|_| {
        let text: String = text.chars().take(40).collect();
        AppError::parameter(field, format!("`{text}` is not a time; expected one such as 2026-11-30T08:00:00Z"))
    })
}

fn report(wanted: &Wanted, points: &[Point]) -> api::SeriesReport {
    let Wanted { from, to, step, .. } = *wanted;
    let count = ((to - from) + step - 1) / step;
    let count = usize::try_from(count).unwrap_or(0);
    let mut names: BTreeMap<&str, Vec<Option<Figures>>> = BTreeMap::new();
    for point in points {
        let values = names.entry(point.name.as_str()).or_insert_with(|| vec![None; count]);
        let at = usize::try_from((point.at - from) / step).unwrap_or(usize::MAX);
        if let Some(slot) = values.get_mut(at) {
            slot.get_or_insert_default().merge(&point.figures);
        }
    }
    let mut series = Vec::new();
    'all: for (name, figures) in &names {
        for metric in &wanted.metrics {
            if (series.len() + 1) * count.max(1) > VALUES_ALL {
                break 'all;
            }
            let values = figures.iter().map(|figures| figures.as_ref().and_then(|of| value(metric, of, step)));
            let (values, unit) = (values.collect(), unit(metric));
            series.push(api::Series { metric: (*metric).to_owned(), name: (*name).to_owned(), unit, values });
        }
    }
    api::SeriesReport {
        from: to_api::time(Timestamp(from)),
        to: to_api::time(Timestamp(to)),
        step_ms: step.unsigned_abs(),
        series,
        marks: Vec::new(),
    }
}

fn value(metric: &str, figures: &Figures, step: i64) -> Option<f64> {
    let seconds = step as f64 / 1_000.0;
    let gauge = |sum: u64| (figures.samples > 0).then(|| sum as f64 / figures.samples as f64);
    match metric {
        "throughput" => Some(figures.ended as f64 / seconds),
        "failures" => Some(figures.failed as f64 / seconds),
        "wait_p50" => figures.wait.quantile(0.5),
        "wait_p95" => figures.wait.quantile(0.95),
        "duration_p50" => figures.duration.quantile(0.5),
        "duration_p95" => figures.duration.quantile(0.95),
        "depth" => gauge(figures.ready),
        "running" => gauge(figures.running),
        "slots" => gauge(figures.slots),
        "runs" => gauge(figures.runs),
        "spend" => Some(figures.spent_nanousd as f64),
        "calls" => Some(figures.calls as f64),
        "input_tokens" => Some(figures.input_tokens as f64),
        "output_tokens" => Some(figures.output_tokens as f64),
        "cpu" => gauge(figures.cpu_milli).map(|milli| milli / 1_000.0),
        "memory" => gauge(figures.memory_bytes),
        _ => None,
    }
}

fn unit(metric: &str) -> api::SeriesUnit {
    match metric {
        "throughput" | "failures" => api::SeriesUnit::PerS,
        "wait_p50" | "wait_p95" | "duration_p50" | "duration_p95" => api::SeriesUnit::Ms,
        "spend" => api::SeriesUnit::Nanousd,
        "input_tokens" | "output_tokens" => api::SeriesUnit::Tokens,
        "cpu" => api::SeriesUnit::Cores,
        "memory" => api::SeriesUnit::Bytes,
        _ => api::SeriesUnit::Count,
    }
}

#[cfg(test)]
mod tests {
    use kapelle_core::TenantId;

    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    fn ask(metric: &str, hours: i64, step: Option<u64>) -> Result<Wanted, AppError> {
        let from = Some(to_api::time(Timestamp(NOW - hours * 3_600_000)));
        let query = api::SeriesQuery { metric: metric.to_owned(), from, step, ..api::SeriesQuery::default() };
        wanted(&query, NOW)
    }

    #[test]
    fn the_finest_history_that_covers_the_time_is_taken() {
        for (hours, resolution, step) in [
            (1, Resolution::TenSeconds, 10_000),
            (6, Resolution::TenSeconds, 60_000),
            (100, Resolution::Minute, 3_600_000),
            (24 * 90, Resolution::Hour, 3 * 3_600_000),
        ] {
            let wanted = ask("depth", hours, None).unwrap();
            assert_eq!((wanted.resolution, wanted.step), (resolution, step), "{hours} h");
        }
        let coarse = ask("depth", 1, Some(300_000)).unwrap();
        assert_eq!((coarse.resolution, coarse.step), (Resolution::TenSeconds, 300_000));
        assert!(ask("depth", 100, Some(10_000)).is_err() && ask("depth", 1, Some(7)).is_err());
        assert!(ask("depth,nothing", 1, None).is_err() && ask("", 1, None).is_err());
    }

    #[test]
    fn values_stand_at_their_steps_and_gaps_are_none() {
        let wanted = Wanted {
            metrics: vec!["throughput", "depth"],
            dimension: Dimension::All,
            resolution: Resolution::TenSeconds,
            from: 0,
            to: 60_000,
            step: 20_000,
        };
        let point = |at, ended, ready| Point {
            tenant: TenantId::DEFAULT,
            dimension: Dimension::All,
            name: String::new(),
            at,
            figures: Figures { ended, ready, samples: 1, ..Figures::default() },
        };
        let told = report(&wanted, &[point(0, 10, 4), point(10_000, 30, 8), point(40_000, 0, 0)]);
        assert_eq!(told.series[0].values, [Some(2.0), None, Some(0.0)]);
        assert_eq!(told.series[1].values, [Some(6.0), None, Some(0.0)]);
        assert_eq!((told.step_ms, told.series[1].unit), (20_000, api::SeriesUnit::Count));
    }
}
