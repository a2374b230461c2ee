//! A checker of histories: whether a correct queue can have produced them. Tasks are independent, so each is checked
//! alone, in one pass over its events in time: an answer must agree with what was known before the question.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Event, History, Look, Reported, What};

/// Silence after which a lease may have been lost, in milliseconds: a lease less the delay of a busy machine.
const LEASE_MS: u64 = 13_000;

/// Facts that are certain of a task at some time.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    exists: bool,
    /// Attempts that were given out, at least.
    attempt: u64,
    ended: bool,
    cancelled: bool,
    succeeded: Option<u64>,
}

/// Returns every fault of a history.
pub fn check(history: &History) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, events) in &history.tasks {
        let mut of_task = sweep(events, &history.frozen);
        of_task.extend(whole(events));
        faults.extend(of_task.into_iter().map(|fault| format!("{id}: {fault}: {events:#?}")));
    }
    faults
}

/// Sweeps the events in the order of time, and checks each answer against what was known when it was asked.
fn sweep(events: &[Event], frozen: &BTreeMap<String, u64>) -> Vec<String> {
    // A question and an answer in one microsecond count as asked first, which is the milder reading.
    let asked = events.iter().enumerate().map(|(at, event)| (event.span.sent, false, at));
    let answered = events.iter().enumerate().map(|(at, event)| (event.span.got, true, at));
    let mut points: Vec<_> = asked.chain(answered).collect();
    points.sort_unstable();
    let cancelled = events.iter().any(|event| match &event.what {
        What::Cancelled(done) => *done == Some(true),
        What::Seen(look) => look.as_ref().is_some_and(|look| look.state == "cancelled"),
        _ => false,
    });
    let (mut known, mut before, mut faults) = (Known::default(), vec![Known::default(); events.len()], Vec::new());
    for (time, answered, at) in points {
        if !answered {
            before[at] = known;
            continue;
        }
        let excused = |report: &Reported| cancelled || frozen.get(&report.by).is_some_and(|since| *since <= time);
        if let Some(fault) = judge(&events[at].what, before[at], &excused) {
            faults.push(fault);
        }
        learn(&events[at].what, &mut known);
    }
    faults
}

fn judge(what: &What, before: Known, excused: &dyn Fn(&Reported) -> bool) -> Option<String> {
    let fault = |text: &str| Some(format!("{text} ({what:?} after {before:?})"));
    match what {
        What::Seen(None) if before.exists => fault("it was acknowledged and is gone"),
        What::Seen(Some(look)) if before.ended && !look.ended() => fault("it had ended and is open again"),
        What::Seen(Some(look)) if look.attempt < before.attempt => fault("an attempt was forgotten"),
        What::Cancelled(Some(true)) if before.succeeded.is_some() => fault("it was cancelled after it had succeeded"),
        What::Claimed { .. } if before.ended => fault("it was given out after it had ended"),
        What::Claimed { attempt, .. } if *attempt <= before.attempt => fault("an attempt was given out twice"),
        What::Reported(report) => match report.told.as_str() {
            "accepted" if before.attempt > report.attempt => fault("a late report was accepted"),
            "accepted" if before.cancelled => fault("a report of what was cancelled was accepted"),
            "accepted" if before.ended && before.succeeded != Some(report.attempt) => {
                fault("a report of what had ended was accepted")
            }
            "accepted" => None,
            "lease_lost" => {
                let repeated = report.tries > 0 && report.outcome != "succeed";
                let late = report.silent_ms >= LEASE_MS;
                if repeated || late || excused(report) { None } else { fault("work in flight was thrown away") }
            }
            _ => fault("a report had an answer that it cannot have"),
        },
        _ => None,
    }
}

fn learn(what: &What, known: &mut Known) {
    match what {
        What::Submitted => known.exists = true,
        What::Seen(None) | What::Cancelled(None) => {}
        What::Seen(Some(look)) => {
            known.exists = true;
            known.attempt = known.attempt.max(look.attempt);
            known.ended |= look.ended();
            known.cancelled |= look.state == "cancelled";
        }
        What::Cancelled(Some(done)) => {
            known.ended = true;
            known.cancelled |= done;
        }
        What::Claimed { attempt, .. } => known.attempt = known.attempt.max(*attempt),
        What::Reported(report) => {
            if report.told == "accepted" && report.outcome == "succeed" {
                known.ended = true;
                known.succeeded = Some(report.attempt);
            }
        }
    }
}

/// Checks what holds in any order: at most one completion, which is the visible one, and an end that never changes.
fn whole(events: &[Event]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut given: BTreeMap<u64, &str> = BTreeMap::new();
    let mut completed: BTreeSet<u64> = BTreeSet::new();
    let mut last: Option<(u64, &Look)> = None;
    for event in events {
        match &event.what {
            What::Claimed { by, attempt } => {
                let twice = given.insert(*attempt, by).is_some();
                faults.extend(twice.then(|| format!("attempt {attempt} was given to two")));
            }
            What::Reported(report) if report.told == "accepted" && report.outcome == "succeed" => {
                completed.insert(report.attempt);
            }
            What::Seen(Some(look)) if last.is_none_or(|(sent, _)| sent <= event.span.sent) => {
                last = Some((event.span.sent, look));
            }
            _ => {}
        }
    }
    let Some((_, end)) = last.filter(|(_, look)| look.ended()) else {
        faults.push("it has not ended".to_owned());
        return faults;
    };
    let ends = events.iter().filter_map(|event| match &event.what {
        What::Seen(Some(look)) if look.ended() => Some(look),
        _ => None,
    });
    if let Some(other) = ends.into_iter().find(|look| *look != end) {
        faults.push(format!("its end changed from {other:?} to {end:?}"));
    }
    if completed.len() > 1 {
        faults.push(format!("it was completed by the attempts {completed:?}"));
    }
    let Some(attempt) = completed.first() else { return faults };
    if given.keys().next_back().is_some_and(|given| given > attempt) {
        faults.push("it was given out after it had been completed".to_owned());
    }
    if end.state != "succeeded" || end.attempt != *attempt {
        faults.push(format!("attempt {attempt} completed it, and it ended as {end:?}"));
    } else if given.get(attempt).is_some_and(|by| end.output["by"] != *by || end.output["attempt"] != *attempt) {
        faults.push(format!("the answer is not the one of {:?}", given.get(attempt)));
    }
    faults
}

/// A checker that cannot find anything is worse than none.
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::history::Span;

    fn look(state: &str, attempt: u64) -> What {
        let output = if state == "succeeded" { json!({ "by": "a", "attempt": attempt }) } else { Value::Null };
        What::Seen(Some(Look { state: state.to_owned(), attempt, ended_at: Value::Null, output }))
    }

    fn claimed(by: &str, attempt: u64) -> What {
        What::Claimed { by: by.to_owned(), attempt }
    }

    fn reported(attempt: u64, told: &str) -> What {
        let (by, outcome, told) = ("a".to_owned(), "succeed".to_owned(), told.to_owned());
        What::Reported(Reported { by, attempt, outcome, told, tries: 0, silent_ms: 0 })
    }

    /// Returns the faults of events that came one after the other.
    fn faults(whats: Vec<What>) -> String {
        let mut history = History::default();
        for (at, what) in (0u64..).zip(whats) {
            history.add("task_1", Span { sent: at * 10, got: at * 10 + 5 }, what);
        }
        check(&history).join("\n")
    }

    #[test]
    fn what_is_right_is_left_alone() {
        let good = [What::Submitted, look("ready", 0), claimed("a", 1), reported(1, "accepted"), look("succeeded", 1)];
        assert_eq!(faults(good.to_vec()), "");
        let again = [What::Submitted, claimed("b", 1), claimed("a", 2), reported(2, "accepted"), look("succeeded", 2)];
        assert_eq!(faults(again.to_vec()), "");
        let twice = [claimed("a", 1), reported(1, "accepted"), reported(1, "accepted"), look("succeeded", 1)];
        assert_eq!(faults(twice.to_vec()), "");
        let stopped = [claimed("a", 1), What::Cancelled(Some(true)), reported(1, "lease_lost"), look("cancelled", 1)];
        assert_eq!(faults(stopped.to_vec()), "");
    }

    #[test]
    fn each_broken_promise_is_found() {
        let done = || vec![What::Submitted, claimed("a", 1), reported(1, "accepted"), look("succeeded", 1)];
        let then = |more: Vec<What>| done().into_iter().chain(more).collect::<Vec<_>>();
        let planted = [
            ("it was acknowledged and is gone", vec![What::Submitted, What::Seen(None), look("failed", 0)]),
            ("it has not ended", vec![What::Submitted, look("ready", 0)]),
            ("it had ended and is open again", then(vec![look("running", 1), look("succeeded", 1)])),
            ("its end changed", then(vec![look("succeeded", 2)])),
            ("an attempt was forgotten", vec![claimed("a", 2), look("ready", 1), look("failed", 2)]),
            ("an attempt was given out twice", vec![claimed("a", 1), claimed("b", 1), look("failed", 1)]),
            ("attempt 1 was given to two", vec![claimed("a", 1), claimed("b", 1), look("failed", 1)]),
            ("it was given out after it had ended", then(vec![claimed("b", 2), look("succeeded", 1)])),
            ("it was given out after it had been completed", then(vec![claimed("b", 2), look("succeeded", 1)])),
            (
                "it was completed by the attempts {1, 2}",
                vec![claimed("a", 1), reported(1, "accepted"), reported(2, "accepted"), look("succeeded", 1)],
            ),
            (
                "a late report was accepted",
                vec![claimed("a", 1), claimed("b", 2), reported(1, "accepted"), look("succeeded", 2)],
            ),
            (
                "a report of what was cancelled was accepted",
                vec![claimed("a", 1), What::Cancelled(Some(true)), reported(1, "accepted"), look("succeeded", 1)],
            ),
            ("it was cancelled after it had succeeded", then(vec![What::Cancelled(Some(true)), look("cancelled", 1)])),
            ("work in flight was thrown away", vec![claimed("a", 1), reported(1, "lease_lost"), look("failed", 1)]),
            ("an answer that it cannot have", vec![claimed("a", 1), reported(1, "internal"), look("failed", 1)]),
            ("attempt 1 completed it", vec![claimed("a", 1), reported(1, "accepted"), look("failed", 1)]),
            ("the answer is not the one of", vec![claimed("b", 1), reported(1, "accepted"), look("succeeded", 1)]),
        ];
        for (fault, events) in planted {
            let found = faults(events);
            assert!(found.contains(fault), "`{fault}` is not in:\n{found}");
        }
    }
}
