//! Values from the store, for evaluations outside of the loop.

use std::sync::Arc;

use kapelle_core::{
    Category, Name, Payload, RunId, TaskError, TaskId, TenantId, expr::Shared, run::ScopeId, task::TaskState,
};
use kapelle_engine::{Resolve, Show, TaskValue, turn::NewPayload};
use kapelle_store::{MemReader, Reader as _};

/// Rows of a scope that are read at once; few, so that several pages are read.
const PAGE: u32 = 3;

/// Returns the JSON text of a payload.
pub fn bytes(reader: &MemReader, payload: &Payload) -> Option<Vec<u8>> {
    match payload {
        Payload::Row(id) => reader.payload(*id).ok()?,
        other => other.inline().map(<[u8]>::to_vec),
    }
}

/// Values from the store.
pub struct Stored<'a>(pub &'a MemReader);

impl Resolve for Stored<'_> {
    fn task(&self, tenant: TenantId, id: TaskId) -> Option<Result<TaskValue, TaskError>> {
        let task = self.0.task(tenant, id).ok()??;
        match &task.state {
            TaskState::Succeeded { output, .. } => {
                Some(self.payload(output)?.map(|output| TaskValue::of(&task, output)))
            }
            _ => Some(Ok(TaskValue::of(&task, Shared::null()))),
        }
    }

    fn input(&self, tenant: TenantId, id: TaskId) -> Option<Result<Shared, TaskError>> {
        self.payload(&self.0.task(tenant, id).ok()??.input)
    }

    fn scope(&self, run: RunId, scope: ScopeId, show: &mut Show<'_>) -> Option<Result<(), TaskError>> {
        let mut after = None;
        loop {
            let page = self.0.scope(run, scope, after, PAGE).ok()?;
            for task in &page {
                after = task.origin.as_ref().map(|origin| origin.slot);
                let output = match &task.state {
                    TaskState::Succeeded { output, .. } => bytes(self.0, output)?,
                    _ => Vec::new(),
                };
                if let Err(error) = show(task, &output) {
                    return Some(Err(error));
                }
            }
            if page.len() < PAGE as usize {
                return Some(Ok(()));
            }
        }
    }

    fn keep(&self, json: Vec<u8>) -> Option<Result<NewPayload, TaskError>> {
        Some(Ok(NewPayload::Bytes(Arc::from(json))))
    }

    fn admit(
        &self,
        _tenant: TenantId,
        _workflow: &Name,
        inputs: serde_json::Value,
    ) -> Option<Result<serde_json::Value, TaskError>> {
        Some(Ok(inputs))
    }

    fn payload(&self, payload: &Payload) -> Option<Result<Shared, TaskError>> {
        let bytes = bytes(self.0, payload)?;
        Some(Shared::from_json_bytes(&bytes).map_err(|error| TaskError::new(Category::Internal, error.to_string())))
    }
}
