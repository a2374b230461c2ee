//! Steps in a readable order.

use crate::{
    describe::{RunView, StepView, tone},
    out::paint,
};

/// Returns the step of the outermost block that a path begins with; for a handler, the step that failed.
pub fn first_step(path: &str) -> &str {
    let name = path.split(['.', '[']).next().unwrap_or(path);
    match name.split_once('(') {
        Some((_, failed)) => failed.trim_end_matches(')'),
        None => name,
    }
}

/// Puts the steps inside of others behind those, in the order of their paths: `a[2]` before `a[10]`.
pub fn interleave(steps: Vec<StepView>, mut inner: Vec<(usize, StepView)>) -> Vec<StepView> {
    inner.sort_by_cached_key(|(at, view)| (*at, natural(&view.name)));
    let mut inner = inner.into_iter().peekable();
    let mut all = Vec::with_capacity(steps.len() + inner.len());
    for (at, step) in steps.into_iter().enumerate() {
        all.push(step);
        while let Some((_, view)) = inner.next_if(|(place, _)| *place == at) {
            all.push(view);
        }
    }
    all.extend(inner.map(|(_, view)| view));
    all
}

/// Splits a path into words and numbers.
fn natural(path: &str) -> Vec<(u64, String)> {
    path.split(['.', '[', ']']).map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
}

impl RunView {
    /// Returns the steps as a tree, each with its state.
    pub fn tree(&self) -> String {
        let mut text = format!("{} {}\n", self.run.id, self.run.workflow);
        for step in &self.steps {
            let parts: Vec<&str> = step.name.split_inclusive(['.', ']']).collect();
            let depth = step.name.matches(['.', '[']).count();
            let name = parts.last().map_or(step.name.as_str(), |last| last.trim_end_matches('.'));
            let name = match name.split_once('[') {
                Some((_, index)) => format!("[{index}"),
                None => name.to_owned(),
            };
            let note = step.note();
            let note = if note.is_empty() { note } else { format!(": {note}") };
            text.push_str(&format!(
                "{}{name} {}{note}\n",
                "  ".repeat(depth + 1),
                paint(tone(step.state()), step.state())
            ));
        }
        text
    }
}
