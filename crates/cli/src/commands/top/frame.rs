//! A snapshot as lines of a given width and number.

use kapelle::core::DurationMs;
use serde_json::Value;

use super::snapshot::Snapshot;
use crate::{
    out::{Tone, paint},
    shown,
};

/// Minimum rows of a part when all parts are to fit.
const LEAST: usize = 3;

/// The rates between two snapshots.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Tasks that succeeded, per second.
    pub done: f64,
    /// Tasks that failed, per second.
    pub failed: f64,
}

impl Rates {
    /// Returns the rates between two snapshots; `None` when the server was restarted between them.
    pub fn between(before: &Snapshot, after: &Snapshot) -> Option<Rates> {
        let span = after.workers.uptime_ms.checked_sub(before.workers.uptime_ms).filter(|span| *span > 0)?;
        let ((done, failed), (old_done, old_failed)) = (after.ended(), before.ended());
        let rate = |new: u64, old: u64| new.checked_sub(old).map(|count| count as f64 * 1_000.0 / span as f64);
        Some(Rates { done: rate(done, old_done)?, failed: rate(failed, old_failed)? })
    }
}

/// A snapshot to be drawn.
pub struct Frame<'a> {
    pub snapshot: &'a Snapshot,
    pub rates: Option<&'a Rates>,
    pub paused: bool,
    pub server: &'a str,
}

/// A heading and its rows.
struct Part {
    heading: String,
    rows: Vec<String>,
}

impl Frame<'_> {
    /// Returns at most `height` lines, each at most `width` wide.
    pub fn lines(&self, width: usize, height: usize) -> Vec<String> {
        let mut lines = self.head();
        let mut parts = [self.queues(), self.hosts(), self.workers(), self.tasks(), self.runs()];
        let fixed = lines.len() + 2 * parts.len() + 1;
        let wanted: usize = parts.iter().map(|part| part.rows.len()).sum();
        let room = height.saturating_sub(fixed);
        if wanted > room {
            // Every part gets the minimum; the rest goes to the first ones.
            let mut left = room.saturating_sub(parts.iter().map(|part| part.rows.len().min(LEAST)).sum());
            for part in &mut parts {
                let more = part.rows.len().saturating_sub(LEAST).min(left);
                left -= more;
                let shown = part.rows.len().min(LEAST) + more;
                let hidden = part.rows.len() - shown;
                part.rows.truncate(shown);
                if hidden > 0 && shown > 0 {
                    part.rows.truncate(shown - 1);
                    part.rows.push(paint(Tone::Dim, &format!("  ... {} more", hidden + 1)));
                }
            }
        }
        for part in parts.into_iter().filter(|part| !part.rows.is_empty()) {
            lines.push(String::new());
            lines.push(paint(Tone::Bold, &part.heading));
            lines.extend(part.rows);
        }
        lines.truncate(height.saturating_sub(1).max(1));
        if height != usize::MAX {
            lines.push(paint(Tone::Dim, if self.paused { "held: p goes on, q ends" } else { "q ends, p holds" }));
        }
        lines.into_iter().map(|line| cut(&line, width)).collect()
    }

    fn head(&self) -> Vec<String> {
        let status = self.snapshot.health["status"].as_str().unwrap_or("unknown");
        let tone = match status {
            "ok" => Tone::Good,
            "warning" | "stopping" => Tone::Warn,
            _ => Tone::Bad,
        };
        let workers = &self.snapshot.workers;
        let alive = workers.hosts.iter().filter(|host| host.alive).count();
        let up = shown::duration(DurationMs(workers.uptime_ms));
        let (done, failed) = self.snapshot.ended();
        let rate = self
            .rates
            .map_or_else(String::new, |rates| format!("; {:.1} done/s, {:.1} failed/s", rates.done, rates.failed));
        let mut lines = vec![
            format!("{}  {}  up {up}", self.server, paint(tone, status)),
            format!("{} workers, {alive} hosts; {done} tasks done, {failed} failed{rate}", workers.active),
        ];
        if let Some(detail) = self.snapshot.health["detail"].as_str() {
            lines.push(paint(Tone::Bad, detail));
        }
        let checks = self.snapshot.health["checks"].as_array().into_iter().flatten();
        for check in checks.filter(|check| check["status"] != "ok") {
            let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
            lines.push(paint(Tone::Warn, &format!("{}: {}", text("name"), text("reason"))));
        }
        let warnings = self.snapshot.queues.iter().flat_map(|queue| &queue.warnings);
        lines.extend(warnings.take(LEAST).map(|warning| paint(Tone::Warn, warning)));
        lines
    }

    fn queues(&self) -> Part {
        let heading = row(&[("QUEUE", 16), ("READY", 7), ("RUNNING", 8), ("LATER", 8), ("LISTEN", 7), ("NOTE", 0)]);
        let rows = self.snapshot.queues.iter().map(|queue| {
            let numbers =
                [queue.ready, queue.running, queue.waiting, u64::from(queue.listeners)].map(|n| n.to_string());
            let note = match (queue.paused, queue.listeners) {
                (true, _) => "paused".to_owned(),
                (_, 0) => format!("0 workers listen on queue {}", queue.name),
                _ => String::new(),
            };
            let [ready, running, waiting, listen] = &numbers;
            row(&[(&queue.name, 16), (ready, 7), (running, 8), (waiting, 8), (listen, 7), (&note, 0)])
        });
        Part { heading, rows: rows.collect() }
    }

    fn hosts(&self) -> Part {
        let heading = row(&[("HOST", 24), ("SLOTS", 6), ("CLAIMED", 8), ("DONE", 7), ("FAILED", 7), ("STATE", 0)]);
        let rows = self.snapshot.workers.hosts.iter().map(|host| {
            let name = if host.name.is_empty() { &host.id } else { &host.name };
            let labels = host.labels.iter().map(|(key, value)| match value.is_empty() {
                true => key.clone(),
                false => format!("{key}={value}"),
            });
            let labels: Vec<String> = labels.collect();
            let state = if host.alive { "alive".to_owned() } else { paint(Tone::Bad, "silent") };
            let state = format!("{state} {}", labels.join(" "));
            let numbers = [u64::from(host.slots), host.claimed, host.succeeded, host.failed].map(|n| n.to_string());
            let [slots, claimed, done, failed] = &numbers;
            row(&[(&plain(name), 24), (slots, 6), (claimed, 8), (done, 7), (failed, 7), (&state, 0)])
        });
        Part { heading, rows: rows.collect() }
    }

    fn workers(&self) -> Part {
        let heading = row(&[("WORKER", 24), ("STATE", 7), ("RUNNING", 8), ("DONE", 7), ("FAILED", 7), ("MEAN", 0)]);
        // Workers with tasks so far; most of the catalogue is usually idle.
        let mut seen: Vec<_> = self.snapshot.workers.workers.iter().collect();
        seen.retain(|worker| worker.running + worker.ready + worker.succeeded + worker.failed > 0);
        seen.sort_by_key(|worker| std::cmp::Reverse((worker.running, worker.ready, worker.succeeded)));
        let rows = seen.into_iter().map(|worker| {
            let mean = worker.mean_ms.map_or_else(|| "-".to_owned(), |ms| shown::duration(DurationMs(ms as u64)));
            let numbers = [worker.running, worker.succeeded, worker.failed].map(|n| n.to_string());
            let [running, done, failed] = &numbers;
            row(&[(&worker.name, 24), (worker.state.as_str(), 7), (running, 8), (done, 7), (failed, 7), (&mean, 0)])
        });
        Part { heading, rows: rows.collect() }
    }

    fn tasks(&self) -> Part {
        let heading = row(&[("TASK", 14), ("WORKER", 24), ("QUEUE", 12), ("ATTEMPT", 8), ("RUN", 0)]);
        let rows = self.snapshot.tasks.iter().map(|task| {
            let attempt = task["attempt"].to_string();
            let field = |name: &str| text(task, name);
            row(&[(&field("id"), 14), (&field("worker"), 24), (&field("queue"), 12), (&attempt, 8), (&field("run"), 0)])
        });
        Part { heading, rows: rows.collect() }
    }

    fn runs(&self) -> Part {
        let heading = row(&[("RUN", 14), ("WORKFLOW", 24), ("STATE", 12), ("SINCE", 0)]);
        let rows = self.snapshot.runs.iter().map(|run| {
            let field = |name: &str| text(run, name);
            row(&[(&field("id"), 14), (&field("workflow"), 24), (&field("state"), 12), (&field("created_at"), 0)])
        });
        Part { heading, rows: rows.collect() }
    }
}

fn text(of: &Value, field: &str) -> String {
    plain(of[field].as_str().unwrap_or_default())
}

/// Removes control characters for the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Formats cells of these widths; the last is as wide as its text.
fn row(cells: &[(&str, usize)]) -> String {
    let mut line = String::from("  ");
    for (text, width) in cells {
        if *width == 0 {
            line.push_str(text);
            continue;
        }
        let shown = cut(text, width - 1);
        let length = shown.chars().count();
        line.push_str(&shown);
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(length)));
    }
    line.trim_end().to_owned()
}

/// Returns the beginning of a line that fits, with its styles ended.
pub fn cut(line: &str, width: usize) -> String {
    let mut out = String::new();
    let (mut seen, mut escape, mut styled, mut dropped) = (0, false, false, false);
    for c in line.chars() {
        if escape {
            out.push(c);
            escape = c != 'm';
        } else if c == '\x1b' {
            out.push(c);
            (escape, styled) = (true, true);
        } else if seen < width {
            out.push(c);
            seen += 1;
        } else {
            dropped = true;
        }
    }
    // The last visible character marks that the line was cut; within styles it is left unchanged.
    if dropped
        && !styled
        && let Some((at, last)) = out.char_indices().next_back()
    {
        out.replace_range(at..at + last.len_utf8(), "~");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn snapshot(queues: usize) -> Snapshot {
        let queue = |number: usize| {
            json!({ "name": format!("queue_{number}"), "slots": 1, "paused": false, "ready": number, "running": 1,
                    "waiting": 0, "listeners": 0, "warnings": [] })
        };
        let workers = json!({ "uptime_ms": 61_000, "active": 1, "workers": [], "hosts": [{ "id": "host_1",
            "name": "a\u{1b}[31mhost", "slots": 4, "workers": [], "queues": [], "labels": { "gpu": "" }, "alive": true,
            "silent_ms": 0, "claimed": 1, "succeeded": 1, "failed": 0 }] });
        Snapshot {
            health: json!({ "status": "warning", "checks": [{ "name": "c", "status": "warning", "reason": "why" }] }),
            queues: (0..queues).map(|number| serde_json::from_value(queue(number)).unwrap()).collect(),
            workers: serde_json::from_value(workers).unwrap(),
            tasks: vec![json!({ "id": "task_1", "worker": "w".repeat(80), "queue": "q", "attempt": 1 })],
            runs: Vec::new(),
        }
    }

    #[test]
    fn a_frame_fits_wherever_it_is_drawn() {
        let snapshot = snapshot(40);
        let frame = Frame { snapshot: &snapshot, rates: None, paused: false, server: "http://127.0.0.1:7863" };
        for (width, height) in [(80, 24), (40, 10), (20, 5), (1, 1), (200, 100)] {
            let lines = frame.lines(width, height);
            assert!(lines.len() <= height.max(2), "{width}x{height}: {}", lines.len());
            for line in lines {
                let visible = anstream::adapter::strip_str(&line).to_string();
                assert!(visible.chars().count() <= width, "{width}: {visible}");
                assert!(!visible.contains('\x1b'), "{visible:?}");
            }
        }
        let all = frame.lines(200, usize::MAX).join("\n");
        for part in ["queue_39", "a?[31mhost", "c: why", "0 workers listen on queue queue_3", "up 1 m 01 s", "gpu"] {
            assert!(all.contains(part), "{part}: {all}");
        }
        let short = frame.lines(80, 24).join("\n");
        assert!(short.contains("more") && short.contains("task_1") && short.contains("q ends"), "{short}");
    }

    #[test]
    fn rates_are_told_unless_the_server_was_started_anew() {
        let (before, mut after) = (snapshot(1), snapshot(1));
        assert!(Rates::between(&before, &after).is_none());
        after.workers.uptime_ms += 2_000;
        let health = json!({ "name": "w", "source": "built_in", "state": "idle", "queue": "q", "here": true, "hosts": 0, "running": 0,
                             "ready": 0, "succeeded": 5, "failed": 1, "failure_rate": 0.2 });
        after.workers.workers.push(serde_json::from_value(health).unwrap());
        let rates = Rates::between(&before, &after).unwrap();
        assert_eq!((rates.done, rates.failed), (2.5, 0.5));
        assert!(Rates::between(&after, &before).is_none());
    }
}
