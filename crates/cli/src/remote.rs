//! The server that works on the folder, if any: writing verbs then ask it instead of opening the folder.

use std::path::Path;

use kapelle::store::{lock_holder, private};
use kapelle_api::{Client, ClientError, Problem};
use kapelle_server::ADDRESS_FILE;
use serde_json::Value;

use crate::{
    app::App,
    failure::{Code, Failure},
    project::Project,
};

/// Time that one request waits for an end before it is repeated, in milliseconds.
const WAIT_MS: u64 = 30_000;

/// Returns a client of the server that works on the folder, if one runs.
///
/// # Errors
/// When the token cannot be read.
pub fn server(app: &App) -> Result<Option<Client>, Failure> {
    let folder = app.data()?;
    let Some(holder) = lock_holder(&folder) else { return Ok(None) };
    if holder.stranger.is_some() {
        // In that case the content of the folder may not come from our server, and the token is not sent to its
        // address.
        let what = format!("{} is in use by {}", Project::shown(&folder), holder.in_words());
        return Err(Failure::new(Code::Conflict, what));
    }
    // The lock is held by another process than the one that wrote the address: another verb works here, which is
    // reported when the folder is opened.
    let Ok(text) = private::read_small(&folder.join(ADDRESS_FILE), 1_024) else { return Ok(None) };
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some(address), Some(process)) if process == holder.written => {
            Ok(Some(Client::new(address, &token(&folder)?)?))
        }
        _ => Ok(None),
    }
}

/// Returns a client of the named server, or of the one that works on the folder. The key is read from `KAPELLE_TOKEN`,
/// or from the folder's own token: never from the command line, which others can read.
///
/// # Errors
/// When there is neither.
pub fn client(app: &App, named: Option<&str>) -> Result<Client, Failure> {
    let Some(address) = named else {
        return server(app)?.ok_or_else(|| {
            Failure::new(Code::Unavailable, "no server works on this project's folder")
                .help("start one with `kapelle serve`, or name one with --server URL")
        });
    };
    let settings = app.settings()?;
    let token = match settings.environment.get("KAPELLE_TOKEN") {
        Some(token) => token.to_owned(),
        None => token(&app.data()?).map_err(|failure| {
            failure.help("set KAPELLE_TOKEN to a key of that server: `kapelle keys create` makes one there")
        })?,
    };
    Ok(Client::new(address, &token)?)
}

/// Returns the token of a folder.
///
/// # Errors
/// When it cannot be read.
pub fn token(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("token");
    let text = private::read_small(&path, 1_024).map_err(|error| Failure::io(&path, &error))?;
    Ok(text.trim().to_owned())
}

/// Waits until a task or run has ended. Returns the server's answer about it.
///
/// # Errors
/// When the server refuses, or goes away.
pub async fn ended(client: &Client, path: &str) -> Result<Value, Failure> {
    loop {
        let shown: Value = client.get(&format!("{path}?wait_ms={WAIT_MS}")).await?;
        if matches!(shown["state"].as_str(), Some("succeeded" | "failed" | "cancelled" | "skipped") | None) {
            return Ok(shown);
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Refused(problem) => {
                let failure = Failure::new(code(&problem), problem.detail);
                match problem.code.as_str() {
                    kapelle_api::code::UNKNOWN_WORKER => failure.help("`kapelle workers list` shows them all"),
                    _ => failure,
                }
            }
            ClientError::Unreachable { .. } => Failure::new(Code::Unavailable, error.to_string())
                .help("is the server running? `kapelle serve` starts it"),
        }
    }
}

fn code(problem: &Problem) -> Code {
    use kapelle_api::code;
    match problem.code.as_str() {
        code::NOT_FOUND | code::UNKNOWN_WORKER => Code::NotFound,
        code::UNAUTHORIZED | code::FORBIDDEN => Code::Refused,
        code::CONFLICT | code::KEY_REUSED | code::LEASE_LOST => Code::Conflict,
        code::STORAGE_FULL => Code::Temporary,
        code::UNAVAILABLE | code::TOO_MANY => Code::Unavailable,
        code::INTERNAL => Code::Failed,
        _ => Code::Usage,
    }
}
