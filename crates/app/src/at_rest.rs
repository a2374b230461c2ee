//! An application at rest: it reads a folder, and changes nothing. It takes no lock, so that a process that works on
//! the folder is not disturbed.

use std::{path::Path, sync::Arc};

use kapelle_engine::Engine;
use kapelle_store::{Blobs, MemStore, Reader, SqliteReader, lock_holder};

use crate::{
    app::App,
    error::Error,
    ledger::EngineLedger,
    open::{Made, Parts, register},
};

/// The file of the database in a folder.
const DATABASE: &str = "kapelle.db";

/// The reason why this process starts no task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// No process works on the folder.
    Alone,
    /// Another process works on it.
    Beside,
}

/// Opens a folder for reading alone. A folder without a database reads as an empty one.
///
/// # Errors
/// When the database cannot be read, or the configuration is invalid.
pub fn read(mut parts: Parts) -> Result<Arc<App>, Error> {
    let options = parts.config.options().map_err(|problem| Error::Config(problem.to_string()))?;
    let settings = parts.settings(&options);
    let (gateway, catalogue, problems) = parts.catalogue()?;
    let shipped = parts.shipped(&gateway)?;
    let registry = register(&mut parts, &gateway, (&shipped, &catalogue));
    let ledger = EngineLedger::new(Arc::clone(&parts.clock), options.default_timeout);
    gateway.keep_books(Arc::clone(&ledger) as _, Arc::clone(&ledger) as _);
    let Parts { folder, clock, middleware, workers, .. } = parts;
    let blobs = Arc::new(Blobs::in_folder(&folder));
    let refuse = |_: &[u8]| Err("this process only reads the folder".to_owned());
    let engine = Engine::at_rest(reader(&folder)?, registry, Arc::new(refuse));
    ledger.bind(&engine, None);
    let rest = Some(if lock_holder(&folder).is_some() { Rest::Beside } else { Rest::Alone });
    let made = Made { folder, settings, engine, gateway, blobs, ledger, clock, rest };
    let app = made.app(shipped, problems, middleware, None)?;
    app.describe_scripts(&workers);
    Ok(Arc::new(app))
}

fn reader(folder: &Path) -> Result<Arc<dyn Reader>, Error> {
    if folder.join(DATABASE).is_file() {
        return Ok(Arc::new(SqliteReader::open_read_only(folder)?));
    }
    Ok(Arc::new(MemStore::new().reader()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppError, Caller};
    use kapelle_api as api;

    #[tokio::test]
    async fn an_application_at_rest_reads_beside_a_writer_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let by = Caller::owner("folder");
        let empty = read(Parts::of(&folder.path().join("none"))).unwrap();
        assert!(empty.tasks(&by, api::TaskQuery::default()).await.unwrap().tasks.is_empty());
        assert!(!folder.path().join("none").exists());

        let writer = crate::open(Parts { idle: true, ..Parts::of(folder.path()) }).await.unwrap();
        let given = api::SubmitTask { worker: "log".to_owned(), ..api::SubmitTask::default() };
        let given = api::SubmitTask { input: serde_json::json!({ "message": "a" }), ..given };
        writer.submit(&by, given.clone(), None).await.unwrap();
        let beside = read(Parts::of(folder.path())).unwrap();
        let task = beside.tasks(&by, api::TaskQuery::default()).await.unwrap().tasks.remove(0);
        assert_eq!((task.id.as_str(), task.reason), ("task_1", None));
        let refused: AppError = beside.submit(&by, given, None).await.unwrap_err();
        assert_eq!(refused.code, api::code::UNAVAILABLE);
        writer.drain().await;
        let alone = read(Parts::of(folder.path())).unwrap();
        let task = alone.tasks(&by, api::TaskQuery::default()).await.unwrap().tasks.remove(0);
        assert_eq!(task.waiting, Some(api::Waiting::Process));
    }
}
