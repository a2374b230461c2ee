//! Order and number of claims.

use std::collections::BTreeMap;

use kapelle_core::{
    Name, TaskId,
    task::{Rank, TaskState},
};
use kapelle_store::{Batch, GateKind, Lane};

use crate::disk::{Disk, lane_of};

/// Checks that within a lane the smallest rank is claimed first. Each of two servers sees its own windows, so the law
/// holds for one alone.
pub(super) fn ranks(disk: &Disk, batch: &Batch<'_>) -> Result<(), String> {
    if !disk.moment.alone {
        return Ok(());
    }
    let mut last: BTreeMap<Lane, (Rank, TaskId)> = BTreeMap::new();
    for write in &batch.tasks {
        let Some(before) = disk.task(write.task.id) else { continue };
        if let (TaskState::Ready { rank }, TaskState::Running(_)) = (&before.state, &write.task.state) {
            let place = last.entry(lane_of(before)).or_insert((*rank, before.id));
            *place = (*place).max((*rank, before.id));
        }
    }
    for (lane, claimed) in &last {
        let Some(places) = disk.ready.get(lane) else { continue };
        let changed = |id: TaskId| batch.tasks.iter().any(|write| write.task.id == id);
        let passed = places.iter().take_while(|place| *place < claimed).find(|(_, id)| !changed(*id));
        if let Some((rank, id)) = passed {
            return Err(format!(
                "{} (rank {}) was claimed before {id} (rank {rank}) of {lane:?}",
                claimed.1, claimed.0
            ));
        }
    }
    Ok(())
}

/// Checks that no paused task starts, here or on a host, nor more tasks of a key than its limit.
pub(super) fn gates(disk: &Disk, batch: &Batch<'_>) -> Result<(), String> {
    if !disk.moment.alone || disk.moment.limiting {
        return Ok(());
    }
    for write in batch.tasks.iter().filter(|write| matches!(write.task.state, TaskState::Running(_))) {
        let task = write.task;
        let paused =
            |kind, name: &Name| disk.gates.iter().any(|gate| gate.paused && gate.kind == kind && gate.name == *name);
        if paused(GateKind::Queue, &task.queue) || paused(GateKind::Worker, &task.worker) {
            return Err(format!("{} started, and its queue or worker is paused", task.id));
        }
        let limit = disk.moment.key_limits.iter().find(|(name, _)| *name == task.worker);
        let (Some((_, most)), Some(key)) = (limit, &task.key) else { continue };
        let running = disk.running.iter().filter_map(|id| disk.task(*id));
        let running = running.filter(|other| other.worker == task.worker && other.key.as_ref() == Some(key)).count();
        if running > *most as usize {
            return Err(format!("{running} tasks of the key {key} run for {}, which allows {most}", task.worker));
        }
    }
    Ok(())
}

/// Checks that a server runs at most as many tasks as its queues and workers have slots.
pub(super) fn slots(disk: &Disk, batch: &Batch<'_>) -> Result<(), String> {
    if !disk.moment.alone || disk.moment.limiting {
        return Ok(());
    }
    let here = |state: &TaskState| matches!(state, TaskState::Running(lease) if lease.host == 0);
    let claimed = batch.tasks.iter().filter(|write| here(&write.task.state));
    let running = |fits: &dyn Fn(&Name, &Name) -> bool| {
        let tasks = disk.running.iter().filter_map(|id| disk.task(*id));
        tasks.filter(|task| here(&task.state) && fits(&task.queue, &task.worker)).count() as u32
    };
    for write in claimed {
        let (queue, worker) = (&write.task.queue, &write.task.worker);
        let limit = disk.moment.limits.iter().find(|(name, _)| name == queue);
        let most = limit.map_or(disk.moment.other_slots, |(_, slots)| *slots);
        let taken = running(&|other, _| other == queue);
        if taken > most {
            return Err(format!("{taken} tasks run in queue {queue}, which has {most} slots"));
        }
        let most = disk.moment.worker_slots.iter().find(|(name, _)| name == worker).map_or(0, |(_, slots)| *slots);
        let taken = running(&|_, other| other == worker);
        if taken > most {
            return Err(format!("{taken} tasks of worker {worker} run, which has {most} slots"));
        }
    }
    Ok(())
}
