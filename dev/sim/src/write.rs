//! A workflow as people write it.

use std::fmt::Write as _;

use crate::{
    flow::{Act, Condition, FlowStep, OnError, Strategy, Table, Until, When},
    plan::WORKERS,
    rng::Rng,
};

/// Formats a table as text.
///
/// # Errors
/// Cannot happen: writing to a string does not fail.
pub fn text(number: u64, table: &Table, rng: &mut Rng) -> anyhow::Result<String> {
    let mut text = format!("name: flow{number}\n");
    let strategy = match table.strategy {
        Strategy::Parallel => "parallel",
        Strategy::Sequential => "sequential",
        Strategy::Priority => "priority",
    };
    writeln!(text, "strategy: {strategy}")?;
    text.push_str("inputs: { type: object, properties: { a: { type: boolean } } }\n");
    if let Some(timeout) = table.timeout_ms {
        writeln!(text, "timeout: {timeout}ms")?;
    }
    let mut pen = Pen { table, rng, text };
    pen.text.push_str("steps: ");
    pen.steps(0)?;
    pen.text.push('\n');
    for (name, tail) in ["on_error", "on_cancel", "finally"].iter().zip(table.tails) {
        if let Some(block) = tail {
            write!(pen.text, "{name}: {{ steps: ")?;
            pen.steps(block)?;
            pen.text.push_str(" }\n");
        }
    }
    if pen.rng.chance(500) {
        let last = table.blocks[0].iter().rfind(|step| !step.handler).map_or("", |step| &step.name);
        // One in four cannot be evaluated.
        let output = if pen.rng.chance(250) { "1 / 0".to_owned() } else { format!("steps.{last}.output") };
        writeln!(pen.text, "outputs: {{ last: \"${{{{ {output} }}}}\" }}")?;
    }
    Ok(pen.text)
}

struct Pen<'a> {
    table: &'a Table,
    rng: &'a mut Rng,
    text: String,
}

impl Pen<'_> {
    fn steps(&mut self, block: usize) -> anyhow::Result<()> {
        self.text.push_str("{ ");
        for step in &self.table.blocks[block] {
            write!(self.text, "{}: {{ ", step.name)?;
            self.act(step)?;
            self.rules(step, &self.table.blocks[block])?;
            self.text.push_str("}, ");
        }
        self.text.push('}');
        Ok(())
    }

    fn act(&mut self, step: &FlowStep) -> anyhow::Result<()> {
        match &step.act {
            Act::Worker => write!(self.text, "worker: {}, ", WORKERS[self.rng.place(3)])?,
            Act::Block(block) => {
                self.text.push_str("steps: ");
                self.steps(*block)?;
                self.text.push_str(", ");
            }
            Act::Branch(then, otherwise) => {
                self.text.push_str("then: { steps: ");
                self.steps(*then)?;
                self.text.push_str(" }, ");
                if let Some(otherwise) = otherwise {
                    self.text.push_str("else: { steps: ");
                    self.steps(*otherwise)?;
                    self.text.push_str(" }, ");
                }
            }
            Act::Signal(name) => self.wait(&format!("signal: {name}"))?,
            Act::Approval => self.wait("approval: \"well?\"")?,
            Act::Timer => {
                let time = ["0ms", "300ms", "2s"][self.rng.place(3)];
                write!(self.text, "wait: {{ timer: {time} }}, ")?;
            }
            Act::Workflow(number, wait) => {
                write!(self.text, "workflow: flow{number}, with: {{ a: {} }}, ", self.rng.chance(500))?;
                if !wait {
                    self.text.push_str("wait: false, ");
                }
            }
        }
        if !matches!(step.act, Act::Worker | Act::Signal(_) | Act::Approval | Act::Timer) && self.rng.chance(200) {
            write!(self.text, "timeout: {}, ", ["300ms", "3s"][self.rng.place(2)])?;
        }
        Ok(())
    }

    fn wait(&mut self, what: &str) -> anyhow::Result<()> {
        write!(self.text, "wait: {{ {what}")?;
        if self.rng.chance(500) {
            let then = ["fail", "continue"][self.rng.place(2)];
            write!(self.text, ", timeout: {}, on_timeout: {then}", ["200ms", "4s"][self.rng.place(2)])?;
        }
        self.text.push_str(" }, ");
        Ok(())
    }

    fn rules(&mut self, step: &FlowStep, block: &[FlowStep]) -> anyhow::Result<()> {
        let name = |at: usize| &block[at].name;
        if !step.needs.is_empty() {
            let needs: Vec<&str> = step.needs.iter().map(|need| name(*need).as_str()).collect();
            write!(self.text, "needs: [{}], ", needs.join(", "))?;
        }
        match step.condition {
            Condition::None => {}
            Condition::Input => self.text.push_str("if: inputs.a, "),
            Condition::NotInput => self.text.push_str("if: not inputs.a, "),
            Condition::Succeeded(need) => write!(self.text, "if: \"steps.{}.state == 'succeeded'\", ", name(need))?,
        }
        self.text.push_str(match step.run_if {
            When::Success => "",
            When::AnySuccess => "run_if: any_success, ",
            When::Failure => "run_if: failure, ",
            When::Always => "run_if: always, ",
        });
        match step.on_error {
            OnError::Stop => {}
            OnError::Continue => self.text.push_str("on_error: continue, "),
            OnError::Run(handler) => write!(self.text, "on_error: {{ run: {} }}, ", name(handler))?,
        }
        if step.priority != 0 {
            write!(self.text, "priority: {}, ", step.priority)?;
        }
        if let Some(items) = step.items {
            let list: Vec<String> = (0..items.total).map(|at| at.to_string()).collect();
            write!(self.text, "for_each: [{}], max_parallel: {}, ", list.join(", "), items.at_once)?;
            if items.collect {
                self.text.push_str("on_item_error: collect, ");
            }
        }
        if let Some(turns) = step.turns {
            match (turns.until, &step.act) {
                (Until::Input, _) => self.text.push_str("repeat: { until: inputs.a, "),
                (Until::Succeeded(at), Act::Block(inner)) => {
                    let name = &self.table.blocks[*inner][at].name;
                    write!(self.text, "repeat: {{ until: \"steps.{name}.state == 'succeeded'\", ")?;
                }
                _ => self.text.push_str("repeat: { "),
            }
            write!(self.text, "max: {} }}, ", turns.max)?;
        }
        if matches!(step.act, Act::Worker) { self.worker(step, block) } else { Ok(()) }
    }

    fn worker(&mut self, step: &FlowStep, block: &[FlowStep]) -> anyhow::Result<()> {
        if self.rng.chance(400) {
            let delay = ["0ms", "50ms", "1s"][self.rng.place(3)];
            write!(self.text, "retry: {{ max_attempts: {}, delay: {delay} }}, ", 1 + self.rng.below(3))?;
        }
        if self.rng.chance(200) {
            self.text.push_str("queue: ml, ");
        }
        match (self.rng.place(4), step.needs.first().map(|need| &block[*need].name)) {
            (0, Some(need)) => write!(self.text, "with: {{ from: \"${{{{ steps.{need}.output }}}}\" }}, ")?,
            (1, Some(need)) => write!(self.text, "with: {{ n: \"${{{{ steps.{need}.output.v + 1 }}}}\" }}, ")?,
            (2, _) if step.items.is_some() => self.text.push_str("with: { i: \"${{ item }}\" }, "),
            (2, _) if step.handler => self.text.push_str("with: { why: \"${{ error.message }}\" }, "),
            (2, _) => self.text.push_str("with: { fixed: 1 }, "),
            _ => {}
        }
        Ok(())
    }
}
