//! A workflow as a picture: SVG that follows the reader's light or dark mode.

use std::fmt::Write;

use super::{
    graph::{describe, inner, levels, outer},
    model::{BlockIx, Definition, StepIx},
};

const WIDTH: f64 = 176.0;
const HEIGHT: f64 = 46.0;
const GAP_X: f64 = 44.0;
const GAP_Y: f64 = 16.0;
const PAD: f64 = 14.0;
const TITLE: f64 = 34.0;
/// Letters that fit into a box.
const LETTERS: usize = 26;
/// Largest workflow that is drawn, in steps; a browser can hardly show a larger one.
const STEPS_MAX: usize = 2_000;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1b1f24}.w{font-size:11px;fill:#57606a}\
.n{fill:#fff;stroke:#8c959f}.b{fill:#8c959f14;stroke:#8c959f}.e{fill:none;stroke:#8c959f;stroke-width:1.5}\
.h{stroke-dasharray:4 3}\
.succeeded{fill:#dafbe1;stroke:#1a7f37}.failed{fill:#ffebe9;stroke:#cf222e}.running{fill:#ddf4ff;stroke:#0969da}\
.ready{fill:#ddf4ff;stroke:#0969da}.waiting{fill:#fff8c5;stroke:#9a6700}.held{fill:#fff8c5;stroke:#9a6700}\
.retrying{fill:#fff8c5;stroke:#9a6700}.cancelled{fill:#fff1e5;stroke:#bc4c00}.skipped{stroke-dasharray:3 3;opacity:.7}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.w{fill:#9198a1}.n{fill:#161b22}\
.succeeded{fill:#12261e}.failed{fill:#25171c}.running,.ready{fill:#121d2f}.waiting,.held,.retrying{fill:#272115}.cancelled{fill:#2b1d12}}";

/// Draws the workflow as SVG. `state` returns the state of the step at a path, which becomes its class; a task state
/// also sets its colour.
#[must_use]
pub fn to_svg<'s>(definition: &Definition, state: &dyn Fn(&str) -> Option<&'s str>) -> String {
    if definition.step_count() > STEPS_MAX {
        return note(&format!("{}: {} steps, too many for a picture", definition.name, definition.step_count()));
    }
    let drawing = Drawing { definition, state };
    let mut body = String::new();
    let (mut width, mut top) = (0.0_f64, PAD);
    for (name, block) in outer(definition) {
        let own = block == definition.root;
        if !own {
            let _ = write!(body, "<text x=\"{PAD}\" y=\"{}\" class=\"w\">{name}</text>", top + 12.0);
            top += 18.0;
        }
        let place = drawing.block(block, if own { "" } else { name }, (PAD, top), &mut body);
        width = width.max(place.0);
        top += place.1 + PAD;
    }
    let width = width + 2.0 * PAD;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {top:.0}\" width=\"{width:.0}\" height=\"{top:.0}\" \
         role=\"img\" aria-label=\"{}\"><style>{STYLE}</style>\n{body}</svg>\n",
        escape(definition.name.as_str())
    )
}

fn note(text: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\" height=\"40\"><text x=\"8\" y=\"24\" font-family=\"sans-serif\">{}</text></svg>\n",
        escape(text)
    )
}

struct Drawing<'d, 's> {
    definition: &'d Definition,
    state: &'d dyn Fn(&str) -> Option<&'s str>,
}

impl Drawing<'_, '_> {
    /// Draws the steps of a block with its upper left corner at that point. Returns its size.
    fn block(&self, index: BlockIx, path: &str, (left, top): (f64, f64), body: &mut String) -> (f64, f64) {
        let block = self.definition.block(index);
        let mut ends: Vec<(usize, f64, f64)> = vec![(0, 0.0, 0.0); block.steps.len()];
        let (mut x, mut height) = (left, 0.0_f64);
        let mut columns: Vec<Column> = Vec::new();
        for level in levels(block) {
            let (mut y, mut widest) = (top, 0.0_f64);
            let mut boxes = Vec::new();
            for at in level {
                let own = join(path, block.step(at).name.as_str());
                let size = self.step(index, at, &own, (x, y), body);
                if let Some(end) = ends.get_mut(at.0 as usize) {
                    *end = (columns.len(), x + size.0, y + HEIGHT.min(size.1) / 2.0);
                }
                boxes.push((y, y + size.1));
                y += size.1 + GAP_Y;
                widest = widest.max(size.0);
            }
            height = height.max(y - top - GAP_Y);
            columns.push(Column { left: x, right: x + widest, boxes });
            x += widest + GAP_X;
        }
        for at in block.indices() {
            let (to, _, to_y) = ends.get(at.0 as usize).copied().unwrap_or_default();
            for need in &block.step(at).needs {
                let (from, from_x, from_y) = ends.get(need.0 as usize).copied().unwrap_or_default();
                let between = columns.get(from + 1..to).unwrap_or_default();
                let end = columns.get(to).map_or(from_x, |column| column.left);
                let lowest = edge((from_x, from_y), between, (end, to_y), body);
                height = height.max(lowest - top);
            }
        }
        ((x - left - GAP_X).max(0.0), height)
    }

    /// Draws a step with its inner blocks.
    fn step(&self, block: BlockIx, at: StepIx, path: &str, (x, y): (f64, f64), body: &mut String) -> (f64, f64) {
        let step = self.definition.step(block, at);
        let state = (self.state)(path).unwrap_or("pending");
        let mut held = String::new();
        let (mut width, mut height) = (WIDTH, HEIGHT);
        for (name, inner) in inner(step) {
            if name != "steps" {
                let _ = write!(held, "<text x=\"{}\" y=\"{}\" class=\"w\">{name}</text>", x + PAD, y + height + 4.0);
                height += 12.0;
            }
            let size = self.block(inner, path, (x + PAD, y + height), &mut held);
            width = width.max(size.0 + 2.0 * PAD);
            height += size.1 + PAD;
        }
        let kind = if held.is_empty() { "n" } else { "b" };
        let handler = if step.is_handler { " h" } else { "" };
        let _ = writeln!(
            body,
            "<g><title>{path}: {state}</title><rect class=\"{kind} {state}{handler}\" x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" rx=\"7\"/><text x=\"{:.0}\" y=\"{:.0}\">{}</text><text class=\"w\" x=\"{:.0}\" y=\"{:.0}\">{}</text></g>",
            x + 10.0,
            y + 19.0,
            escape(&short(step.name.as_str(), LETTERS)),
            x + 10.0,
            y + TITLE + 2.0,
            escape(&short(&describe(step), if held.is_empty() { LETTERS + 2 } else { 60 })),
            path = escape(path),
        );
        body.push_str(&held);
        (width, height)
    }
}

/// Steps that stand above each other.
struct Column {
    left: f64,
    right: f64,
    /// Top and bottom of each box.
    boxes: Vec<(f64, f64)>,
}

impl Column {
    /// Finds the height nearest to the wished one at which a line passes between the boxes.
    fn pass(&self, wish: f64) -> f64 {
        let below = self.boxes.last().map(|(_, bottom)| bottom + GAP_Y / 2.0);
        let gaps = self.boxes.iter().map(|(top, _)| top - GAP_Y / 2.0).skip(1).chain(below);
        gaps.min_by(|one, other| (one - wish).abs().total_cmp(&(other - wish).abs())).unwrap_or(wish)
    }
}

/// Draws the line from a step to one that needs it, past the boxes between them. Returns its lowest point.
fn edge(from: (f64, f64), between: &[Column], to: (f64, f64), body: &mut String) -> f64 {
    let mut line = format!("M{:.0} {:.0}", from.0, from.1);
    let mut bend = |(from_x, from_y): (f64, f64), (to_x, to_y): (f64, f64), straight: f64| {
        let half = (to_x - from_x) / 2.0;
        let (one, other) = (from_x + half, to_x - half);
        let _ = write!(line, "C{one:.0} {from_y:.0} {other:.0} {to_y:.0} {to_x:.0} {to_y:.0}H{straight:.0}");
    };
    let (mut at, mut lowest) = (from, from.1.max(to.1));
    for column in between {
        let share = (column.left - from.0) / (to.0 - from.0).max(1.0);
        let y = column.pass(from.1 + (to.1 - from.1) * share);
        bend(at, (column.left, y), column.right);
        at = (column.right, y);
        lowest = lowest.max(y);
    }
    bend(at, to, to.0);
    let (x, y) = to;
    let _ = writeln!(
        body,
        "<path class=\"e\" d=\"{line}M{:.0} {:.0}L{x:.0} {y:.0}L{:.0} {:.0}\"/>",
        x - 5.0,
        y - 4.0,
        x - 5.0,
        y + 4.0
    );
    lowest
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn short(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(letters - 1).collect();
    short.push('…');
    short
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_drawn_once_with_its_state_and_nothing_breaks_out() {
        let text = "name: d\ndescription: x\nsteps:\n\
            \x20 a: { worker: w }\n\
            \x20 b: { needs: [a], steps: { c: { worker: w }, d: { needs: [c], worker: w } } }\n\
            finally: { steps: { z: { worker: w } } }\n";
        let definition = Definition::parse(text.as_bytes(), "d.yaml").unwrap();
        let svg = to_svg(&definition, &|path| (path == "b.c").then_some("failed"));
        for path in ["a: pending", "b: pending", "b.c: failed", "b.d: pending", "finally.z: pending"] {
            assert_eq!(svg.matches(&format!("<title>{path}</title>")).count(), 1, "{path}\n{svg}");
        }
        assert_eq!(svg.matches("<path").count(), 2);
        let passed = Column { left: 0.0, right: 9.0, boxes: vec![(0.0, 46.0), (62.0, 108.0)] };
        assert_eq!((passed.pass(10.0), passed.pass(60.0), passed.pass(500.0)), (54.0, 54.0, 116.0), "beside the boxes");
        assert_eq!(escape("<script>\"&"), "&lt;script&gt;&quot;&amp;");
    }
}
