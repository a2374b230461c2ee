//! `kapelle version`.

use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure},
};

/// Print the version.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// When standard output is closed.
pub fn run(app: &App, _: &Args) -> Result<Code, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let commit = option_env!("KAPELLE_COMMIT");
    if app.out.json {
        let sqlite = kapelle::store::sqlite_version();
        let schema = kapelle::store::SCHEMA;
        app.out.print_json(&json!({ "version": version, "commit": commit, "schema": schema, "sqlite": sqlite }))?;
    } else {
        app.out.print(
            &commit.map_or_else(|| format!("kapelle {version}"), |commit| format!("kapelle {version} ({commit})")),
        )?;
    }
    Ok(Code::Ok)
}
