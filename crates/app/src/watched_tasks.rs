//! Tasks whose models write outside of this process's workers, on hosts and in scripts, while somebody reads along.

use std::sync::Arc;

use kapelle_core::{TaskId, worker::TextSink};
use kapelle_engine::LiveOutputs;
use kapelle_gateway::WatchedTasks;
use kapelle_store::Reader;

/// The texts that are read along, and the rows that tell steps of runs from other tasks.
pub(crate) struct ReadAlong {
    pub(crate) outputs: Arc<LiveOutputs>,
    pub(crate) reader: Arc<dyn Reader>,
}

impl WatchedTasks for ReadAlong {
    fn sink(&self, task: TaskId, attempt: u32) -> Option<Arc<dyn TextSink>> {
        if !(self.outputs.is_read(true) || self.outputs.is_read(false)) {
            return None;
        }
        let row = self.reader.task_of_any(task).ok()??;
        let step = row.origin.as_ref().map(|origin| (origin.run, &*origin.path));
        self.outputs.is_read(step.is_some()).then(|| self.outputs.sink((task, attempt), step))
    }
}
