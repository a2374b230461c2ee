//! Small random workflows: written as people write them, and kept as a plain table to check against.

use std::{cell::RefCell, collections::HashMap, fmt::Write as _, sync::Arc};

use kapelle_core::definition::Definition;

use crate::{plan::WORKERS, rng::Rng};

/// A workflow and what the laws need to know of it.
#[derive(Debug)]
pub struct Flow {
    /// Its text.
    pub source: Arc<[u8]>,
    /// Stands for the hash of the text: the number it was drawn from.
    pub sha256: [u8; 32],
    /// Read from the text.
    pub definition: Arc<Definition>,
    /// The steps in the order of the file.
    pub steps: Vec<FlowStep>,
    /// One step at a time.
    pub sequential: bool,
    /// A failure stops nothing at once.
    pub goes_on: bool,
}

/// A step as it was drawn.
#[derive(Debug, Clone)]
pub struct FlowStep {
    /// The steps it needs.
    pub needs: Vec<usize>,
    /// Its `if`.
    pub condition: Condition,
    /// Its `run_if`.
    pub run_if: When,
    /// `on_error: continue`.
    pub tolerated: bool,
}

/// The conditions that are drawn.
#[derive(Debug, Clone, Copy)]
pub enum Condition {
    /// None.
    None,
    /// An input must be true.
    Input,
    /// An input must be false.
    NotInput,
    /// That step must have succeeded.
    Succeeded(usize),
}

/// `run_if`, spelled again so that the laws share nothing with the code they check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// All needs succeeded.
    Success,
    /// A need failed.
    Failure,
    /// In any case.
    Always,
}

thread_local! {
    static KEPT: RefCell<HashMap<u64, Arc<Flow>>> = RefCell::default();
}

/// The workflow of a number. Kept, as reading the text takes longer than everything else.
///
/// # Errors
/// When the definition is refused, which is a fault of the simulation.
pub fn flow(number: u64) -> anyhow::Result<Arc<Flow>> {
    if let Some(kept) = KEPT.with_borrow(|kept| kept.get(&number).cloned()) {
        return Ok(kept);
    }
    let flow = Arc::new(draw(number)?);
    KEPT.with_borrow_mut(|kept| kept.insert(number, Arc::clone(&flow)));
    Ok(flow)
}

fn draw(number: u64) -> anyhow::Result<Flow> {
    let mut rng = Rng::new(number ^ 0x000F_1035);
    let count = 3 + rng.place(if rng.clone().chance(300) { 10 } else { 4 });
    let steps: Vec<FlowStep> = (0..count).map(|at| step(at, &mut rng)).collect();
    let strategy = ["parallel", "parallel", "sequential", "priority"][rng.place(4)];
    let text = write(number, strategy, &steps, &mut rng)?;
    let definition = Definition::parse(text.as_bytes(), "flow.yaml");
    let definition = definition.map_err(|problems| anyhow::anyhow!("flow {number}: {problems}\n{text}"))?;
    let mut sha256 = [0; 32];
    sha256[..8].copy_from_slice(&number.to_le_bytes());
    Ok(Flow {
        source: Arc::from(text.as_bytes()),
        sha256,
        definition: Arc::new(definition),
        steps,
        sequential: strategy == "sequential",
        goes_on: strategy == "priority",
    })
}

fn step(at: usize, rng: &mut Rng) -> FlowStep {
    let mut needs: Vec<usize> = Vec::new();
    if at > 0 {
        for _ in 0..rng.place(4) {
            let need = rng.place(at);
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
    }
    let condition = match rng.place(8) {
        0 => Condition::Input,
        1 => Condition::NotInput,
        2 | 3 if !needs.is_empty() => Condition::Succeeded(needs[rng.place(needs.len())]),
        _ => Condition::None,
    };
    let run_if = match rng.place(8) {
        0 => When::Always,
        1 => When::Failure,
        _ => When::Success,
    };
    FlowStep { needs, condition, run_if, tolerated: rng.chance(300) }
}

fn write(number: u64, strategy: &str, steps: &[FlowStep], rng: &mut Rng) -> anyhow::Result<String> {
    let mut text = format!("name: flow{number}\nstrategy: {strategy}\n");
    text.push_str("inputs: { type: object, properties: { a: { type: boolean } } }\nsteps:\n");
    for (at, step) in steps.iter().enumerate() {
        writeln!(text, "  s{at}:")?;
        writeln!(text, "    worker: {}", WORKERS[rng.place(3)])?;
        if !step.needs.is_empty() {
            let needs: Vec<String> = step.needs.iter().map(|need| format!("s{need}")).collect();
            writeln!(text, "    needs: [{}]", needs.join(", "))?;
        }
        match step.condition {
            Condition::None => {}
            Condition::Input => writeln!(text, "    if: inputs.a")?,
            Condition::NotInput => writeln!(text, "    if: not inputs.a")?,
            Condition::Succeeded(need) => writeln!(text, "    if: steps.s{need}.state == 'succeeded'")?,
        }
        match step.run_if {
            When::Success => {}
            When::Failure => text.push_str("    run_if: failure\n"),
            When::Always => text.push_str("    run_if: always\n"),
        }
        if step.tolerated {
            text.push_str("    on_error: continue\n");
        }
        if rng.chance(400) {
            writeln!(text, "    priority: {}", rng.below(9) as i64 - 4)?;
        }
        if rng.chance(400) {
            let delay = ["0ms", "50ms", "1s"][rng.place(3)];
            writeln!(text, "    retry: {{ max_attempts: {}, delay: {delay} }}", 1 + rng.below(3))?;
        }
        if rng.chance(200) {
            text.push_str("    queue: ml\n");
        }
        match (rng.place(4), step.needs.first()) {
            (0, Some(need)) => writeln!(text, "    with: {{ from: \"${{{{ steps.s{need}.output }}}}\" }}")?,
            (1, Some(need)) => writeln!(text, "    with: {{ n: \"${{{{ steps.s{need}.output.v + 1 }}}}\" }}")?,
            (2, _) => text.push_str("    with: { fixed: 1 }\n"),
            _ => {}
        }
    }
    if rng.chance(500) {
        let last = steps.len() - 1;
        writeln!(text, "outputs: {{ last: \"${{{{ steps.s{last}.output }}}}\" }}")?;
    }
    Ok(text)
}
