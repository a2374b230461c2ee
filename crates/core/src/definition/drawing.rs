//! The shape of a workflow as a picture: SVG that follows the reader's light or dark mode.

use std::fmt::Write;

use super::{
    graph::{inner, levels, outer, what},
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
/// Beyond so many steps a picture helps nobody, and a browser hardly shows it.
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

/// The workflow as SVG. `state` gives the state of the step at a path, which becomes its class, and its colour when it is
/// a state of a task.
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
    /// Draws the steps of a block with its upper left corner there; the answer is its size.
    fn block(&self, index: BlockIx, path: &str, (left, top): (f64, f64), body: &mut String) -> (f64, f64) {
        let block = self.definition.block(index);
        let mut middles: Vec<(f64, f64, f64)> = vec![(0.0, 0.0, 0.0); block.steps.len()];
        let (mut x, mut height) = (left, 0.0_f64);
        for level in levels(block) {
            let (mut y, mut widest) = (top, 0.0_f64);
            for at in level {
                let own = join(path, block.step(at).name.as_str());
                let size = self.step(index, at, &own, (x, y), body);
                if let Some(middle) = middles.get_mut(at.0 as usize) {
                    *middle = (x, x + size.0, y + HEIGHT.min(size.1) / 2.0);
                }
                y += size.1 + GAP_Y;
                widest = widest.max(size.0);
            }
            height = height.max(y - top - GAP_Y);
            x += widest + GAP_X;
        }
        for at in block.indices() {
            let (to_x, _, to_y) = middles.get(at.0 as usize).copied().unwrap_or_default();
            for need in &block.step(at).needs {
                let (_, from_x, from_y) = middles.get(need.0 as usize).copied().unwrap_or_default();
                let bend = (to_x - from_x) / 2.0;
                let _ = writeln!(
                    body,
                    "<path class=\"e\" d=\"M{from_x:.0} {from_y:.0}C{:.0} {from_y:.0} {:.0} {to_y:.0} {to_x:.0} {to_y:.0}\"/>",
                    from_x + bend,
                    to_x - bend
                );
            }
        }
        ((x - left - GAP_X).max(0.0), height)
    }

    /// Draws a step, with what it holds.
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
            escape(&short(&what(step), if held.is_empty() { LETTERS + 2 } else { 60 })),
            path = escape(path),
        );
        body.push_str(&held);
        (width, height)
    }
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
        assert_eq!(escape("<script>\"&"), "&lt;script&gt;&quot;&amp;");
    }
}
