//! The shape of a workflow for people: levels, text and Mermaid.

use std::fmt::Write;

use super::{
    model::{Action, Block, BlockIx, Definition, OnError, StepDef, StepIx, WaitFor},
    needs,
};

/// Returns the steps of a block by level: steps of level 0 need nothing, every other needs at least one of the level
/// before.
#[must_use]
pub fn levels(block: &Block) -> Vec<Vec<StepIx>> {
    let mut levels: Vec<Vec<StepIx>> = Vec::new();
    for (step, level) in needs::order(&block.steps) {
        let level = level as usize;
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        levels[level].push(step);
    }
    levels.iter_mut().for_each(|level| level.sort_unstable());
    levels
}

/// Describes the action of a step in a few words.
#[must_use]
pub fn describe(step: &StepDef) -> String {
    let mut text = match &step.action {
        Action::Worker { worker, .. } => worker.to_string(),
        Action::Workflow { workflow, wait: true, .. } => format!("workflow {workflow}"),
        Action::Workflow { workflow, wait: false, .. } => format!("workflow {workflow}, not waited for"),
        Action::Wait(wait) => match &wait.target {
            WaitFor::Approval(_) => "waits for approval".to_owned(),
            WaitFor::Signal(name) => format!("waits for signal {name}"),
            WaitFor::Timer(_) => "waits for a time".to_owned(),
        },
        Action::Steps(_) => "steps".to_owned(),
        Action::Branch { .. } => "branch".to_owned(),
    };
    if let Some(for_each) = &step.for_each {
        let _ = write!(text, ", for each item, {} at once", for_each.max_parallel);
    }
    if let Some(repeat) = &step.repeat {
        let _ = write!(text, ", up to {} times", repeat.max);
    }
    if let Some(first) = step.first {
        let _ = write!(text, ", until {first} succeeded");
    }
    if let Some(first) = step.needs_first {
        let _ = write!(text, ", after {first} of its {} needs", step.needs.len());
    }
    if step.ends_run {
        text.push_str(", ends the run");
    }
    if step.condition.is_some() && !matches!(step.action, Action::Branch { .. }) {
        text.push_str(", if");
    }
    text
}

/// Returns the blocks inside of a step, with their names.
pub(super) fn inner(step: &StepDef) -> Vec<(&'static str, BlockIx)> {
    match &step.action {
        Action::Steps(block) => vec![("steps", *block)],
        Action::Branch { then, otherwise } => {
            let mut found = vec![("then", *then)];
            found.extend(otherwise.map(|block| ("else", block)));
            found
        }
        _ => Vec::new(),
    }
}

/// Returns the blocks of the run itself, with their names.
pub(super) fn outer(definition: &Definition) -> Vec<(&'static str, BlockIx)> {
    let ends =
        [("on_error", definition.on_error), ("on_cancel", definition.on_cancel), ("finally", definition.finally)];
    let found = ends.into_iter().filter_map(|(name, block)| Some((name, block?)));
    std::iter::once(("steps", definition.root)).chain(found).collect()
}

/// Formats the workflow as indented text, level by level.
#[must_use]
pub fn to_text(definition: &Definition) -> String {
    let mut text = format!("{}\n", definition.name);
    for (name, block) in outer(definition) {
        if block != definition.root {
            let _ = writeln!(text, "{name}:");
        }
        block_text(definition, block, 1, &mut text);
    }
    text
}

fn block_text(definition: &Definition, index: BlockIx, depth: usize, text: &mut String) {
    let block = definition.block(index);
    let indent = "  ".repeat(depth);
    for (level, steps) in levels(block).into_iter().enumerate() {
        for at in steps {
            let step = block.step(at);
            let _ = write!(text, "{indent}{} {} ({})", level + 1, step.name, describe(step));
            if !step.needs.is_empty() {
                let names: Vec<&str> = step.needs.iter().map(|need| block.step(*need).name.as_str()).collect();
                let _ = write!(text, " after {}", names.join(", "));
            }
            if let OnError::Run(handler) = step.on_error {
                let _ = write!(text, ", on error {}", block.step(handler).name);
            }
            text.push('\n');
            for (name, inner) in inner(step) {
                if name != "steps" {
                    let _ = writeln!(text, "{indent}  {name}:");
                }
                block_text(definition, inner, depth + 2, text);
            }
        }
    }
}

/// Formats the workflow as a Mermaid flowchart.
#[must_use]
pub fn to_mermaid(definition: &Definition) -> String {
    let mut text = String::from("flowchart TD\n");
    for (name, block) in outer(definition) {
        if block == definition.root {
            block_mermaid(definition, block, 1, &mut text);
        } else {
            let _ = writeln!(text, "  subgraph {name}_{}[\"{name}\"]", block.0);
            block_mermaid(definition, block, 2, &mut text);
            text.push_str("  end\n");
        }
    }
    text
}

fn block_mermaid(definition: &Definition, index: BlockIx, depth: usize, text: &mut String) {
    let block = definition.block(index);
    let indent = "  ".repeat(depth);
    let id = |at: StepIx| format!("s{}_{}", index.0, at.0);
    for at in block.indices() {
        let step = block.step(at);
        let blocks = inner(step);
        let label = format!("{}<br/>{}", step.name, describe(step)).replace('"', "'");
        if blocks.is_empty() {
            let _ = writeln!(text, "{indent}{}[\"{label}\"]", id(at));
        } else {
            let _ = writeln!(text, "{indent}subgraph {}[\"{label}\"]", id(at));
            for (name, inner) in blocks {
                let _ = writeln!(text, "{indent}  subgraph b{}[\"{name}\"]", inner.0);
                block_mermaid(definition, inner, depth + 2, text);
                let _ = writeln!(text, "{indent}  end");
            }
            let _ = writeln!(text, "{indent}end");
        }
        for need in &step.needs {
            let _ = writeln!(text, "{indent}{} --> {}", id(*need), id(at));
        }
        if let OnError::Run(handler) = step.on_error {
            let _ = writeln!(text, "{indent}{} -. on error .-> {}", id(at), id(handler));
        }
    }
}
