//! Definitions as graphs of the API.

use kapelle_api as api;
use kapelle_core::definition::{
    Action, Block, BlockIx, Definition, OnError, OnItemError, RunIf, StepDef, Strategy, WaitFor,
    graph::{describe, levels},
};

/// Returns the word for an order of steps.
pub(crate) fn strategy(strategy: &Strategy) -> String {
    match strategy {
        Strategy::Sequential => "sequential".to_owned(),
        Strategy::Parallel => "parallel".to_owned(),
        Strategy::Priority { .. } => "priority".to_owned(),
        Strategy::Custom(name) => name.to_string(),
    }
}

/// Returns the graph of a definition.
pub(crate) fn graph(definition: &Definition) -> api::Graph {
    let blocks = (0..definition.blocks.len() as u32).map(|at| block(definition, BlockIx(at))).collect();
    api::Graph {
        workflow: definition.name.to_string(),
        version: None,
        description: definition.description.clone(),
        strategy: strategy(&definition.strategy),
        inputs: definition.inputs.as_deref().cloned(),
        blocks,
        run: None,
    }
}

fn block(definition: &Definition, index: BlockIx) -> api::GraphBlock {
    let block = definition.block(index);
    let levels: Vec<Vec<u32>> =
        levels(block).into_iter().map(|level| level.into_iter().map(|step| step.0).collect()).collect();
    let mut of_step = vec![0; block.steps.len()];
    for (number, level) in levels.iter().enumerate() {
        for step in level {
            if let Some(slot) = of_step.get_mut(*step as usize) {
                *slot = number as u32;
            }
        }
    }
    let steps = block.steps.iter().zip(&of_step).enumerate();
    let steps = steps.map(|(at, (def, level))| step(def, at as u32, *level)).collect();
    let parent = block.parent.map(|(block, step)| api::StepPlace { block: block.0, step: step.0 });
    api::GraphBlock { index: index.0, kind: kind(definition, index, block), parent, levels, steps }
}

fn kind(definition: &Definition, index: BlockIx, block: &Block) -> api::BlockKind {
    let is = |other: Option<BlockIx>| other == Some(index);
    if let Some((outer, step)) = block.parent
        && let Action::Branch { then, otherwise } = &definition.step(outer, step).action
    {
        return if is(Some(*then)) || !is(*otherwise) { api::BlockKind::Then } else { api::BlockKind::Else };
    }
    if is(definition.on_error) {
        api::BlockKind::OnError
    } else if is(definition.on_cancel) {
        api::BlockKind::OnCancel
    } else if is(definition.finally) {
        api::BlockKind::Finally
    } else {
        api::BlockKind::Steps
    }
}

fn step(def: &StepDef, index: u32, level: u32) -> api::GraphStep {
    let (mut worker, mut workflow, mut signal, mut blocks) = (None, None, None, Vec::new());
    let kind = match &def.action {
        Action::Worker { worker: name, .. } => {
            worker = Some(name.to_string());
            api::StepKind::Worker
        }
        Action::Workflow { workflow: name, .. } => {
            workflow = Some(name.to_string());
            api::StepKind::Workflow
        }
        Action::Wait(wait) => match &wait.target {
            WaitFor::Approval(_) => api::StepKind::Approval,
            WaitFor::Timer(_) => api::StepKind::Timer,
            WaitFor::Signal(name) => {
                signal = Some(name.to_string());
                api::StepKind::Signal
            }
        },
        Action::Steps(block) => {
            blocks.push(block.0);
            api::StepKind::Steps
        }
        Action::Branch { then, otherwise } => {
            blocks.push(then.0);
            blocks.extend(otherwise.map(|block| block.0));
            api::StepKind::Branch
        }
    };
    let (on_error, handler) = match def.on_error {
        OnError::Stop => (api::StepOnError::Fail, None),
        OnError::Continue => (api::StepOnError::Continue, None),
        OnError::Run(handler) => (api::StepOnError::Run, Some(handler.0)),
    };
    api::GraphStep {
        index,
        name: def.name.to_string(),
        kind,
        what: describe(def),
        worker,
        workflow,
        signal,
        needs: def.needs.iter().map(|need| need.0).collect(),
        level,
        condition: def.condition.as_ref().map(|condition| condition.source().to_owned()),
        run_if: run_if(def.run_if),
        for_each: def.for_each.as_ref().map(|list| api::GraphForEach {
            max_parallel: list.max_parallel,
            collect: list.on_item_error == OnItemError::Collect,
        }),
        repeat: def.repeat.as_ref().map(|repeat| api::GraphRepeat {
            max: repeat.max,
            until: repeat.until.as_ref().map(|until| until.source().to_owned()),
        }),
        on_error,
        handler,
        is_handler: def.is_handler,
        blocks,
        queue: def.queue.as_ref().map(ToString::to_string),
        requires: def.requires.clone().into(),
        line: def.line,
        counts: None,
        items: None,
        taken: None,
    }
}

fn run_if(rule: RunIf) -> api::StepRunIf {
    match rule {
        RunIf::Success => api::StepRunIf::Success,
        RunIf::Failure => api::StepRunIf::Failure,
        RunIf::Always => api::StepRunIf::Always,
        RunIf::AnySuccess => api::StepRunIf::AnySuccess,
    }
}
