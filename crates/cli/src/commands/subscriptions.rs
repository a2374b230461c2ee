//! `kapelle subscriptions`: receivers that are told what happens.

mod deliveries;
mod edit;

use kapelle::core::subscription::EventKind;
use kapelle_api::{Reason, Subscription, SubscriptionDeleted};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::{Tone, paint},
    shown,
};

/// List, make, change, pause, test and delete subscriptions, and look at their deliveries.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the subscriptions
    List,
    /// List the types of events
    Types,
    /// Show a subscription
    Show {
        /// Its name
        name: String,
    },
    /// Subscribe to events; the secret is shown this once
    Create(edit::Create),
    /// Change a subscription; missing options keep their values
    Change(edit::Change),
    /// Pause a subscription: events are recorded and wait
    Pause(Reasoned),
    /// Resume a subscription that was paused, or that its receiver ended by 410
    Resume(Reasoned),
    /// Give a subscription a new secret; the former one signs, too, for some hours
    Rotate(edit::Rotate),
    /// Send an event of the type kapelle.test, and wait for the answer of the receiver
    Test {
        /// Its name
        name: String,
    },
    /// List deliveries, newest first
    Deliveries(deliveries::List),
    /// Send the event of a delivery once more, or of all that failed
    Replay(deliveries::Replay),
    /// Delete a subscription with its deliveries
    Delete {
        /// Its name
        name: String,
    },
}

/// The subscription that is paused or resumed.
#[derive(Debug, clap::Args)]
struct Reasoned {
    /// Its name
    name: String,
    /// The recorded reason
    #[arg(long, default_value = "by hand")]
    reason: String,
}

/// Runs the verb.
///
/// # Errors
/// When the folder or the server cannot be reached, or it refuses.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => list(app).await,
        Verb::Types => types(app),
        Verb::Show { name } => show(app, &name).await,
        Verb::Create(args) => edit::create(app, args).await,
        Verb::Change(args) => edit::change(app, args).await,
        Verb::Pause(args) => set_paused(app, args, true).await,
        Verb::Resume(args) => set_paused(app, args, false).await,
        Verb::Rotate(args) => edit::rotate(app, args).await,
        Verb::Test { name } => deliveries::test(app, &name).await,
        Verb::Deliveries(args) => deliveries::list(app, args).await,
        Verb::Replay(args) => deliveries::replay(app, args).await,
        Verb::Delete { name } => delete(app, &name).await,
    }
}

/// Says that events wait while no server runs.
fn say_who_sends(app: &App, session: &ApiSession) {
    if session.is_local() {
        app.out.note("events are sent while `kapelle serve` runs");
    }
}

fn types(app: &App) -> Result<Code, Failure> {
    if app.out.json {
        let kinds = EventKind::ALL.iter().map(|kind| json!({ "type": kind.as_str(), "about": kind.about() }));
        app.out.print_json(&json!({ "types": kinds.collect::<Vec<_>>() }))?;
    } else {
        let rows = EventKind::ALL.iter().map(|kind| vec![kind.to_string(), kind.about().to_owned()]).collect();
        app.out.print(&shown::table(&["TYPE", "SENT WHEN"], rows))?;
    }
    Ok(Code::Ok)
}

async fn list(app: &App) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let list = session.api().subscriptions().await?;
    if app.out.json {
        app.out.print_json(&json!(list))?;
    } else if list.subscriptions.is_empty() {
        app.out.note("no subscriptions; `kapelle subscriptions create --help` shows how one is made");
    } else {
        let row = |of: &Subscription| {
            vec![of.name.clone(), of.url.clone(), of.types.join(" "), of.pending.to_string(), state(of)]
        };
        let rows = list.subscriptions.iter().map(row).collect();
        app.out.print(&shown::table(&["SUBSCRIPTION", "URL", "TYPES", "WAITING", "STATE"], rows))?;
    }
    say_who_sends(app, &session);
    Ok(Code::Ok)
}

fn state(of: &Subscription) -> String {
    match (&of.disabled_reason, &of.paused_reason) {
        (Some(why), _) => paint(Tone::Warn, &format!("disabled: {why}")),
        (None, Some(why)) => paint(Tone::Warn, &format!("paused: {why}")),
        (None, None) => "active".to_owned(),
    }
}

async fn show(app: &App, name: &str) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let found = session.api().subscription(name).await?;
    if app.out.json {
        app.out.print_json(&json!(found))?;
    } else {
        print(app, &found)?;
    }
    say_who_sends(app, &session);
    Ok(Code::Ok)
}

/// Prints a subscription for people.
fn print(app: &App, of: &Subscription) -> Result<(), Failure> {
    app.out.print(&format!("{}: {} ({}), {}", of.name, of.url, of.format, state(of)))?;
    app.out.print(&format!("types: {}", of.types.join(" ")))?;
    if let Some(condition) = &of.condition {
        app.out.print(&format!("if: {condition}"))?;
    }
    let order = if of.ordered { "in order for each subject" } else { "in any order" };
    app.out.print(&format!("sent {order}, {} waiting", of.pending))?;
    if let Some(until) = &of.former_secret_until {
        app.out.print(&format!("the former secret signs, too, until {until}"))?;
    }
    Ok(())
}

async fn set_paused(app: &App, args: Reasoned, paused: bool) -> Result<Code, Failure> {
    let why = Reason { reason: Some(args.reason) };
    let session = ApiSession::open_existing(app).await?;
    let done = match paused {
        true => session.api().pause_subscription(&args.name, why).await,
        false => session.api().resume_subscription(&args.name, why).await,
    };
    let found = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(found))?;
    } else {
        let word = if paused { "paused: its events wait" } else { "resumed" };
        app.out.print(&format!("subscription {} is {word}", found.name))?;
    }
    Ok(Code::Ok)
}

async fn delete(app: &App, name: &str) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let done = session.api().delete_subscription(name).await;
    let deleted: SubscriptionDeleted = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(deleted))?;
    } else {
        app.out.print(&format!("subscription {} is deleted", deleted.name))?;
    }
    Ok(Code::Ok)
}
