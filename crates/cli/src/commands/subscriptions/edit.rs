//! `kapelle subscriptions create`, `change` and `rotate`.

use kapelle_api::{BodyFormat, ChangeSubscription, NewSubscription, RotateSecret, SubscriptionCreated};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
};

/// Subscribe to events.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Requests are signed by Standard Webhooks with the secret; any of its libraries verifies them. A host \
                  with a private address, such as localhost:9000, must be named in `webhooks: { private: [...] }` of \
                  kapelle.yaml."
)]
pub struct Create {
    /// Its name
    name: String,
    /// The address that gets the events
    #[arg(long)]
    url: String,
    /// Types of events, such as kapelle.run.failed or 'kapelle.task.*'; all by default. May be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Send only events for which this is true, such as "event.data.worker == 'ocr'"
    #[arg(long = "if", value_name = "EXPRESSION")]
    condition: Option<String>,
    /// The form of the body: cloud_event or slack
    #[arg(long, value_name = "FORMAT", default_value = "cloud_event", value_parser = format)]
    format: BodyFormat,
    /// Send events with the same subject one after another, in their order
    #[arg(long)]
    ordered: bool,
}

/// Change a subscription.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Its name
    name: String,
    /// The address that gets the events
    #[arg(long)]
    url: Option<String>,
    /// Types of events, in place of the former ones. May be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Send only events for which this is true; an empty text for all
    #[arg(long = "if", value_name = "EXPRESSION")]
    condition: Option<String>,
    /// The form of the body: cloud_event or slack
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<BodyFormat>,
    /// Whether events with the same subject are sent in their order: true or false
    #[arg(long, value_name = "BOOL")]
    ordered: Option<bool>,
}

/// Rotate a secret.
#[derive(Debug, clap::Args)]
pub struct Rotate {
    /// Its name
    name: String,
    /// Hours for which the former secret signs, too
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=168))]
    overlap: u32,
}

fn format(text: &str) -> Result<BodyFormat, String> {
    BodyFormat::from_word(text).ok_or_else(|| "expected cloud_event or slack".to_owned())
}

/// Makes a subscription.
///
/// # Errors
/// When a field is wrong or the name is taken.
pub(super) async fn create(app: &App, args: Create) -> Result<Code, Failure> {
    let request = NewSubscription {
        name: args.name,
        url: args.url,
        types: args.types,
        condition: args.condition,
        format: Some(args.format),
        ordered: args.ordered,
    };
    let session = ApiSession::open(app).await?;
    let local = session.is_local();
    let done = session.api().create_subscription(request).await;
    let made = session.close(done).await?;
    tell_secret(app, &made, "is made")?;
    if local {
        app.out.note("events are sent while `kapelle serve` runs");
    }
    Ok(Code::Ok)
}

fn tell_secret(app: &App, made: &SubscriptionCreated, done: &str) -> Result<(), Failure> {
    if app.out.json {
        return app.out.print_json(&json!(made));
    }
    app.out.print(&format!("subscription {} {done}", made.subscription.name))?;
    app.out.print(&format!("secret, shown this once: {}", made.secret))
}

/// Changes a subscription.
///
/// # Errors
/// When a field is wrong or there is no such subscription.
pub(super) async fn change(app: &App, args: Change) -> Result<Code, Failure> {
    let request = ChangeSubscription {
        url: args.url,
        types: (!args.types.is_empty()).then_some(args.types),
        condition: args.condition,
        format: args.format,
        ordered: args.ordered,
    };
    if request == ChangeSubscription::default() {
        return Err(Failure::usage("nothing to change; expected --url, --type, --if, --format or --ordered"));
    }
    let session = ApiSession::open_existing(app).await?;
    let done = session.api().change_subscription(&args.name, request).await;
    let changed = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(changed))?;
    } else {
        super::print(app, &changed)?;
    }
    Ok(Code::Ok)
}

/// Rotates the secret of a subscription.
///
/// # Errors
/// When there is no such subscription.
pub(super) async fn rotate(app: &App, args: Rotate) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let request = RotateSecret { overlap_hours: Some(args.overlap) };
    let done = session.api().rotate_secret(&args.name, request).await;
    let made = session.close(done).await?;
    tell_secret(app, &made, "has a new secret")?;
    if let Some(until) = &made.subscription.former_secret_until {
        app.out.note(&format!("the former one signs, too, until {until}"));
    }
    Ok(Code::Ok)
}
