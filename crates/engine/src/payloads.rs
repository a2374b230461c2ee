//! Stored values: making and reading.

use std::sync::Arc;

use kapelle_core::{
    Payload,
    task::{Task, TaskState},
};

use crate::{engine::Engine, error::EngineError, turn::NewPayload};

impl Engine {
    /// Makes a payload of bytes; a large one becomes a file.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn payload_of(&self, bytes: Arc<[u8]>) -> Result<NewPayload, EngineError> {
        if bytes.len() <= crate::evaluate::BYTES_MAX {
            return Ok(NewPayload::Bytes(bytes));
        }
        let sha256 = self.spill(&bytes).map_err(EngineError::InvalidInput)?;
        Ok(NewPayload::File { sha256, bytes: bytes.len() as u64 })
    }

    /// Makes a payload of a value; a large one becomes a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn payload(&self, value: &serde_json::Value) -> Result<NewPayload, EngineError> {
        if value.is_null() {
            return Ok(NewPayload::None);
        }
        let bytes = serde_json::to_vec(value).map_err(|error| EngineError::InvalidInput(error.to_string()))?;
        self.payload_of(Arc::from(bytes))
    }

    /// Reads the value of a stored payload.
    ///
    /// # Errors
    /// When the store fails or it is not JSON.
    pub fn value(&self, payload: &Payload) -> Result<serde_json::Value, EngineError> {
        let bytes = match payload {
            Payload::Row(id) => self.reader().payload(*id)?.unwrap_or_else(|| b"null".to_vec()),
            other => other.inline().unwrap_or(b"null").to_vec(),
        };
        serde_json::from_slice(&bytes).map_err(|error| EngineError::InvalidInput(error.to_string()))
    }

    /// Reads the output of a task that succeeded.
    ///
    /// # Errors
    /// When the store fails.
    pub fn output(&self, task: &Task) -> Result<Option<serde_json::Value>, EngineError> {
        match &task.state {
            TaskState::Succeeded { output, .. } => self.value(output).map(Some),
            _ => Ok(None),
        }
    }
}
