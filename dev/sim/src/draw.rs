//! The contents of a workflow, drawn from its number.

use crate::{
    flow::{Act, Condition, FlowStep, Items, OnError, Strategy, Table, Turns, Until, When},
    rng::Rng,
};

/// Size of a family of workflows: each starts only ones of a higher number in it, so there are no cycles.
const FAMILY: u64 = 3;
/// Signals that steps wait for.
pub const SIGNALS: [&str; 2] = ["go", "stop"];

/// Draws the table of a number and its text.
///
/// # Errors
/// Those of writing.
pub fn draw(
    number: u64,
    text: impl FnOnce(&Table, &mut Rng) -> anyhow::Result<String>,
) -> anyhow::Result<(Table, String)> {
    let mut rng = Rng::new(number ^ 0x000F_1035);
    let strategies = [Strategy::Parallel, Strategy::Parallel, Strategy::Sequential, Strategy::Priority];
    let mut table = Table { strategy: strategies[rng.place(4)], ..Table::default() };
    // Some workflows are flat: they have room for many steps that need each other.
    let flat = rng.chance(300);
    let count = 2 + rng.place(if flat { 9 } else { 4 });
    let mut pen = Pen { number, room: if flat { 0 } else { 24 }, table: &mut table, rng: &mut rng };
    pen.block(count, 0);
    for tail in 0..3 {
        if pen.rng.chance(250) {
            let count = 1 + pen.rng.place(2);
            let block = pen.block(count, 2);
            pen.table.tails[tail] = Some(block);
        }
    }
    if rng.chance(150) {
        table.timeout_ms = Some([500, 5_000, 60_000][rng.place(3)]);
    }
    let text = text(&table, &mut rng)?;
    Ok((table, text))
}

struct Pen<'a> {
    number: u64,
    /// Factor by which rows may still be multiplied.
    room: u32,
    table: &'a mut Table,
    rng: &'a mut Rng,
}

impl Pen<'_> {
    /// Draws a block and its inner blocks, and returns its number.
    fn block(&mut self, count: usize, depth: u32) -> usize {
        let block = self.table.blocks.len();
        self.table.blocks.push(Vec::new());
        for at in 0..count {
            let step = self.step(block, at, depth);
            self.table.blocks[block].push(step);
        }
        if depth < 2 && self.rng.chance(250) {
            let mut handler = self.plain(block, count);
            handler.handler = true;
            let failing = self.rng.place(count);
            self.table.blocks[block][failing].on_error = OnError::Run(count);
            self.table.blocks[block].push(handler);
        }
        block
    }

    fn plain(&mut self, block: usize, at: usize) -> FlowStep {
        FlowStep {
            name: format!("s{block}_{at}"),
            needs: Vec::new(),
            condition: Condition::None,
            run_if: When::Success,
            on_error: OnError::Stop,
            handler: false,
            priority: 0,
            items: None,
            turns: None,
            act: Act::Worker,
        }
    }

    fn step(&mut self, block: usize, at: usize, depth: u32) -> FlowStep {
        let mut step = self.plain(block, at);
        for _ in 0..if at > 0 { self.rng.place(4) } else { 0 } {
            let need = self.rng.place(at);
            if !step.needs.contains(&need) {
                step.needs.push(need);
            }
        }
        step.condition = match self.rng.place(8) {
            0 => Condition::Input,
            1 => Condition::NotInput,
            2 | 3 if !step.needs.is_empty() => Condition::Succeeded(step.needs[self.rng.place(step.needs.len())]),
            _ => Condition::None,
        };
        step.run_if = match self.rng.place(10) {
            0 => When::Always,
            1 => When::Failure,
            2 => When::AnySuccess,
            _ => When::Success,
        };
        if self.rng.chance(300) {
            step.on_error = OnError::Continue;
        }
        if self.rng.chance(400) {
            step.priority = self.rng.below(16) as i64 - 4;
        }
        if self.room == 0 || depth >= 2 {
            return step;
        }
        if self.rng.chance(250) {
            let total = self.rng.below(6) as u32;
            let at_once = 1 + self.rng.place(3);
            step.items = Some(Items { total, at_once, collect: self.rng.chance(400) });
            self.room = self.room.saturating_sub(6);
        }
        let turns = self.rng.chance(150).then(|| 1 + self.rng.below(3) as u32);
        step.act = self.act(depth);
        if !matches!(step.act, Act::Worker) {
            // Waits and branches are handled by the slot itself.
            self.room = self.room.saturating_sub(3);
        }
        if let Act::Branch(..) = step.act
            && matches!(step.condition, Condition::None)
        {
            step.condition = [Condition::Input, Condition::NotInput][self.rng.place(2)];
        }
        step.turns = turns.map(|max| {
            let until = match (&step.act, self.rng.place(4)) {
                (_, 0) => Until::Never,
                (Act::Block(inner), 1 | 2) => {
                    let steps = self.table.blocks[*inner].iter().filter(|step| !step.handler).count();
                    Until::Succeeded(self.rng.place(steps))
                }
                _ => Until::Input,
            };
            Turns { max, until }
        });
        step
    }

    fn act(&mut self, depth: u32) -> Act {
        let inner = |pen: &mut Self| {
            let count = 1 + pen.rng.place(3);
            pen.block(count, depth + 1)
        };
        match self.rng.place(14) {
            0 | 1 => Act::Block(inner(self)),
            2 | 3 => {
                let then = inner(self);
                let otherwise = self.rng.chance(500).then(|| inner(self));
                Act::Branch(then, otherwise)
            }
            4 => Act::Signal(SIGNALS[self.rng.place(2)]),
            5 => Act::Timer,
            6 => Act::Approval,
            7 if self.number % FAMILY < FAMILY - 1 => Act::Workflow(self.number + 1, self.rng.chance(700)),
            _ => Act::Worker,
        }
    }
}
