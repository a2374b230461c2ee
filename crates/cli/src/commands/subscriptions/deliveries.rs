//! `kapelle subscriptions deliveries`, `replay` and `test`.

use std::time::Duration;

use kapelle_api::{Delivery, DeliveryQuery, DeliveryState};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::{Tone, paint},
    shown,
};

/// Rows of one page.
const PAGE: u32 = 1_000;
/// Looks at a test before it is left to itself, and the pause between them.
const LOOKS: u32 = 60;
const LOOK: Duration = Duration::from_millis(200);

/// List deliveries.
#[derive(Debug, clap::Args)]
pub struct List {
    /// The subscription
    name: String,
    /// Only those in this state: pending, delivered or failed
    #[arg(long)]
    state: Option<String>,
    /// The number of rows
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Replay deliveries.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// The subscription
    name: String,
    /// The delivery, such as dlv_12
    #[arg(required_unless_present = "failed", conflicts_with = "failed")]
    id: Option<String>,
    /// Every delivery that failed
    #[arg(long)]
    failed: bool,
}

/// Lists deliveries.
///
/// # Errors
/// When there is no such subscription.
pub(super) async fn list(app: &App, args: List) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let query = DeliveryQuery { state: args.state, limit: Some(args.limit), cursor: None };
    let page = session.api().deliveries(&args.name, query).await?;
    if app.out.json {
        app.out.print_json(&json!(page))?;
    } else if page.deliveries.is_empty() {
        app.out.note("no deliveries");
    } else {
        app.out.print(&table(&page.deliveries))?;
    }
    super::say_who_sends(app, &session);
    Ok(Code::Ok)
}

fn table(deliveries: &[Delivery]) -> String {
    let row = |of: &Delivery| {
        let state = match of.state {
            DeliveryState::Failed => paint(Tone::Warn, of.state.as_str()),
            _ => of.state.to_string(),
        };
        let last = of.error.clone().or_else(|| of.status.map(|status| format!("answered {status}")));
        let mut why = last.unwrap_or_default();
        if let Some(next) = of.next_at.as_ref().filter(|_| of.attempts > 0) {
            why = format!("{why}; next attempt {next}");
        }
        vec![
            of.id.clone(),
            of.created_at.clone(),
            of.kind.clone(),
            of.subject.clone(),
            state,
            of.attempts.to_string(),
            why,
        ]
    };
    let heads = ["DELIVERY", "TIME", "TYPE", "SUBJECT", "STATE", "ATTEMPTS", "LAST ANSWER"];
    shown::table(&heads, deliveries.iter().map(row).collect())
}

/// Replays deliveries.
///
/// # Errors
/// When there is no such delivery, or it is pending.
pub(super) async fn replay(app: &App, args: Replay) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let done = replayed(&session, &args).await;
    let made = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!({ "deliveries": made }))?;
    } else if made.is_empty() {
        app.out.note("no delivery has failed");
    } else {
        app.out.print(&table(&made))?;
    }
    Ok(Code::Ok)
}

async fn replayed(session: &ApiSession, args: &Replay) -> Result<Vec<Delivery>, kapelle_api::ClientError> {
    let api = session.api();
    let mut ids: Vec<String> = args.id.iter().cloned().collect();
    if args.failed {
        let mut cursor = None;
        loop {
            let query = DeliveryQuery { state: Some("failed".to_owned()), limit: Some(PAGE), cursor };
            let page = api.deliveries(&args.name, query).await?;
            ids.extend(page.deliveries.into_iter().map(|delivery| delivery.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
    let mut made = Vec::new();
    // Oldest first, as they were sent.
    for id in ids.iter().rev() {
        made.push(api.replay_delivery(&args.name, id).await?);
    }
    Ok(made)
}

/// Sends a test, and waits for its answer where a server sends it.
///
/// # Errors
/// When there is no such subscription.
pub(super) async fn test(app: &App, name: &str) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let local = session.is_local();
    let done = tested(&session, name).await;
    let sent = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(sent))?;
    } else {
        app.out.print(&table(std::slice::from_ref(&sent)))?;
    }
    if local {
        app.out.note("events are sent while `kapelle serve` runs");
    }
    Ok(if local || sent.state == DeliveryState::Delivered { Code::Ok } else { Code::Failed })
}

async fn tested(session: &ApiSession, name: &str) -> Result<Delivery, kapelle_api::ClientError> {
    let mut sent = session.api().test_subscription(name).await?;
    for _ in 0..LOOKS {
        if session.is_local() || sent.state != DeliveryState::Pending || sent.attempts > 0 {
            break;
        }
        tokio::time::sleep(LOOK).await;
        let page = session.api().deliveries(name, DeliveryQuery { limit: Some(100), ..DeliveryQuery::default() });
        sent = page.await?.deliveries.into_iter().find(|known| known.id == sent.id).unwrap_or(sent);
    }
    Ok(sent)
}
