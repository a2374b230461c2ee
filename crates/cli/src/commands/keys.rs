//! `kapelle keys`: who may use the server.

use kapelle::{Money, core::DurationMs};
use kapelle_api::{Client, Key, KeyCreated, KeyList, NewKey};
use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure},
    remote, shown,
};

/// List, make and take back keys of the running server.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the keys
    List,
    /// Make a key; its secret is shown once
    Create {
        /// What people call it
        name: String,
        /// admin, operator, developer, viewer or worker
        #[arg(long)]
        role: String,
        /// Whose data it opens
        #[arg(long)]
        tenant: Option<u32>,
        /// It stops working after that long, such as 30d
        #[arg(long, value_name = "TIME", value_parser = duration)]
        expires: Option<DurationMs>,
        /// For a worker: the workers that its hosts may serve; `*` for all. When left out: those that the server does not run
        #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
        workers: Option<Vec<String>>,
        /// For a worker: the queues whose tasks its hosts may take
        #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
        queues: Option<Vec<String>>,
        /// For a worker: it may ask models, too
        #[arg(long)]
        ask: bool,
        /// For a developer or viewer: it may answer approvals, too
        #[arg(long)]
        approve: bool,
        /// The most that it may spend on models, such as $5
        #[arg(long, value_name = "MONEY", value_parser = money)]
        limit: Option<Money>,
    },
    /// Take a key back
    Revoke {
        /// Its id, such as key_0123456789abcdef
        key: String,
    },
}

fn duration(text: &str) -> Result<DurationMs, String> {
    DurationMs::parse(text).map_err(|error| error.to_string())
}

fn money(text: &str) -> Result<Money, String> {
    Money::parse(text).map_err(|error| error.to_string())
}

/// Runs the verb.
///
/// # Errors
/// When no server runs, or it refuses.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let client = remote::server(app)?.ok_or_else(|| {
        Failure::new(Code::Unavailable, "no server works on this project's folder").help("`kapelle serve` starts one")
    })?;
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => list(app, &client).await,
        Verb::Create { name, role, tenant, expires, workers, queues, ask, approve, limit } => {
            let expires_in_ms = expires.map(|expires| expires.0);
            let limit_nanousd = limit.map(|limit| limit.0);
            let new = NewKey { name, role, tenant, expires_in_ms, workers, queues, ask, approve, limit_nanousd };
            let made: KeyCreated = client.post("/api/v1/keys", &new).await?;
            if app.out.json {
                app.out.print_json(&json!({ "key": made.key.id, "secret": made.secret }))?;
            } else {
                app.out.note(&format!("{} is made; its secret is shown this once:", made.key.id));
                app.out.print(&made.secret)?;
            }
            Ok(Code::Ok)
        }
        Verb::Revoke { key } => {
            if !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(Failure::usage("that is no id of a key: it looks like key_0123456789abcdef"));
            }
            let revoked: Key = client.delete(&format!("/api/v1/keys/{key}")).await?;
            app.out.print(&format!("{} is revoked", revoked.id))?;
            Ok(Code::Ok)
        }
    }
}

async fn list(app: &App, client: &Client) -> Result<Code, Failure> {
    let KeyList { keys } = client.get("/api/v1/keys").await?;
    if app.out.json {
        app.out.print_json(&json!({ "keys": keys }))?;
    } else if keys.is_empty() {
        app.out.note("no keys; the token of the folder is the only way in");
    } else {
        let rows = keys.into_iter().map(|key| {
            let state =
                if key.revoked_at.is_some() { "taken back".to_owned() } else { key.expires_at.unwrap_or_default() };
            vec![key.id, key.name, key.role.to_string(), key.tenant.to_string(), key.created_at, state]
        });
        app.out.print(&shown::table(&["KEY", "NAME", "ROLE", "TENANT", "MADE", "ENDS"], rows.collect()))?;
    }
    Ok(Code::Ok)
}
