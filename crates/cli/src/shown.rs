//! Times, money and tables for display.

use comfy_table::{ContentArrangement, Table, presets};
use kapelle::{
    Money,
    core::{DurationMs, Timestamp},
};

/// Formats a time as `2026-11-21 03:40:05Z`.
pub fn time(at: Timestamp) -> String {
    let stamp = jiff::Timestamp::from_millisecond(at.0 - at.0.rem_euclid(1_000));
    stamp.map_or_else(|_| at.0.to_string(), |stamp| stamp.to_string().replace('T', " "))
}

/// Formats a time as `2026-11-21T03:40:05.123Z`, for machines.
pub fn time_exact(at: Timestamp) -> String {
    let end = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(end).to_string()
}

/// Formats a time of the interface as `2026-11-21 03:40:05Z`.
pub fn instant(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(|_| text.to_owned(), |at| time(Timestamp(at.as_millisecond())))
}

/// Returns the time between two times of the interface; `None` when one is invalid.
pub fn between(from: &str, to: &str) -> Option<DurationMs> {
    let ms = |text: &str| Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond());
    Some(DurationMs(u64::try_from(ms(to)? - ms(from)?).unwrap_or(0)))
}

/// Formats a duration as `85 ms`, `1.4 s`, `2 m 05 s`.
pub fn duration(span: DurationMs) -> String {
    match span.0 {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms @ 1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        ms @ 60_000..3_600_000 => format!("{} m {:02} s", ms / 60_000, ms % 60_000 / 1_000),
        ms => format!("{} h {:02} m", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Formats `$0.00` as a dash, anything else as it is.
pub fn money(amount: Money) -> String {
    if amount == Money::ZERO { "-".to_owned() } else { amount.to_string() }
}

/// Formats a table with a heading, aligned on a terminal and in a pipe.
pub fn table(heading: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heading.to_vec());
    // A pipe has no width to fit into; every row stays on one line.
    if crate::out::stdout_is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| crate::out::fit(cell)).collect();
        table.add_row(cells);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Formats a size as `1.5 MiB`.
pub fn bytes(size: u64) -> String {
    kapelle::core::size::in_words(size)
}

/// Formats a count as `1 step`, `2 steps`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_short() {
        for (ms, text) in [(85, "85 ms"), (1_449, "1.4 s"), (125_000, "2 m 05 s"), (3_720_000, "1 h 02 m")] {
            assert_eq!(duration(DurationMs(ms)), text);
        }
        assert_eq!(time(Timestamp(1_500)), "1970-01-01 00:00:01Z");
    }
}
