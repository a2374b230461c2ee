//! `kapelle backup DIR`: a consistent copy of the state, also while a server works.

use std::path::PathBuf;

use kapelle::engine::{Clock as _, SystemClock};
use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure},
    project::Project,
    shown,
};

/// Copy the state to a new folder, also while a server works on it.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The folder of the backup: new or empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Also copy the token of the folder, so that its clients are accepted after a restore
    #[arg(long)]
    with_token: bool,
}

const AFTER: &str = "\
The copy holds the database as of one moment, the files that it refers to, the history for charts, the numbers of worker
hosts and the key of the audit trail. Logs and caches are left out. `manifest.json` is written last: a backup without it is refused by `kapelle restore`.";

/// Runs the verb.
///
/// # Errors
/// When there is no data yet, or the folder of the backup holds files or cannot be written.
pub fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let data = app.data()?;
    app.has_data()?;
    let made = kapelle::back_up(&data, &args.folder, args.with_token, SystemClock::default().now())?;
    let folder = Project::shown(&args.folder);
    if app.out.json {
        app.out.print_json(&json!({
            "folder": folder,
            "made_at": made.made_at,
            "files": made.files.len(),
            "bytes": made.bytes(),
            "token": made.has("token"),
        }))?;
        return Ok(Code::Ok);
    }
    let (files, bytes) = (made.files.len(), shown::bytes(made.bytes()));
    app.out.print(&format!("{folder}: {files} files, {bytes}, as of {}", made.made_at))?;
    if !made.has("token") {
        app.out.note("the token is not in it (--with-token adds it): a restored folder gets a new one");
    }
    Ok(Code::Ok)
}
