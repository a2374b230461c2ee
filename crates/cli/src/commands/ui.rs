//! `kapelle ui`: a link to the web console that logs in once.

use kapelle_api::SessionCode;
use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure},
    remote,
};

/// Print a link to the web console that logs in once, within 10 minutes.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// When no server runs, or it refuses.
pub async fn run(app: &App) -> Result<Code, Failure> {
    let client = remote::client(app)?;
    let made: SessionCode = client.post("/api/v1/sessions/codes", &json!({})).await?;
    let url = format!("{}{}", client.base(), made.path);
    if app.out.json {
        app.out.print_json(&json!({ "url": url, "expires_in_ms": made.expires_in_ms }))?;
    } else {
        app.out.print(&url)?;
    }
    Ok(Code::Ok)
}
