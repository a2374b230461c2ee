//! The methods in a build without them (feature `offline`).

use kapelle_core::{Category, TaskError};
use serde_json::Value;

use super::Method;

/// Refuses: this build has no offline methods.
///
/// # Errors
/// `model_required`, always.
pub async fn run(method: Method, _input: Value) -> Result<Value, TaskError> {
    let message =
        format!("this program was built without the offline method `{method}`: build it with the feature `offline`");
    Err(TaskError::new(Category::ModelRequired, message))
}
