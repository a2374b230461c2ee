//! Who is claimed first, and how many at once.

use std::collections::BTreeMap;

use kapelle_core::{
    Name, TaskId,
    task::{Rank, TaskState},
};
use kapelle_store::{Batch, Lane};

use crate::disk::{Disk, lane_of};

/// Within a lane nobody is claimed while one with a smaller rank is left waiting. With two servers each sees its own
/// windows, so the law holds for one alone.
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

/// No more tasks run in a server than its queues and workers have slots.
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
        let limit = disk.moment.limits.iter().find(|(name, ..)| name == queue);
        let (most, paused) = limit.map_or((disk.moment.other_slots, false), |(_, slots, paused)| (*slots, *paused));
        if paused {
            return Err(format!("{} started in the paused queue {queue}", write.task.id));
        }
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
