//! The server that a verb asks: the one named by `--server` or `KAPELLE_URL`, or the one that works on the folder.

use std::path::Path;

use kapelle::store::{lock_holder, private};
use kapelle_api::{Client, ClientError, Problem};
use kapelle_server::ADDRESS_FILE;

use crate::{
    app::App,
    failure::{Code, Failure},
    project::Project,
    settings::Environment,
};

/// The variable that names a server.
const URL: &str = "KAPELLE_URL";
/// The variable that has its key.
const TOKEN: &str = "KAPELLE_TOKEN";
/// The longest key, in bytes.
const TOKEN_MAX: u64 = 1_024;

/// Returns a client of the named server, or of the one that works on the folder, if one does.
///
/// # Errors
/// When the token cannot be read.
pub fn server(app: &App) -> Result<Option<Client>, Failure> {
    let environment = Environment::load(&app.project.root);
    match named(app, &environment) {
        Some(address) => client_of(app, &environment, &address).map(Some),
        None => of_folder(app),
    }
}

/// Returns the address of the named server, if one is named. A project's `.env` cannot name one, because the user's
/// key would be sent there.
fn named(app: &App, environment: &Environment) -> Option<String> {
    let variable = || environment.get(URL).filter(|_| environment.origin(URL) == "environment").map(str::to_owned);
    app.global.server.clone().or_else(variable)
}

/// Says whether a server is named, so that the folder of this machine plays no part.
pub fn is_named(app: &App) -> bool {
    named(app, &Environment::load(&app.project.root)).is_some()
}

/// Refuses `--server` for a verb that works on a folder.
///
/// # Errors
/// When a server is named on the command line.
pub fn needs_folder(app: &App, verb: &str) -> Result<(), Failure> {
    match &app.global.server {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!("--server: `kapelle {verb}` works on a folder of this machine"))
            .help("leave --server away, and name the folder with --data")),
    }
}

/// Returns a client of the server that works on the folder, if one runs.
fn of_folder(app: &App) -> Result<Option<Client>, Failure> {
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

/// Returns a client of the server that a verb cannot do without.
///
/// # Errors
/// When none is named, and none works on the folder.
pub fn client(app: &App) -> Result<Client, Failure> {
    server(app)?.ok_or_else(|| {
        Failure::new(Code::Unavailable, "no server works on this project's folder")
            .help("start one with `kapelle serve`, or name one with --server URL")
    })
}

/// Makes a client of a named server. The key is read from a file or from `KAPELLE_TOKEN`: never from the command line,
/// which others can read. A server of this machine also accepts the folder's own token.
fn client_of(app: &App, environment: &Environment, address: &str) -> Result<Client, Failure> {
    if !(address.starts_with("http://") || address.starts_with("https://")) {
        return Err(Failure::usage(format!("--server {address}: expected an address such as http://127.0.0.1:7863")));
    }
    let is_here = is_loopback(address);
    if !is_here && address.starts_with("http://") {
        app.out.warn(&format!("{address}: plain http, the key can be read on the way"));
    }
    let token = match (&app.global.token_file, environment.get(TOKEN)) {
        (Some(file), _) => key_of(file)?,
        (None, Some(token)) => token.to_owned(),
        (None, None) if is_here => token(&app.data()?).map_err(|failure| failure.help(KEY_HELP))?,
        (None, None) => return Err(Failure::usage(format!("{address}: no key for this server")).help(KEY_HELP)),
    };
    Ok(Client::new(address, &token)?)
}

const KEY_HELP: &str = "set KAPELLE_TOKEN to a key of that server, or name a file with --token-file: `kapelle keys create` makes one there";

fn key_of(file: &Path) -> Result<String, Failure> {
    let text = private::read_small(file, TOKEN_MAX).map_err(|error| Failure::io(file, &error))?;
    let key = text.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(Failure::usage(format!("--token-file {}: expected one key and nothing else", file.display())));
    }
    Ok(key.to_owned())
}

fn is_loopback(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = host.split(['/', '?']).next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
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

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Refused(problem) => {
                let failure = Failure::new(code(&problem), problem.detail);
                match problem.code.as_str() {
                    kapelle_api::code::UNKNOWN_WORKER => failure.help("`kapelle workers list` shows them all"),
                    kapelle_api::code::NOT_FOUND => not_found(failure),
                    _ => failure,
                }
            }
            ClientError::Unreachable { .. } => Failure::new(Code::Unavailable, error.to_string())
                .help("is the server running? `kapelle serve` starts it"),
        }
    }
}

/// Adds the list that shows what exists.
fn not_found(failure: Failure) -> Failure {
    let list = match failure.message.as_str() {
        text if text.starts_with("run_") => "`kapelle runs list` shows those that do",
        text if text.starts_with("task_") => "`kapelle tasks list --steps` shows those that do",
        text if text.starts_with("worker ") => "`kapelle workers list` shows them all",
        _ => return failure,
    };
    failure.help(list)
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

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_addresses_of_this_machine_are_its_own() {
        for address in ["http://127.0.0.1:7863", "http://localhost:1/", "https://[::1]:7", "http://127.9.9.9"] {
            assert!(is_loopback(address), "{address}");
        }
        for address in ["http://127.0.0.1.example.com", "http://example.com:7863", "http://localhost.evil:1"] {
            assert!(!is_loopback(address), "{address}");
        }
    }
}
