//! Idempotent requests: one hash, common to all interfaces.

use std::sync::Arc;

use kapelle_engine::Key;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::app_error::AppError;

/// Bytes of an idempotency key.
const KEY_MAX: usize = 255;

/// Returns the idempotency key of a request, bound to its kind and content; `None` without one.
///
/// # Errors
/// When the key is empty, too long, or not visible ASCII.
pub(crate) fn key(kind: &str, key: Option<&str>, request: &impl Serialize) -> Result<Option<Key>, AppError> {
    let Some(key) = key else { return Ok(None) };
    if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(AppError::invalid(format!("the Idempotency-Key has 1 to {KEY_MAX} visible ASCII characters")));
    }
    let canonical = serde_json::to_vec(request).map_err(|error| AppError::internal(error.to_string()))?;
    let mut hash = Sha256::new();
    hash.update(kind);
    hash.update([0]);
    hash.update(canonical);
    Ok(Some(Key { key: Arc::from(key), body: hash.finalize().into() }))
}

#[cfg(test)]
mod tests {
    use kapelle_api::SubmitTask;

    use super::*;

    #[test]
    fn a_key_belongs_to_one_request() {
        let request = SubmitTask { worker: "log".to_owned(), ..SubmitTask::default() };
        let of = |kind: &str, request: &SubmitTask| key(kind, Some("k"), request).unwrap().unwrap().body;
        assert_eq!(of("task", &request), of("task", &request.clone()));
        assert_ne!(of("task", &request), of("run", &request));
        assert_ne!(of("task", &request), of("task", &SubmitTask { priority: 1, ..request.clone() }));
        assert!(key("task", None, &request).unwrap().is_none());
        for wrong in ["", "é", "a\nb", &"k".repeat(KEY_MAX + 1)] {
            assert!(key("task", Some(wrong), &request).is_err(), "{wrong}");
        }
    }
}
