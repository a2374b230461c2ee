//! One attempt of a task.

use std::{sync::Arc, time::Duration};

use kapelle_api::ClaimedTask;
use kapelle_core::{
    Category, DurationMs, TaskError, TenantId,
    worker::{CancelFlag, FileSource, NoFiles, NoText, Output, ProgressFn, TaskContext},
};

use crate::{file_cache::FileCache, worker_set::Member};

/// Runs one attempt within its time.
///
/// # Errors
/// The error of the worker, `invalid_input`, or `timeout`.
pub(crate) async fn attempt(
    member: Member,
    task: ClaimedTask,
    cancel: CancelFlag,
    files: Option<FileCache>,
    progress: ProgressFn,
) -> Result<Output, TaskError> {
    let invalid = |error: serde_json::Error| TaskError::new(Category::InvalidInput, format!("the input: {error}"));
    let input = serde_json::from_str(task.input.get()).map_err(invalid)?;
    let source: Arc<dyn FileSource> = files.as_ref().map_or_else(|| Arc::new(NoFiles) as _, FileCache::files);
    let context = TaskContext {
        tenant: TenantId::DEFAULT,
        replay_epoch: 0,
        recorded: false,
        task: task.id,
        run: task.run,
        step: task.step,
        attempt: task.attempt,
        last_attempt: task.last_attempt,
        timeout: Some(DurationMs(task.timeout_ms)),
        cancel: cancel.clone(),
        progress,
        text: Arc::new(NoText),
        files: source,
    };
    let work = async {
        // The semaphore is never closed.
        let _room = member.room.acquire().await;
        if let Some(files) = &files {
            files.fetch(&input).await?;
        }
        member.worker.execute(&context, input).await
    };
    match tokio::time::timeout(Duration::from_millis(task.timeout_ms), work).await {
        Ok(result) => result,
        Err(_) => {
            cancel.raise();
            Err(TaskError::new(Category::Timeout, format!("the attempt took longer than {} ms", task.timeout_ms)))
        }
    }
}
