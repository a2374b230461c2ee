//! The graph of a workflow, and of a run with the states of its steps.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use kapelle_api as api;
use kapelle_core::{
    Name, RunId, TaskId,
    definition::{Action, Block, BlockIx, Definition, OnError},
    run::{Opening, RunEvent, ScopeId, Slot},
};
use kapelle_store::{Page, RunRow, StepProgress};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    graph_view::{graph, strategy},
    run_start, run_view, to_api,
};

/// Versions of a workflow that are searched for a number.
const VERSIONS_MAX: u32 = 1_000;
/// Entries of a journal that are read at a time.
const PAGE: u32 = 1_000;
/// The word for the newest version.
const NEWEST: &str = "newest";

impl App {
    /// Returns the graph of a version of a workflow; the newest with the number `newest`.
    ///
    /// # Errors
    /// When the tenant has no such version.
    pub async fn workflow_graph(
        self: &Arc<Self>,
        by: &Caller,
        workflow: &str,
        number: &str,
    ) -> Result<api::Graph, AppError> {
        by.allow(Permission::Read)?;
        let missing = || AppError::not_found(format!("version {} of the workflow {}", short(number), short(workflow)));
        let name = Name::parse(workflow).map_err(|_| missing())?;
        let wanted: Option<u32> = match number {
            NEWEST => None,
            number => Some(number.parse().map_err(|_| missing())?),
        };
        let tenant = by.tenant;
        let row = self.list_for(tenant, move |app| {
            let rows = app.reader().versions(tenant, Some(&name), Page { before: None, most: VERSIONS_MAX })?;
            let row = match wanted {
                None => rows.into_iter().max_by_key(|row| row.number),
                Some(number) => rows.into_iter().find(|row| row.number == number),
            };
            let Some(row) = row else { return Ok(None) };
            let (_, definition) = run_start::load(&row.source, &row.file)?;
            Ok(Some(api::Graph { version: Some(row.number), ..graph(&definition) }))
        });
        row.await?.ok_or_else(missing)
    }

    /// Returns the graph of a run, with the states of its steps.
    ///
    /// # Errors
    /// When the tenant has no such run.
    pub async fn run_graph(self: &Arc<Self>, by: &Caller, id: RunId) -> Result<api::Graph, AppError> {
        by.allow(Permission::Read)?;
        let row = self.one_run(by.tenant, id)?;
        self.list_for(by.tenant, move |app| app.graph_of(&row)).await
    }

    fn graph_of(&self, row: &RunRow) -> Result<api::Graph, AppError> {
        let stored = self.reader().version(row.tenant, row.version)?;
        let stored = stored.ok_or_else(|| AppError::internal("the version of the run is not stored"))?;
        let (_, definition) = run_start::load(&stored.source, &stored.file)?;
        let rows = self.reader().step_progress(row.id, None)?;
        let mut fold =
            Fold { definition: &definition, found: HashMap::new(), callers: HashMap::new(), unclear: Vec::new() };
        fold.all(rows);
        let mut found = fold.found;
        for (place, way) in self.ways(row.id, &fold.unclear)? {
            found.entry(place).or_default().take_way(way);
        }
        let mut graph = graph(&definition);
        graph.version = Some(stored.number);
        graph.strategy = strategy(&row.strategy);
        graph.run = Some(api::GraphRun {
            id: row.id.to_string(),
            state: to_api::run_state(row.status.kind()),
            paused: row.paused.is_some(),
            seq: row.seq,
            children: self.children_of(row, &fold.callers)?,
        });
        for block in &mut graph.blocks {
            for step in &mut block.steps {
                let Some(became) = found.remove(&(block.index, step.index)) else { continue };
                step.counts = Some(became.counts);
                step.items = became.items;
                step.taken = became.taken;
            }
        }
        Ok(graph)
    }

    /// Returns the runs that a run started, with the places of the steps that wait for them.
    fn children_of(
        &self,
        row: &RunRow,
        callers: &HashMap<TaskId, (Place, Arc<str>)>,
    ) -> Result<Vec<api::GraphChild>, AppError> {
        let mut children = Vec::new();
        for id in self.reader().children(row.tenant, row.id, run_view::CHILDREN)? {
            let Some(child) = self.reader().run(row.tenant, id)? else { continue };
            let task = child.parent.and_then(|parent| parent.task);
            let caller = task.and_then(|task| callers.get(&task));
            children.push(api::GraphChild {
                run: id.to_string(),
                workflow: child.workflow.to_string(),
                state: to_api::run_state(child.status.kind()),
                task: task.map(|task| task.to_string()),
                step: caller.map(|(_, path)| path.to_string()),
                place: caller.map(|((block, step), _)| api::StepPlace { block: *block, step: *step }),
            });
        }
        Ok(children)
    }

    /// Reads from the journal which ways branches took whose rows do not tell.
    fn ways(&self, run: RunId, unclear: &[Unclear]) -> Result<Vec<(Place, Way)>, AppError> {
        let mut found = Vec::new();
        if unclear.is_empty() {
            return Ok(found);
        }
        let wanted: HashMap<(ScopeId, Slot), &Unclear> =
            unclear.iter().map(|branch| ((branch.scope, branch.slot), branch)).collect();
        let mut from = 0;
        loop {
            let entries = self.reader().journal(run, from, PAGE)?;
            for entry in &entries {
                if let RunEvent::ScopeOpened { scope, slot, opening: Opening::Block(block), .. } = &entry.event
                    && let Some(branch) = wanted.get(&(*scope, *slot))
                {
                    found.push((branch.place, if *block == branch.then { Way::Then } else { Way::Else }));
                }
            }
            match entries.last() {
                Some(last) if entries.len() == PAGE as usize => from = last.seq + 1,
                _ => return Ok(found),
            }
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(90).collect()
}

/// The numbers of a block and of a step in it.
type Place = (u32, u32);

/// A way of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Then,
    Else,
}

/// A branch whose way does not follow from the rows inside of it.
struct Unclear {
    scope: ScopeId,
    slot: Slot,
    place: Place,
    then: BlockIx,
}

/// Outcome of a step in a run.
#[derive(Default)]
struct Became {
    counts: api::StateCounts,
    items: Option<api::StateCounts>,
    taken: Option<api::BranchTaken>,
}

impl Became {
    fn take_way(&mut self, way: Way) {
        let taken = self.taken.get_or_insert_default();
        match way {
            Way::Then => taken.then += 1,
            Way::Else => taken.otherwise += 1,
        }
    }
}

/// The kind of a scope, as its place tells.
#[derive(Debug, Clone, Copy)]
enum Level {
    Block(BlockIx),
    Items(BlockIx, u32),
    Turns(BlockIx, u32),
}

/// Assigns rows to the steps of a definition. The id of a scope follows from its place, so no row needs to name its step.
struct Fold<'d> {
    definition: &'d Definition,
    found: HashMap<Place, Became>,
    /// Steps that start runs: their places and paths, by task.
    callers: HashMap<TaskId, (Place, Arc<str>)>,
    unclear: Vec<Unclear>,
}

impl Fold<'_> {
    fn all(&mut self, rows: Vec<StepProgress>) {
        let mut scopes: BTreeMap<ScopeId, Vec<StepProgress>> = BTreeMap::new();
        for row in rows {
            scopes.entry(row.scope).or_default().push(row);
        }
        let definition = self.definition;
        let outer = [
            (ScopeId::ROOT, Some(definition.root)),
            (ScopeId::ON_ERROR, definition.on_error),
            (ScopeId::ON_CANCEL, definition.on_cancel),
            (ScopeId::FINALLY, definition.finally),
        ];
        let mut left: Vec<(ScopeId, Level)> =
            outer.into_iter().filter_map(|(scope, block)| Some((scope, Level::Block(block?)))).collect();
        while let Some((scope, level)) = left.pop() {
            for row in scopes.remove(&scope).unwrap_or_default() {
                let inner = ScopeId::inner(scope, row.slot);
                if let Some(level) = self.row(&row, level, scopes.get(&inner).map(Vec::as_slice)) {
                    left.push((inner, level));
                }
            }
        }
    }

    /// Counts a row. Returns the kind of the scope that it opened, if it may have opened one.
    fn row(&mut self, row: &StepProgress, level: Level, inside: Option<&[StepProgress]>) -> Option<Level> {
        let state = to_api::state(row.state);
        let (block, at, layer) = match level {
            Level::Block(block) => (block, self.step_at(block, row.slot)?, 0),
            Level::Items(block, at) => (block, at, 1),
            Level::Turns(block, at) => (block, at, 2),
        };
        let definition = self.definition;
        let step = definition.block(block).steps.get(at as usize)?;
        let became = self.found.entry((block.0, at)).or_default();
        let is_turn_of_item = layer == 2 && step.for_each.is_some();
        match layer {
            0 => *became.counts.of(state) += 1,
            _ if is_turn_of_item => {}
            _ => *became.items.get_or_insert_default().of(state) += 1,
        }
        if layer == 0 && step.for_each.is_some() {
            return Some(Level::Items(block, at));
        }
        if layer < 2 && step.repeat.is_some() {
            return Some(Level::Turns(block, at));
        }
        match &step.action {
            Action::Steps(inner) => Some(Level::Block(*inner)),
            Action::Branch { then, otherwise } => self.branch(row, (block, at), (*then, *otherwise), inside),
            Action::Workflow { .. } => {
                self.callers.insert(row.task, ((block.0, at), Arc::clone(&row.path)));
                None
            }
            _ => None,
        }
    }

    /// Finds the way that a branch took by the names of the steps inside of it.
    fn branch(
        &mut self,
        row: &StepProgress,
        (block, at): (BlockIx, u32),
        (then, otherwise): (BlockIx, Option<BlockIx>),
        inside: Option<&[StepProgress]>,
    ) -> Option<Level> {
        let inside = inside?;
        let fits = |block: BlockIx| inside.iter().all(|row| fits(self.definition.block(block), row));
        let way = match (fits(then), otherwise.is_some_and(fits)) {
            (true, false) => Way::Then,
            (false, true) => Way::Else,
            _ => {
                let place = (block.0, at);
                self.unclear.push(Unclear { scope: row.scope, slot: row.slot, place, then });
                return None;
            }
        };
        self.found.entry((block.0, at)).or_default().take_way(way);
        match way {
            Way::Then => Some(Level::Block(then)),
            Way::Else => otherwise.map(Level::Block),
        }
    }

    /// Returns the index of the step at a slot of a block: of the step itself, or of the one that handles its failure.
    fn step_at(&self, block: BlockIx, slot: Slot) -> Option<u32> {
        let steps = &self.definition.block(block).steps;
        let Some(failed) = slot.0.checked_sub(steps.len() as u32) else { return Some(slot.0) };
        match steps.get(failed as usize)?.on_error {
            OnError::Run(handler) => Some(handler.0),
            _ => None,
        }
    }
}

/// Says whether a row can be a step of a block: the name at its slot is the last one of its path.
fn fits(block: &Block, row: &StepProgress) -> bool {
    let named = row.path.rsplit('.').next().unwrap_or_default();
    let named = named.split(['(', '[']).next().unwrap_or_default();
    let at = row.slot.0 as usize;
    match block.steps.get(at) {
        Some(step) => step.name.as_str() == named,
        None => block.find(named).is_some(),
    }
}
