//! `gateway`: latency that `/v1` of the real server adds to a call, against the bare provider, and memory growth by
//! calls.

mod apart;
mod load;
mod stage;
mod upstream;

use crate::{
    machine::{cpu_seconds, resident_mb},
    measure::{Floor, Measure, Plan},
    stopwatch::Stopwatch,
};
use load::{CONNECTIONS, Load};
use stage::{Figures, Stage, Way};

/// Calls for each figure, over all connections.
const CALLS: usize = 4_000;
/// Duration of a steady load, in seconds.
const LOAD_SECONDS: usize = 3;
/// Requests per second of the required limit, and of the next goal.
const RATES: [usize; 2] = [2_000, 5_000];
/// Required 99th percentile of added latency under such a load, in milliseconds.
const TAIL_MS: f64 = 2.0;
/// Calls after which memory is measured.
const MANY: usize = 50_000;
/// Allowed change of memory during calls, in MB, for any number of them.
const FLAT_MB: f64 = 32.0;

const NAMES: [&str; 4] = ["first byte p50", "last byte p50", "first byte p99", "last byte p99"];

pub async fn measure(plan: &Plan) -> anyhow::Result<Vec<Measure>> {
    let stage = Stage::new(plan).await?;
    let mut rows = Vec::new();
    for stream in [false, true] {
        for connections in [1, 50, 200] {
            rows.extend(closed(plan, &stage, stream, connections).await?);
        }
        for rate in RATES {
            rows.extend(steady(plan, &stage, stream, rate).await?);
        }
    }
    rows.extend(many(plan, &stage).await?);
    let Stage { mut server, .. } = stage;
    server.stop().await;
    Ok(rows)
}

/// Measures connections that send the next request as soon as they have an answer.
async fn closed(plan: &Plan, stage: &Stage, stream: bool, connections: usize) -> anyhow::Result<Vec<Measure>> {
    let calls = plan.size(CALLS).max(connections);
    let (mut added, mut spent): ([Vec<f64>; 4], Vec<f64>) = Default::default();
    // Bare calls and calls through the server alternate, so that a busy machine slows both alike.
    for _ in 0..plan.runs {
        let bare = stage.times(Way::Bare, stream, connections, calls).await?;
        let before = cpu_seconds(is_servers)?;
        let through = stage.times(Way::Through, stream, connections, calls).await?;
        spent.push((cpu_seconds(is_servers)? - before) * 1e6 / (calls / connections * connections) as f64);
        add(&mut added, bare, through);
    }
    // A whole answer comes in one piece, once the journal has it: its first byte is its last.
    let floor = |at| match (connections, at) {
        (1, 0) if stream => Floor::AtMost(0.2, None),
        (1, 1) => Floor::AtMost(0.6, None),
        _ => Floor::None,
    };
    let name = format!("{}, {connections} connections", what(stream));
    let mut rows = rows(&name, added, floor);
    rows.push(Measure::new(format!("{name}, time of the server on a core, a call"), "us", spent, Floor::None));
    Ok(rows)
}

/// Measures requests at a steady rate, each timed from the moment it was due.
async fn steady(plan: &Plan, stage: &Stage, stream: bool, rate: usize) -> anyhow::Result<Vec<Measure>> {
    let load = Load { rate, calls: plan.size(rate * LOAD_SECONDS), stream };
    let mut added: [Vec<f64>; 4] = Default::default();
    for _ in 0..plan.runs {
        let bare = stage.under(Way::Bare, load).await?;
        add(&mut added, bare, stage.under(Way::Through, load).await?);
    }
    let floor = |at| match (rate == RATES[0], at) {
        (true, 2 | 3) => Floor::AtMost(TAIL_MS, None),
        (false, 2 | 3) => Floor::ThenAtMost(TAIL_MS),
        _ => Floor::None,
    };
    Ok(rows(&format!("{}, {rate}/s on {CONNECTIONS} connections", what(stream)), added, floor))
}

/// Tells whether a thread belongs to the server.
fn is_servers(thread: &str) -> bool {
    !matches!(thread, "callers" | "provider" | "pacer")
}

fn what(stream: bool) -> &'static str {
    if stream { "stream" } else { "whole" }
}

fn add(added: &mut [Vec<f64>; 4], bare: Figures, through: Figures) {
    for (at, added) in added.iter_mut().enumerate() {
        added.push(through[at] - bare[at]);
    }
}

fn rows(what: &str, added: [Vec<f64>; 4], floor: impl Fn(usize) -> Floor) -> Vec<Measure> {
    let named = NAMES.into_iter().zip(added).enumerate();
    named.map(|(at, (name, samples))| Measure::new(format!("{what}, added {name}"), "ms", samples, floor(at))).collect()
}

/// Measures many calls: their rate, and whether memory stays constant. Memory of the first fifth is that of the caches
/// of the store and of the allocator; after that it must not grow with the calls.
async fn many(plan: &Plan, stage: &Stage) -> anyhow::Result<Vec<Measure>> {
    let calls = plan.calls.unwrap_or_else(|| plan.size(MANY)).max(50 * 5);
    stage.times(Way::Through, true, 50, calls / 5).await?;
    let before = resident_mb()?;
    let (mut done, mut most, mut stream) = (0, before, false);
    // Calls and seconds, whole and streamed.
    let mut spent = [(0usize, 0.0); 2];
    // In rounds, so that the times of a million calls do not fill the memory.
    let all = calls - calls / 5;
    while done < all {
        let round = (all - done).min(all / 2).clamp(50, 20_000);
        let watch = Stopwatch::start();
        stage.times(Way::Through, stream, 50, round).await?;
        let of = &mut spent[usize::from(stream)];
        *of = (of.0 + round, of.1 + watch.seconds());
        (done, stream) = (done + round, !stream);
        most = most.max(resident_mb()?);
    }
    let rate = |(calls, seconds): (usize, f64)| if calls == 0 { Vec::new() } else { vec![calls as f64 / seconds] };
    Ok(vec![
        Measure::new("whole, calls on 50 connections", "/s", rate(spent[0]), Floor::None),
        Measure::new("stream, calls on 50 connections", "/s", rate(spent[1]), Floor::None),
        Measure::new(format!("memory after {calls} calls"), "MB", vec![resident_mb()?], Floor::None),
        Measure::new(
            format!("memory added by the last {done} of them, at most"),
            "MB",
            vec![most - before],
            Floor::AtMost(FLAT_MB, None),
        ),
    ])
}
