//! The text format of Prometheus, version 0.0.4, which every version of it reads (decision 0017).

use std::fmt::{Display, Write as _};

use kapelle_app::{BOUNDS_MS, Histogram};

/// Media type of the format.
pub const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics in the making. Every family has a help text, and its samples follow it.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// Labels of a sample: names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family of counters, whose name ends with `_total`.
    pub fn counters(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Begins a family of gauges.
    pub fn gauges(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Begins a family of histograms of durations, in seconds.
    pub fn histograms(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let _ = writeln!(self.text, "# HELP kapelle_{name} {help}\n# TYPE kapelle_{name} {kind}");
        Family { text: &mut self.text, name }
    }

    /// Returns the text.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// A family of metrics, to which samples are added.
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Family<'_> {
    /// Adds a sample.
    pub fn add(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        let _ = writeln!(self.text, "kapelle_{}{} {value}", self.name, braced(labels));
        self
    }

    /// Adds a histogram under one label.
    pub fn spread(&mut self, (label, value): (&str, &str), histogram: &Histogram) {
        let (name, mut below) = (self.name, 0);
        for (count, bound) in histogram.counts.iter().zip(BOUNDS_MS) {
            below += count;
            let labels = braced(&[(label, value), ("le", &seconds(bound).to_string())]);
            let _ = writeln!(self.text, "kapelle_{name}_bucket{labels} {below}");
        }
        let (all, plain) = (histogram.count, braced(&[(label, value)]));
        let labels = braced(&[(label, value), ("le", "+Inf")]);
        let _ = writeln!(self.text, "kapelle_{name}_bucket{labels} {all}");
        let _ = writeln!(self.text, "kapelle_{name}_sum{plain} {}", seconds(histogram.sum_ms));
        let _ = writeln!(self.text, "kapelle_{name}_count{plain} {all}");
    }
}

/// Converts milliseconds to seconds.
pub fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn braced(labels: Labels<'_>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_their_help_and_labels_are_escaped() {
        let mut all = Exposition::default();
        all.counters("calls_total", "Calls").add(&[("model", "a\"b\\c\nd")], 3).add(&[], 1.5);
        let histogram = Histogram { counts: [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0], count: 4, sum_ms: 2_500 };
        all.histograms("wait_seconds", "Waits").spread(("queue", "q"), &histogram);
        let text = all.into_text();
        for line in [
            "# HELP kapelle_calls_total Calls",
            "# TYPE kapelle_calls_total counter",
            "kapelle_calls_total{model=\"a\\\"b\\\\c\\nd\"} 3",
            "kapelle_calls_total 1.5",
            "kapelle_wait_seconds_bucket{queue=\"q\",le=\"0.01\"} 1",
            "kapelle_wait_seconds_bucket{queue=\"q\",le=\"0.1\"} 3",
            "kapelle_wait_seconds_bucket{queue=\"q\",le=\"3600\"} 3",
            "kapelle_wait_seconds_bucket{queue=\"q\",le=\"+Inf\"} 4",
            "kapelle_wait_seconds_sum{queue=\"q\"} 2.5",
            "kapelle_wait_seconds_count{queue=\"q\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
