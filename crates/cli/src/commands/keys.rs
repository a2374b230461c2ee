//! `kapelle keys`: API keys, and the token of the folder.

use kapelle::{Money, core::DurationMs};
use kapelle_api::{KeyList, NewKey};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::stdout_is_terminal,
    project::Project,
    remote, shown,
};

/// List, make and revoke API keys.
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
        /// Its name for people
        name: String,
        /// admin, operator, developer, viewer, worker or metrics
        #[arg(long)]
        role: String,
        /// The tenant whose data it opens
        #[arg(long)]
        tenant: Option<u32>,
        /// Its lifetime, such as 30d
        #[arg(long, value_name = "TIME", value_parser = duration)]
        expires: Option<DurationMs>,
        /// For a worker: the workers that its hosts may serve; `*` for all [default: those that the server does not
        /// run]
        #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
        workers: Option<Vec<String>>,
        /// For a worker: the queues whose tasks its hosts may take
        #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
        queues: Option<Vec<String>>,
        /// For a worker: it may also ask models
        #[arg(long)]
        ask: bool,
        /// For a worker: it may also submit tasks and start runs, and see those of its tenant
        #[arg(long)]
        submit: bool,
        /// For a developer or viewer: it may also answer approvals
        #[arg(long)]
        approve: bool,
        /// Its spending limit for models, such as $5
        #[arg(long, value_name = "MONEY", value_parser = money)]
        limit: Option<Money>,
    },
    /// Replace the token of the folder: the former one is refused from now on
    RotateToken,
    /// Revoke a key
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
/// When the folder or the server cannot be reached, or it refuses.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => list(app).await,
        Verb::Create { name, role, tenant, expires, workers, queues, ask, submit, approve, limit } => {
            let expires_in_ms = expires.map(|expires| expires.0);
            let limit_nanousd = limit.map(|limit| limit.0);
            let new =
                NewKey { name, role, tenant, expires_in_ms, workers, queues, ask, submit, approve, limit_nanousd };
            create(app, new).await
        }
        Verb::RotateToken => rotate(app).await,
        Verb::Revoke { key } => revoke(app, &key).await,
    }
}

async fn create(app: &App, new: NewKey) -> Result<Code, Failure> {
    let session = ApiSession::open(app).await?;
    let done = session.api().create_key(new).await;
    let made = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(made))?;
    } else {
        app.out.note(&format!("{} is made; its secret is shown this once:", made.key.id));
        app.out.print(&made.secret)?;
    }
    Ok(Code::Ok)
}

async fn revoke(app: &App, key: &str) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let done = session.api().revoke_key(key).await;
    let revoked = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(revoked))?;
    } else {
        app.out.print(&format!("{} is revoked", revoked.id))?;
    }
    Ok(Code::Ok)
}

/// Replaces the token, through the server if one works on the folder. The new one is shown to a person alone.
async fn rotate(app: &App) -> Result<Code, Failure> {
    let session = ApiSession::open(app).await?;
    let done = session.api().rotate_token().await;
    let rotated = session.close(done).await?;
    let file = app.data()?.join("token");
    if app.out.json {
        app.out.print_json(&json!({ "rotated_at": rotated.rotated_at, "file": Project::shown(&file) }))?;
        return Ok(Code::Ok);
    }
    app.out
        .print(&format!("the token is replaced; {} holds the new one, for its owner alone", Project::shown(&file)))?;
    if stdout_is_terminal() {
        app.out.print(&remote::token(&app.data()?)?)?;
    }
    app.out.note("links and tokens of attempts made before stay valid until the server restarts");
    Ok(Code::Ok)
}

async fn list(app: &App) -> Result<Code, Failure> {
    let KeyList { keys } = ApiSession::reading(app)?.api().keys().await?;
    if app.out.json {
        app.out.print_json(&json!({ "keys": keys }))?;
    } else if keys.is_empty() {
        app.out.note("no keys; only the token of the folder is accepted");
    } else {
        let rows = keys.into_iter().map(|key| {
            let state =
                if key.revoked_at.is_some() { "revoked".to_owned() } else { key.expires_at.unwrap_or_default() };
            vec![key.id, key.name, key.role.to_string(), key.tenant.to_string(), key.created_at, state]
        });
        app.out.print(&shown::table(&["KEY", "NAME", "ROLE", "TENANT", "MADE", "ENDS"], rows.collect()))?;
    }
    Ok(Code::Ok)
}
