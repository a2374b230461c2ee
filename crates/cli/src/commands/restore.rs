//! `kapelle restore DIR`: a backup becomes the data folder.

use std::path::PathBuf;

use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure},
    project::Project,
    shown,
};

/// Restore a backup as the folder with the state, which must be absent or empty.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The folder that `kapelle backup` made
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

const AFTER: &str = "\
Every file is compared with its hash first. The folder appears at the end, whole or not at all. Attempts that were in
progress when the backup was made are void, also those of worker hosts: their tasks begin again. Work that ended after
the backup was made is open again, so its effects may happen twice. New ids continue far beyond those of the backup. Stop the old server before you start the new one.";

/// Runs the verb.
///
/// # Errors
/// When the backup is incomplete or damaged, or the folder holds files.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let restored = app.builder(&app.settings()?)?.restore(&args.folder).await?;
    let folder = Project::shown(&app.data()?);
    if app.out.json {
        app.out.print_json(&json!({
            "folder": folder,
            "made_at": restored.made_at,
            "files": restored.files,
            "bytes": restored.bytes,
            "open_tasks": restored.open_tasks,
            "open_runs": restored.open_runs,
            "voided_attempts": restored.voided,
            "token": restored.token,
        }))?;
        return Ok(Code::Ok);
    }
    let (files, bytes) = (restored.files, shown::bytes(restored.bytes));
    app.out.print(&format!("{folder} is restored as of {}: {files} files, {bytes}", restored.made_at))?;
    app.out.note(&format!(
        "{} tasks and {} runs are open; {} attempts were in progress and begin again",
        restored.open_tasks, restored.open_runs, restored.voided
    ));
    app.out.note(if restored.token {
        "the token of the backup is in force"
    } else {
        "the backup holds no token: the next server makes a new one"
    });
    Ok(Code::Ok)
}
