//! Output of a row that held others.

use kapelle_core::{Payload, run::ScopeId, task::TaskState};
use serde_json::Value;

use super::model::{Layer, Model};
use crate::{disk::Disk, flow::Table};

fn read(disk: &Disk, payload: &Payload) -> Result<Value, String> {
    let bytes = match payload {
        Payload::Row(id) => disk.payload(*id).map(|bytes| bytes.to_vec()),
        other => other.inline().map(<[u8]>::to_vec),
    };
    let bytes = bytes.ok_or("a payload is not stored")?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// Checks the outputs of a block by name, of a list in its order, of a loop that of its last turn.
pub(super) fn check(model: &Model, disk: &Disk, table: &Table, id: ScopeId, output: &Payload) -> Result<(), String> {
    let Some(level) = model.levels.get(&id) else { return Err(format!("{id:?} is not there")) };
    let mut outputs = Vec::new();
    for (slot, row) in &level.rows {
        let state = disk.task(row.task).map(|task| &task.state);
        let output = match state {
            Some(TaskState::Succeeded { output, .. }) => Some(read(disk, output)?),
            _ => None,
        };
        outputs.push((*slot, output, matches!(state, Some(TaskState::Skipped { .. }))));
    }
    let given = read(disk, output)?;
    let expected = match level.layer {
        Layer::Turns(..) => outputs.pop().and_then(|(_, output, _)| output).unwrap_or(Value::Null),
        Layer::Block(block) => {
            let name = |slot: u32| table.blocks[block].get(slot as usize).map(|step| step.name.clone());
            outputs.into_iter().filter_map(|(slot, output, _)| Some((name(slot)?, output?))).collect()
        }
        Layer::Items(block, at) => {
            let total = table.blocks[block][at].items.map_or(0, |items| items.total);
            if outputs.len() != total as usize {
                return Err(format!("I6: {} items have a row, of {total}", outputs.len()));
            }
            let places = given.as_array().map_or(&[][..], Vec::as_slice);
            let errors = outputs.iter().zip(places).filter(|((_, output, skipped), _)| output.is_none() && !skipped);
            if errors.into_iter().any(|(_, place)| place["error"]["category"].is_null()) {
                return Err(format!("an item that failed is not told in {given}"));
            }
            let item = |(at, (_, output, skipped)): (usize, (u32, Option<Value>, bool))| match output {
                Some(output) => output,
                None if skipped => Value::Null,
                None => places.get(at).cloned().unwrap_or_default(),
            };
            outputs.into_iter().enumerate().map(item).collect()
        }
    };
    if given == expected { Ok(()) } else { Err(format!("it gives {given}, and should give {expected}")) }
}
