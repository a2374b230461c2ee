//! Files that the inputs of a server's tasks refer to, fetched to this host and kept under their hash.

use std::{
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kapelle_api::Client;
use kapelle_core::{Category, TaskError, worker::FileSource};
use kapelle_store::{Blobs, private};
use serde_json::Value;

/// Sets apart the downloads of one process.
static UNIQUE: AtomicU64 = AtomicU64::new(0);

/// The files that have been fetched.
#[derive(Clone)]
pub(crate) struct FileCache {
    client: Client,
    files: Arc<Blobs>,
    folder: PathBuf,
}

impl FileCache {
    /// A cache in a folder of its own, which other hosts of this machine share.
    pub(crate) fn new(client: Client, folder: PathBuf) -> FileCache {
        FileCache { client, files: Arc::new(Blobs::in_folder(&folder)), folder }
    }

    /// The files, for workers.
    pub(crate) fn files(&self) -> Arc<dyn FileSource> {
        Arc::clone(&self.files) as Arc<dyn FileSource>
    }

    /// Fetches the files that an input refers to.
    ///
    /// # Errors
    /// When the server does not have it, or it cannot be kept here.
    pub(crate) async fn fetch(&self, input: &Value) -> Result<(), TaskError> {
        let mut references = Vec::new();
        gather(input, &mut references);
        for reference in references {
            let hash = reference.strip_prefix("sha256:").unwrap_or(&reference).to_owned();
            // The worker refuses a reference that is not a hash.
            if hash.len() != 64
                || !hash.bytes().all(|byte| byte.is_ascii_hexdigit())
                || self.files.path(&hash).is_some()
            {
                continue;
            }
            self.download(&hash).await.map_err(|message| {
                let message = format!("the file sha256:{hash} could not be fetched: {message}");
                TaskError::new(Category::Unavailable, message)
            })?;
        }
        Ok(())
    }

    async fn download(&self, hash: &str) -> Result<(), String> {
        let said = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        private::make_dir(&self.folder.join("blobs")).map_err(said)?;
        let number = UNIQUE.fetch_add(1, Ordering::Relaxed);
        let fresh = self.folder.join(format!("part-{}-{number}", std::process::id()));
        // A process of that number may have left one behind.
        let _ = std::fs::remove_file(&fresh);
        let mut file = private::options().write(true).create_new(true).open(&fresh).map_err(said)?;
        let path = format!("/api/v1/files/sha256:{hash}");
        let came = self.client.download(&path, |part| file.write_all(part)).await.map_err(|error| error.to_string());
        drop(file);
        let kept = came.and_then(|()| {
            let mut source = std::fs::File::open(&fresh).map_err(said)?;
            self.files.put_from(&mut source).map_err(|error| error.to_string())
        });
        let _ = std::fs::remove_file(&fresh);
        match kept {
            Ok((found, _)) if found == hash => Ok(()),
            Ok(_) => Err("the received file has another hash".to_owned()),
            Err(error) => Err(error),
        }
    }
}

fn gather(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$file").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| gather(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| gather(value, references)),
        _ => {}
    }
}
