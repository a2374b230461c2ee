//! Formats of the figures.

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::{Value, json};

use crate::{
    machine::Machine,
    measure::{Floor, Measure},
};

/// Formats a row's figures as a table.
pub fn render(row: &str, measures: &[Measure]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([row, "median", "min..max", "floor", "reached?"]);
    for measure in measures {
        let (low, high) = measure.range();
        table.add_row([
            format!("{} [{}]", measure.name, measure.unit),
            number(measure.median()),
            format!("{}..{}", number(low), number(high)),
            floor(measure.floor),
            reached(measure).to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Formats all figures as JSON.
pub fn json(machine: &Machine, measures: &[Measure]) -> String {
    let measures: Vec<Value> = measures
        .iter()
        .map(|measure| {
            json!({
                "measure": measure.name,
                "unit": measure.unit,
                "median": measure.median(),
                "samples": measure.samples,
                "floor": floor(measure.floor),
                "reached": measure.floor.reached(measure.median()),
            })
        })
        .collect();
    let value = json!({ "cores": machine.cores, "fdatasync_ms": machine.sync_ms, "measures": measures });
    format!("{value:#}")
}

fn reached(measure: &Measure) -> &'static str {
    let then = match measure.floor {
        Floor::AtLeast(_, Some(then)) => measure.median() >= then,
        Floor::AtMost(_, Some(then)) | Floor::ThenAtMost(then) => measure.median() <= then,
        _ => false,
    };
    match (measure.floor.reached(measure.median()), then) {
        (_, true) => "yes, and the next",
        (Some(true), _) => "yes",
        (Some(false), _) => "NO",
        (None, _) => "",
    }
}

fn floor(floor: Floor) -> String {
    let then = |then: Option<f64>| then.map_or(String::new(), |then| format!(", then {}", number(then)));
    match floor {
        Floor::AtLeast(least, next) => format!(">= {}{}", number(least), then(next)),
        Floor::AtMost(most, next) => format!("<= {}{}", number(most), then(next)),
        Floor::ThenAtMost(most) => format!("then <= {}", number(most)),
        Floor::Within(low, high) => format!("{}..{}", number(low), number(high)),
        Floor::None => String::new(),
    }
}

/// Formats a figure with its significant digits.
fn number(figure: f64) -> String {
    if figure.abs() >= 1_000.0 {
        let whole = format!("{figure:.0}");
        let mut grouped = String::new();
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    } else if figure.abs() >= 100.0 {
        format!("{figure:.0}")
    } else if figure.abs() >= 10.0 {
        format!("{figure:.1}")
    } else {
        format!("{figure:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        assert_eq!(number(0.254), "0.25");
        assert_eq!(number(25.44), "25.4");
        assert_eq!(number(254.4), "254");
        assert_eq!(number(40_000.0), "40,000");
        assert_eq!(number(1_254_400.0), "1,254,400");
    }
}
