//! The sender of events: takes due deliveries from the outbox, sends them, and records how each attempt ended.
//!
//! A delivery stays in the outbox until its end is committed. A crash in between sends it again: at least once. Each
//! subscription has its own places, so that a receiver that hangs delays no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};

use kapelle_core::{
    Name, TenantId,
    subscription::{BodyFormat, event_id},
};
use kapelle_engine::{Notice, command};
use kapelle_reach::{Sent, Webhooks};
use kapelle_store::{DeliveryRow, StoreError, SubscriptionRow};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};

use crate::{
    app::App, error::Error, signing::Signer, subscriptions::WEBHOOKS_KEY_FILE, webhook_config::WebhooksConfig,
};

/// Requests at once to one subscription.
const EACH: usize = 4;
/// Requests at once of one tenant, and of all.
const TENANT: usize = 100;
const ALL: usize = 500;
/// Longest sleep, which a clock that jumps may need.
const SLEEP_MAX: Duration = Duration::from_secs(30);
/// Pause before a delivery whose end could not be recorded is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// Tenant and name of a subscription.
type Key = (TenantId, Name);

/// Makes the sender of a configuration.
pub(crate) fn sender(config: &WebhooksConfig) -> Result<Webhooks, Error> {
    Webhooks::new(&config.hosts, &config.private, config.insecure).map_err(Error::Config)
}

/// Starts the loop. It ends with the application.
///
/// # Errors
/// When the key that signs cannot be read or made.
pub(crate) fn start(app: &Arc<App>) -> Result<(), Error> {
    let signer = Signer::of(&app.folder).map_err(|error| Error::Config(format!("{}: {error}", WEBHOOKS_KEY_FILE)))?;
    let wake = Arc::new(Notify::new());
    let told = Arc::clone(&wake);
    app.engine.listen(Box::new(move |notice| {
        if matches!(notice, Notice::Deliveries) {
            told.notify_one();
        }
    }));
    let (sender, ended) = mpsc::unbounded_channel();
    let state = Loop { app: Arc::downgrade(app), signer, under_way: BTreeMap::new(), sender, ended, wake };
    tokio::spawn(state.run());
    Ok(())
}

struct Loop {
    app: Weak<App>,
    signer: Signer,
    /// Deliveries that are being sent.
    under_way: BTreeMap<Key, BTreeSet<i64>>,
    sender: mpsc::UnboundedSender<(Key, i64)>,
    ended: mpsc::UnboundedReceiver<(Key, i64)>,
    wake: Arc<Notify>,
}

impl Loop {
    async fn run(mut self) {
        loop {
            let pause = match self.look().await {
                Some(Ok(pause)) => pause,
                Some(Err(error)) => {
                    tracing::error!(%error, "deliveries cannot be read; they are looked at again in 1 s");
                    AGAIN
                }
                None => return,
            };
            tokio::select! {
                () = self.wake.notified() => {}
                Some(end) = self.ended.recv() => self.end(&end),
                () = sleep(pause) => {}
            }
            while let Ok(end) = self.ended.try_recv() {
                self.end(&end);
            }
        }
    }

    fn end(&mut self, (key, id): &(Key, i64)) {
        if let Some(ids) = self.under_way.get_mut(key) {
            ids.remove(id);
            if ids.is_empty() {
                self.under_way.remove(key);
            }
        }
    }

    /// Starts what is due, and returns the time until more is. `None` at the end of the application.
    async fn look(&mut self) -> Option<Result<Duration, StoreError>> {
        let app = self.app.upgrade().filter(|app| !app.is_draining())?;
        let reading = Arc::clone(&app);
        let all = tokio::task::spawn_blocking(move || reading.reader().all_subscriptions()).await.ok()?;
        let mut pause = SLEEP_MAX;
        let rows = match all {
            Ok(rows) => rows,
            Err(error) => return Some(Err(error)),
        };
        for row in rows.into_iter().filter(|row| row.state.is_active()) {
            match self.start_due(&app, row).await? {
                Ok(next) => pause = pause.min(next),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(pause))
    }

    async fn start_due(&mut self, app: &Arc<App>, row: SubscriptionRow) -> Option<Result<Duration, StoreError>> {
        let key = (row.tenant, row.name.clone());
        let mine = self.under_way.get(&key).map_or(0, BTreeSet::len);
        let counted = |fits: &dyn Fn(&Key) -> bool| {
            self.under_way.iter().filter(|(key, _)| fits(key)).map(|(_, ids)| ids.len()).sum::<usize>()
        };
        let of_tenant = TENANT.saturating_sub(counted(&|key| key.0 == row.tenant));
        let free = EACH.saturating_sub(mine).min(of_tenant).min(ALL.saturating_sub(counted(&|_| true)));
        if free == 0 {
            return Some(Ok(SLEEP_MAX));
        }
        let (reading, asked, most) = (Arc::clone(app), row.clone(), u32::try_from(mine + free).unwrap_or(u32::MAX));
        let now = app.now();
        let read = tokio::task::spawn_blocking(move || {
            let (reader, tenant, name) = (reading.reader(), asked.tenant, &asked.name);
            let due = reader.due_deliveries(tenant, name, now, asked.spec.ordered, most)?;
            Ok((due, reader.next_delivery(tenant, name)?))
        });
        let (due, next) = match read.await.ok()? {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        let row = Arc::new(row);
        let ids = self.under_way.entry(key.clone()).or_default();
        for delivery in due.into_iter().filter(|delivery| !ids.contains(&delivery.id)).take(free).collect::<Vec<_>>() {
            ids.insert(delivery.id);
            let attempt =
                Attempt { app: Arc::clone(app), signer: self.signer.clone(), row: Arc::clone(&row), delivery };
            let (sender, key) = (self.sender.clone(), key.clone());
            tokio::spawn(async move {
                let id = attempt.delivery.id;
                attempt.make().await;
                // The loop has ended: so has the application.
                let _ = sender.send((key, id));
            });
        }
        if ids.is_empty() {
            self.under_way.remove(&key);
        }
        // A delivery that waits for its turn is looked at when an attempt ends; this is for the rest.
        let wait = next.map(|next| u64::try_from(next.0 - now.0).unwrap_or(0));
        Some(Ok(wait.map_or(SLEEP_MAX, |ms| if ms == 0 { AGAIN } else { Duration::from_millis(ms) })))
    }
}

/// One attempt to deliver.
struct Attempt {
    app: Arc<App>,
    signer: Signer,
    row: Arc<SubscriptionRow>,
    delivery: DeliveryRow,
}

impl Attempt {
    async fn make(&self) {
        let Some(webhooks) = self.app.memory.webhooks.get() else { return };
        let (id, now) = (event_id(self.delivery.event_id), self.app.now());
        let (body, media) = match self.row.spec.format {
            BodyFormat::CloudEvent => (self.delivery.event.to_string(), "application/cloudevents+json"),
            BodyFormat::Slack => (slack(&self.delivery), "application/json"),
        };
        let seconds = now.0.div_euclid(1_000);
        let salts = self.row.state.signing(now).map(|secret| &*secret.salt);
        let signature = self.signer.header((self.row.tenant, &self.row.name), salts, (&id, seconds, &body));
        let headers = [
            ("content-type", media.to_owned()),
            ("webhook-id", id),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature),
        ];
        let sent = webhooks.post(&self.row.spec.url, &headers, body.into_bytes()).await;
        let command =
            command::Delivered { delivery: self.delivery.id, revision: self.delivery.revision, outcome: outcome(sent) };
        if let Err(error) = self.app.engine.ask(command).await {
            tracing::warn!(%error, delivery = self.delivery.id, "the end of a delivery is not recorded; it is sent again");
            // A full disk must not make this a storm of requests.
            let mut draining = self.app.draining();
            let _ = timeout(AGAIN * 5, draining.wait_for(|draining| *draining)).await;
        }
    }
}

fn outcome(sent: Sent) -> command::DeliveryOutcome {
    match (sent.status, sent.error) {
        (Some(410), _) => command::DeliveryOutcome::Gone,
        (Some(status), None) => command::DeliveryOutcome::Accepted { status },
        (status, error) => command::DeliveryOutcome::Refused {
            status,
            error: error.unwrap_or_default().chars().take(500).collect::<String>().into(),
            retry_after_ms: sent.retry_after_ms,
        },
    }
}

/// Returns an event as one line, in the shape of Slack's incoming webhooks.
fn slack(delivery: &DeliveryRow) -> String {
    let event: Value = serde_json::from_str(&delivery.event).unwrap_or_default();
    let data = &event["data"];
    let mut text = format!("*{}* {}", delivery.kind, delivery.subject);
    for field in ["workflow", "worker", "step", "state", "reason", "message"] {
        if let Some(value) = data[field].as_str() {
            text.push_str(&format!(", {field}: {value}"));
        }
    }
    if let Some(message) = data["error"]["message"].as_str() {
        text.push_str(&format!(", error: {}", message.chars().take(300).collect::<String>()));
    }
    // Slack reads these three as markup.
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": text }).to_string()
}

#[cfg(test)]
mod tests {
    use kapelle_core::Timestamp;
    use kapelle_store::DeliveryState;

    use super::*;

    #[test]
    fn answers_become_ends() {
        let sent = |status: Option<u16>, error: Option<&str>| {
            outcome(Sent { status, error: error.map(str::to_owned), retry_after_ms: None })
        };
        assert_eq!(sent(Some(204), None), command::DeliveryOutcome::Accepted { status: 204 });
        assert_eq!(sent(Some(410), Some("answered 410")), command::DeliveryOutcome::Gone);
        assert!(matches!(sent(None, Some("no answer")), command::DeliveryOutcome::Refused { status: None, .. }));
    }

    #[test]
    fn a_line_for_slack_has_no_markup_of_the_data() {
        let event = json!({ "data": { "workflow": "a", "error": { "message": "<!channel> & co" } } });
        let row = DeliveryRow {
            id: 1,
            tenant: TenantId(1),
            subscription: Name::new("s"),
            event_id: 1,
            kind: "kapelle.run.failed".into(),
            subject: "run_1".into(),
            event: event.to_string().into(),
            created_at: Timestamp(0),
            state: DeliveryState::Pending,
            attempts: 0,
            next_at: Timestamp(0),
            ended_at: None,
            status: None,
            error: None,
            revision: 0,
        };
        let expected = "*kapelle.run.failed* run_1, workflow: a, error: &lt;!channel&gt; &amp; co";
        assert_eq!(slack(&row), json!({ "text": expected }).to_string());
    }
}
