//! Random definitions.

use serde_json::{Map, Value as Json, json};

use crate::rng::Rng;

/// Limits of what is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    /// Number of steps at any depth.
    pub steps: usize,
    /// Depth of nesting.
    pub depth: u32,
    /// Percentage of steps that are a block, a branch, a fan-out or a loop.
    pub nested: u32,
    /// Percentage of steps that wait.
    pub waits: u32,
}

impl Palette {
    /// Draws the palette of a seed.
    pub fn draw(rng: &mut Rng) -> Palette {
        let steps = match rng.below(100) {
            0..60 => 2 + rng.place(18),
            60..90 => 10 + rng.place(60),
            _ => 60 + rng.place(240),
        };
        let nested = [0, 8, 16, 28][rng.place(4)];
        Palette { steps, depth: 1 + rng.below(4) as u32, nested, waits: [0, 0, 3, 10][rng.place(4)] }
    }
}

/// A step that can be referred to.
#[derive(Debug, Clone)]
struct Known {
    name: String,
    /// Whether its output, if any, is an object with `v`, `ok` and `list`.
    plain: bool,
}

struct Draw<'r> {
    rng: &'r mut Rng,
    palette: Palette,
    left: usize,
    priorities: bool,
}

/// Surroundings of the block that is drawn.
#[derive(Debug, Clone)]
struct Around {
    depth: u32,
    /// Limit of the executions of the block.
    times: u64,
    known: Vec<Known>,
    item: bool,
    error: bool,
}

/// Draws a definition as a tree.
pub fn definition(rng: &mut Rng) -> Json {
    let palette = Palette::draw(rng);
    let mut map = Map::new();
    map.insert("name".into(), json!("drawn"));
    let strategy = match rng.below(10) {
        0..6 => json!("parallel"),
        6..8 => json!("sequential"),
        8 => json!("priority"),
        _ => {
            let at = rng.one(&[-5, 0, 5, 100]);
            json!({ "priority": { "fail_fast_at": at } })
        }
    };
    let priorities = strategy.is_object() || strategy == "priority";
    map.insert("strategy".into(), strategy);
    let properties = json!({ "yes": { "type": "boolean" }, "n": { "type": "integer" }, "list": { "type": "array" } });
    map.insert("inputs".into(), json!({ "type": "object", "properties": properties }));
    let mut draw = Draw { rng, palette, left: palette.steps, priorities };
    let around = Around { depth: 0, times: 1, known: Vec::new(), item: false, error: false };
    let root = 1 + draw.rng.place(palette.steps.min(60));
    let (steps, known) = draw.block(root, &around);
    map.insert("steps".into(), steps);
    for (name, often, error) in [("on_error", 35, true), ("on_cancel", 35, false), ("finally", 35, false)] {
        if draw.rng.percent(often) {
            draw.left = 1 + draw.rng.place(5);
            let around = Around { depth: 1, known: known.clone(), error, ..around.clone() };
            let count = 1 + draw.rng.place(3);
            let (steps, _) = draw.block(count, &around);
            map.insert(name.into(), json!({ "steps": steps }));
        }
    }
    if draw.rng.percent(50) {
        let mut outputs = Map::new();
        for at in 0..1 + draw.rng.place(3) {
            if draw.rng.percent(10) {
                let wrong = draw.rng.one(&["1 / 0", "[1] ~ 'x'"]).unwrap_or("1 / 0");
                outputs.insert(format!("o{at}"), json!(format!("${{{{ {wrong} }}}}")));
            } else if let Some(known) = draw.pick(&known) {
                outputs.insert(format!("o{at}"), json!(format!("${{{{ steps.{}.output }}}}", known.name)));
            }
        }
        map.insert("outputs".into(), Json::Object(outputs));
    }
    Json::Object(map)
}

impl Draw<'_> {
    fn pick(&mut self, known: &[Known]) -> Option<Known> {
        if known.is_empty() { None } else { known.get(self.rng.place(known.len())).cloned() }
    }

    /// Draws steps. Also returns the steps that can be referred to once they have ended.
    fn block(&mut self, count: usize, around: &Around) -> (Json, Vec<Known>) {
        let letter = ["s", "s", "a", "b"][self.rng.place(4)];
        let letter = if self.rng.percent(15) { "x".to_owned() } else { format!("{letter}{}", around.depth) };
        let names: Vec<String> = (0..count).map(|at| format!("{letter}_{at}")).collect();
        // Names of this block hide those of the blocks around it.
        let outside: Vec<Known> = around.known.iter().filter(|known| !names.contains(&known.name)).cloned().collect();
        let mut steps = Map::new();
        let mut handlers = Map::new();
        let mut done: Vec<Known> = Vec::new();
        let mut waited: Vec<Vec<usize>> = Vec::new();
        for (at, name) in names.iter().enumerate() {
            self.left = self.left.saturating_sub(1);
            let needs = self.needs(at);
            let mut before: Vec<usize> = needs.clone();
            before.extend(needs.iter().flat_map(|need| waited[*need].clone()));
            before.sort_unstable();
            before.dedup();
            let mut known = outside.clone();
            known.extend(before.iter().filter_map(|at| done.get(*at).cloned()));
            let inside = Around { known, ..around.clone() };
            let (mut step, plain) =
                self.step(name, &needs.iter().map(|at| names[*at].clone()).collect::<Vec<_>>(), &inside);
            if self.rng.percent(8) {
                let handler = format!("{letter}_h{at}");
                let around = Around { error: true, ..inside };
                handlers.insert(handler.clone(), self.handler(&around));
                step.insert("on_error".into(), json!({ "run": handler }));
            } else if self.rng.percent(20) {
                step.insert("on_error".into(), json!("continue"));
            }
            steps.insert(name.clone(), Json::Object(step));
            done.push(Known { name: name.clone(), plain });
            waited.push(before);
        }
        steps.append(&mut handlers);
        let known = outside.into_iter().chain(done).collect();
        (Json::Object(steps), known)
    }

    fn needs(&mut self, at: usize) -> Vec<usize> {
        let mut needs = Vec::new();
        if at > 0 {
            for _ in 0..[0, 1, 1, 1, 2, 2, 3][self.rng.place(7)] {
                // Steps most often need one that stands shortly before them.
                let back = if self.rng.percent(60) { 4 } else { at };
                let need = at - 1 - self.rng.place(back.min(at));
                if !needs.contains(&need) {
                    needs.push(need);
                }
            }
        }
        needs
    }

    /// Draws the handler of a failed step.
    fn handler(&mut self, around: &Around) -> Json {
        let mut step = Map::new();
        let error = json!({ "why": "${{ error.message }}", "kind": "${{ error.category }}" });
        if self.left > 1 && around.depth < self.palette.depth && self.rng.percent(25) {
            let around = Around { depth: around.depth + 1, ..around.clone() };
            let count = 1 + self.rng.place(2);
            step.insert("steps".into(), self.block(count, &around).0);
        } else {
            step.insert("worker".into(), json!("w"));
            step.insert("with".into(), error);
        }
        if self.rng.percent(10) {
            step.insert("if".into(), json!(self.condition(around)));
        }
        Json::Object(step)
    }

    fn step(&mut self, name: &str, needs: &[String], around: &Around) -> (Map<String, Json>, bool) {
        let mut step = Map::new();
        if !needs.is_empty() {
            step.insert("needs".into(), json!(needs));
        }
        if self.rng.percent(if needs.is_empty() { 3 } else { 25 }) {
            let words = ["failure", "always", "any_success", "success"];
            step.insert("run_if".into(), json!(words[self.rng.place(4)]));
        }
        let mut inside = around.clone();
        if self.rng.percent(self.palette.nested) {
            self.fan_out(&mut step, &mut inside);
        }
        let repeats = if self.rng.percent(self.palette.nested / 2) { 1 + self.rng.below(4) } else { 1 };
        let repeats = if inside.times * repeats > 40 { 1 } else { repeats };
        inside.times *= repeats;
        let branch = self.action(&mut step, &inside);
        if repeats > 1 {
            step.insert("repeat".into(), self.repeat(name, repeats, &step, &inside));
        }
        if branch || self.rng.percent(15) {
            let seen = if branch { &inside } else { around };
            step.insert("if".into(), json!(self.condition(seen)));
        }
        if self.priorities && self.rng.percent(60) {
            step.insert("priority".into(), json!(self.rng.below(24) as i64 - 11));
        }
        if !step.contains_key("worker") && self.rng.percent(self.palette.waits) {
            step.insert("timeout".into(), json!(format!("{}ms", 1_000 + self.rng.below(60_000))));
        }
        let plain = step.contains_key("worker") && !step.contains_key("for_each");
        (step, plain)
    }

    fn fan_out(&mut self, step: &mut Map<String, Json>, around: &mut Around) {
        let most = (40 / around.times).min(6);
        if most < 2 {
            return;
        }
        let plain: Vec<Known> = around.known.iter().filter(|known| known.plain).cloned().collect();
        let list = match (self.rng.below(10), self.pick(&plain)) {
            (0..4, Some(known)) => json!(format!("${{{{ steps.{}.output.list }}}}", known.name)),
            (0..6, _) => json!("${{ inputs.list }}"),
            _ => (0..self.rng.below(most)).map(|_| json!(self.rng.below(9))).collect::<Json>(),
        };
        step.insert("for_each".into(), list);
        if self.rng.percent(70) {
            step.insert("max_parallel".into(), json!(1 + self.rng.below(4)));
        }
        if self.rng.percent(50) {
            step.insert("on_item_error".into(), json!("collect"));
        }
        around.times *= most;
        around.item = true;
    }

    fn repeat(&mut self, name: &str, turns: u64, step: &Map<String, Json>, around: &Around) -> Json {
        let mut repeat = Map::new();
        let inner = step.get("steps").and_then(Json::as_object);
        let until = match (inner, step.contains_key("worker")) {
            (Some(inner), _) => {
                let names: Vec<&String> = inner.keys().filter(|name| !name.contains("_h")).collect();
                let name = self.rng.one(&names).cloned().unwrap_or_default();
                let plain =
                    inner.get(&name).is_some_and(|step| step.get("worker").is_some() && step.get("for_each").is_none());
                self.about(&Known { name, plain })
            }
            (None, true) => self.about(&Known { name: name.to_owned(), plain: true }),
            // A branch that is not taken is skipped, turn after turn.
            _ if self.rng.percent(50) => format!("steps.{name}.state == 'succeeded'"),
            _ => self.condition(around),
        };
        if self.rng.percent(75) {
            repeat.insert("until".into(), json!(until));
        }
        repeat.insert("max".into(), json!(turns));
        Json::Object(repeat)
    }

    /// Draws the action of the step. Returns true for a branch.
    fn action(&mut self, step: &mut Map<String, Json>, around: &Around) -> bool {
        let deeper = around.depth < self.palette.depth && self.left > 1;
        if deeper && self.rng.percent(self.palette.nested) {
            let inner = Around { depth: around.depth + 1, ..around.clone() };
            let most = self.left.min(6);
            if self.rng.percent(50) {
                let count = 1 + self.rng.place(most);
                step.insert("steps".into(), self.block(count, &inner).0);
                return false;
            }
            let count = 1 + self.rng.place(most);
            step.insert("then".into(), json!({ "steps": self.block(count, &inner).0 }));
            if self.rng.percent(60) {
                let count = 1 + self.rng.place(most);
                step.insert("else".into(), json!({ "steps": self.block(count, &inner).0 }));
            }
            return true;
        }
        if self.rng.percent(self.palette.waits) {
            step.insert("wait".into(), self.wait());
            return false;
        }
        step.insert("worker".into(), json!(self.rng.one(&["w", "w", "v"])));
        if let Some(with) = self.with(around) {
            step.insert("with".into(), with);
        }
        if self.rng.percent(15) {
            let policy = json!({ "max_attempts": 1 + self.rng.below(3), "delay": "0ms", "jitter": "none" });
            step.insert("retry".into(), policy);
        }
        false
    }

    fn wait(&mut self) -> Json {
        let mut wait = Map::new();
        match self.rng.below(3) {
            0 => wait.insert("signal".into(), json!(format!("sig{}", self.rng.below(2)))),
            1 => wait.insert("approval".into(), json!("Shall it go on with ${{ inputs.n }}?")),
            _ => {
                let fixed = json!(format!("{}ms", 1_000 + self.rng.below(60_000)));
                wait.insert("timer".into(), if self.rng.percent(70) { fixed } else { json!("${{ inputs.n }}") });
                return Json::Object(wait);
            }
        };
        if self.rng.percent(50) {
            wait.insert("timeout".into(), json!(format!("{}ms", 1_000 + self.rng.below(60_000))));
            if self.rng.percent(50) {
                wait.insert("on_timeout".into(), json!("continue"));
            }
        }
        Json::Object(wait)
    }

    fn with(&mut self, around: &Around) -> Option<Json> {
        let known = self.pick(&around.known);
        let reference = match (self.rng.below(10), known) {
            (0..3, Some(known)) => format!("${{{{ steps.{}.output }}}}", known.name),
            (3, Some(known)) => format!("is ${{{{ steps.{}.state }}}}", known.name),
            (4, Some(known)) if known.plain => format!("${{{{ steps.{}.output.v + 1 }}}}", known.name),
            (4..7, _) if around.item => "${{ item }} of ${{ index }}".to_owned(),
            (5..7, _) if around.error => "${{ error.message }}".to_owned(),
            (7, _) => "${{ inputs.n }}".to_owned(),
            (8, _) => "constant".to_owned(),
            _ => return None,
        };
        Some(json!({ "given": reference }))
    }

    fn condition(&mut self, around: &Around) -> String {
        if let Some(known) = self.pick(&around.known)
            && self.rng.percent(60)
        {
            return self.about(&known);
        }
        match self.rng.below(5) {
            0 => "inputs.yes".to_owned(),
            1 => "not inputs.yes".to_owned(),
            2 if around.item => "index > 1".to_owned(),
            3 if around.error => "error.category == 'provider'".to_owned(),
            _ => format!("inputs.n > {}", self.rng.below(12)),
        }
    }

    /// Draws a condition about a step that has ended.
    fn about(&mut self, known: &Known) -> String {
        let Known { name, plain } = known;
        match self.rng.below(8) {
            0 if *plain => format!("steps.{name}.output.ok"),
            1..4 if *plain => format!("(steps.{name}.output.v | default(0)) > {}", self.rng.below(9)),
            4 => format!("steps.{name}.state != 'succeeded'"),
            5 => format!("not steps.{name}.output"),
            _ => format!("steps.{name}.state == 'succeeded'"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_accepted() {
        let mut refused = Vec::new();
        let mut steps = 0;
        for seed in 0..2_000 {
            let tree = definition(&mut Rng::new(seed));
            let text = crate::yaml::write(&tree);
            match kapelle_core::definition::Definition::parse(text.as_bytes(), "drawn.yaml") {
                Ok(definition) => steps += definition.step_count(),
                Err(problems) => refused.push(format!("seed {seed}: {problems}\n{text}")),
            }
        }
        assert!(refused.is_empty(), "{} refused, first:\n{}", refused.len(), refused[0]);
        assert!(steps > 20_000, "hardly anything is drawn: {steps} steps");
    }
}
