//! Subscriptions to events: who is told what happened.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{
    DeliveryId, Name, TenantId, Timestamp,
    subscription::{BodyFormat, EventKind, Filter, FilterError, Occurrence, SubscriptionSpec, event_id},
};
use kapelle_engine::command;
use kapelle_store::{DeliveryRow, DeliveryState, Reader, SubscriptionRow};
use serde_json::Value;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cursor, secrets, to_api,
};

/// The file with the key from which secrets are derived, in the data folder.
pub const WEBHOOKS_KEY_FILE: &str = "webhooks.key";
/// Hours for which a former secret signs, too.
const OVERLAP_USUAL: u32 = 24;
const OVERLAP_MAX: u32 = 168;
/// Pending deliveries that are counted.
const PENDING_MAX: u32 = 10_000;
const URL_MAX: usize = 2_048;
const REASON_MAX: usize = 500;

impl App {
    /// Returns the subscriptions of the tenant by name.
    ///
    /// # Errors
    /// When the caller may not see them, or the store fails.
    pub async fn subscriptions(self: &Arc<Self>, by: &Caller) -> Result<api::SubscriptionList, AppError> {
        by.allow(Permission::Operate)?;
        let (tenant, now) = (by.tenant, self.now());
        let listed = self.list_for(tenant, move |app| {
            let rows = app.reader().all_subscriptions()?;
            let own = rows.iter().filter(|row| row.tenant == tenant);
            let subscriptions = own.map(|row| shown(app.reader(), row, now)).collect::<Result<_, _>>()?;
            Ok(api::SubscriptionList { subscriptions })
        });
        listed.await
    }

    /// Returns a subscription.
    ///
    /// # Errors
    /// When the tenant has no such subscription.
    pub async fn subscription(self: &Arc<Self>, by: &Caller, name: &str) -> Result<api::Subscription, AppError> {
        by.allow(Permission::Operate)?;
        let (tenant, now, name) = (by.tenant, self.now(), parsed(name)?);
        let found = self.list_for(tenant, move |app| {
            let row = app.reader().subscription(tenant, &name)?.ok_or_else(|| missing(&name))?;
            shown(app.reader(), &row, now)
        });
        found.await
    }

    /// Makes a subscription, and returns its secret this once.
    ///
    /// # Errors
    /// An invalid field, an address that is not allowed, or a name that is taken.
    pub async fn create_subscription(
        self: &Arc<Self>,
        by: &Caller,
        given: api::NewSubscription,
    ) -> Result<api::SubscriptionCreated, AppError> {
        by.allow(Permission::Administer)?;
        let name = Name::parse(&given.name).map_err(|error| AppError::input("name", error))?;
        let types = if given.types.is_empty() { vec!["*".to_owned()] } else { given.types };
        let spec = SubscriptionSpec {
            url: given.url.trim().into(),
            format: format_of(given.format.unwrap_or(api::BodyFormat::CloudEvent)),
            types: types.iter().map(|kind| Arc::from(kind.trim())).collect(),
            condition: given.condition.filter(|text| !text.trim().is_empty()).map(Arc::from),
            ordered: given.ordered,
            by: by.starter(),
            created_at: self.now(),
        };
        self.check_spec(&spec)?;
        let salt: Arc<str> = secrets::mark().map_err(|error| AppError::internal(error.to_string()))?.into();
        let secret = self.secret_of((by.tenant, &name), &salt)?;
        let command = command::PutSubscription {
            tenant: by.tenant,
            name: name.clone(),
            spec: Arc::new(spec),
            salt,
            replace: false,
        };
        self.act(by, "subscription.create", name.as_str(), command).await?;
        let subscription = self.subscription(by, name.as_str()).await?;
        Ok(api::SubscriptionCreated { subscription, secret })
    }

    /// Changes a subscription. Its secret and its deliveries stay.
    ///
    /// # Errors
    /// As [`App::create_subscription`], or when the tenant has no such subscription.
    pub async fn change_subscription(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        given: api::ChangeSubscription,
    ) -> Result<api::Subscription, AppError> {
        by.allow(Permission::Administer)?;
        let name = parsed(name)?;
        let row = self.reader().subscription(by.tenant, &name)?.ok_or_else(|| missing(&name))?;
        let mut spec = SubscriptionSpec::clone(&row.spec);
        if let Some(url) = given.url {
            spec.url = url.trim().into();
        }
        if let Some(types) = given.types {
            spec.types = types.iter().map(|kind| Arc::from(kind.trim())).collect();
        }
        if let Some(condition) = given.condition {
            spec.condition = Some(condition).filter(|text| !text.trim().is_empty()).map(Arc::from);
        }
        spec.format = given.format.map_or(spec.format, format_of);
        spec.ordered = given.ordered.unwrap_or(spec.ordered);
        self.check_spec(&spec)?;
        let (spec, salt) = (Arc::new(spec), "".into());
        let command = command::PutSubscription { tenant: by.tenant, name: name.clone(), spec, salt, replace: true };
        self.act(by, "subscription.change", name.as_str(), command).await?;
        self.subscription(by, name.as_str()).await
    }

    fn check_spec(&self, spec: &SubscriptionSpec) -> Result<(), AppError> {
        if spec.url.len() > URL_MAX {
            return Err(AppError::input("url", format!("{} bytes; expected at most {URL_MAX}", spec.url.len())));
        }
        let refused = |why: String| match why.split_once(": ") {
            Some(("url", why)) => AppError::input("url", why),
            _ => AppError::input("url", why),
        };
        self.check_receiver(&spec.url).map_err(refused)?;
        let filter = Filter::parse(&spec.types, spec.condition.as_deref());
        filter.map(drop).map_err(|error| {
            let field = if matches!(error, FilterError::Condition(_)) { "if" } else { "types" };
            let text = error.to_string();
            AppError::input(field, text.strip_prefix(&format!("{field}: ")).unwrap_or(&text))
        })
    }

    #[cfg(feature = "reach")]
    fn check_receiver(&self, url: &str) -> Result<(), String> {
        match self.memory.webhooks.get() {
            Some(webhooks) => webhooks.check(url),
            None => Err("this process sends no events".to_owned()),
        }
    }

    #[cfg(not(feature = "reach"))]
    fn check_receiver(&self, _url: &str) -> Result<(), String> {
        Err("this build sends no events; it was made without the feature `reach`".to_owned())
    }

    #[cfg(feature = "reach")]
    fn secret_of(&self, of: (TenantId, &Name), salt: &str) -> Result<String, AppError> {
        let signer = crate::signing::Signer::of(&self.folder).map_err(|error| {
            tracing::error!(%error, file = WEBHOOKS_KEY_FILE, "the key of webhooks cannot be used");
            AppError::internal("the key of webhooks cannot be used; the server's log says why")
        })?;
        Ok(signer.secret(of, salt))
    }

    #[cfg(not(feature = "reach"))]
    fn secret_of(&self, _of: (TenantId, &Name), _salt: &str) -> Result<String, AppError> {
        Err(AppError::unprocessable("this build sends no events; it was made without the feature `reach`"))
    }

    /// Pauses a subscription: events are recorded and wait.
    ///
    /// # Errors
    /// When the tenant has no such subscription.
    pub async fn pause_subscription(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        why: api::Reason,
    ) -> Result<api::Subscription, AppError> {
        self.set_subscription(by, name, (true, why)).await
    }

    /// Resumes a subscription that was paused, or that its receiver ended.
    ///
    /// # Errors
    /// When the tenant has no such subscription.
    pub async fn resume_subscription(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        why: api::Reason,
    ) -> Result<api::Subscription, AppError> {
        self.set_subscription(by, name, (false, why)).await
    }

    async fn set_subscription(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        (paused, why): (bool, api::Reason),
    ) -> Result<api::Subscription, AppError> {
        by.allow(Permission::Operate)?;
        let name = parsed(name)?;
        let reason = match why.reason.filter(|reason| !reason.trim().is_empty()) {
            Some(reason) => by.signed(reason.chars().take(REASON_MAX).collect()),
            None => format!("by {}", by.actor),
        };
        let reason = reason.into();
        let command = command::PauseSubscription { tenant: by.tenant, name: name.clone(), paused, reason };
        let action = if paused { "subscription.pause" } else { "subscription.resume" };
        self.act(by, action, name.as_str(), command).await?;
        self.subscription(by, name.as_str()).await
    }

    /// Deletes a subscription with its deliveries.
    ///
    /// # Errors
    /// When the tenant has no such subscription.
    pub async fn delete_subscription(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
    ) -> Result<api::SubscriptionDeleted, AppError> {
        by.allow(Permission::Administer)?;
        let name = parsed(name)?;
        let command = command::DeleteSubscription { tenant: by.tenant, name: name.clone() };
        self.act(by, "subscription.delete", name.as_str(), command).await?;
        Ok(api::SubscriptionDeleted { name: name.to_string() })
    }

    /// Gives a subscription a new secret. The former one signs, too, for some hours.
    ///
    /// # Errors
    /// When the tenant has no such subscription, or the hours are out of bounds.
    pub async fn rotate_secret(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        given: api::RotateSecret,
    ) -> Result<api::SubscriptionCreated, AppError> {
        by.allow(Permission::Administer)?;
        let name = parsed(name)?;
        let hours = given.overlap_hours.unwrap_or(OVERLAP_USUAL);
        if hours > OVERLAP_MAX {
            return Err(AppError::input("overlap_hours", format!("{hours}; expected 0 to {OVERLAP_MAX}")));
        }
        let salt: Arc<str> = secrets::mark().map_err(|error| AppError::internal(error.to_string()))?.into();
        let secret = self.secret_of((by.tenant, &name), &salt)?;
        let until = Timestamp(self.now().0 + i64::from(hours) * 3_600_000);
        let command = command::RotateSecret { tenant: by.tenant, name: name.clone(), salt, until };
        self.act(by, "subscription.rotate", name.as_str(), command).await?;
        let subscription = self.subscription(by, name.as_str()).await?;
        Ok(api::SubscriptionCreated { subscription, secret })
    }

    /// Sends an event of the type `kapelle.test` to a subscription, whatever its filter.
    ///
    /// # Errors
    /// When the tenant has no such subscription.
    pub async fn test_subscription(self: &Arc<Self>, by: &Caller, name: &str) -> Result<api::Delivery, AppError> {
        by.allow(Permission::Operate)?;
        let name = parsed(name)?;
        let command = command::TestSubscription { tenant: by.tenant, name: name.clone() };
        let id = self.act(by, "subscription.test", name.as_str(), command).await?;
        self.delivery(by, &name, id)
    }

    /// Returns deliveries of a subscription, newest first.
    ///
    /// # Errors
    /// When the tenant has no such subscription, or the query is invalid.
    pub async fn deliveries(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        query: api::DeliveryQuery,
    ) -> Result<api::DeliveryPage, AppError> {
        by.allow(Permission::Operate)?;
        let page = cursor::page_of(query.limit, query.cursor.as_deref())?;
        let state = query.state.as_deref().map(|word| {
            let state = api::DeliveryState::from_word(word).map(stored);
            state
                .ok_or_else(|| AppError::parameter("state", format!("`{word}`; expected pending, delivered or failed")))
        });
        let (tenant, state, name) = (by.tenant, state.transpose()?, parsed(name)?);
        let found = self.list_for(tenant, move |app| {
            app.reader().subscription(tenant, &name)?.ok_or_else(|| missing(&name))?;
            let rows = app.reader().deliveries(tenant, &name, state, page.before, page.most)?;
            let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id));
            Ok(api::DeliveryPage { deliveries: rows.iter().map(told).collect(), next_cursor })
        });
        found.await
    }

    /// Sends the event of a delivery that was delivered or has failed once more.
    ///
    /// # Errors
    /// When there is no such delivery, or it is pending.
    pub async fn replay_delivery(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        id: &str,
    ) -> Result<api::Delivery, AppError> {
        by.allow(Permission::Operate)?;
        let (name, id) = (parsed(name)?, id.parse::<DeliveryId>().map_err(|_| AppError::not_found("the delivery"))?);
        let command = command::ReplayDelivery { tenant: by.tenant, name: name.clone(), delivery: id.0 };
        let made = self.act(by, "subscription.replay", &format!("{name} {id}"), command).await?;
        self.delivery(by, &name, made)
    }

    /// Tells subscriptions of an event that is no change of a row.
    pub(crate) fn announce(&self, tenant: TenantId, kind: EventKind, subject: String, data: Value) {
        self.engine.tell(command::Announce { told: Arc::new(Occurrence { tenant, kind, subject, data }) });
    }

    fn delivery(&self, by: &Caller, name: &Name, id: i64) -> Result<api::Delivery, AppError> {
        let rows = self.reader().deliveries(by.tenant, name, None, Some(id + 1), 1)?;
        rows.first().filter(|row| row.id == id).map(told).ok_or_else(|| AppError::not_found(DeliveryId(id)))
    }
}

fn parsed(name: &str) -> Result<Name, AppError> {
    Name::parse(name)
        .map_err(|_| AppError::not_found(format!("subscription {}", name.chars().take(40).collect::<String>())))
}

fn missing(name: &Name) -> AppError {
    AppError::not_found(format!("subscription {name}"))
}

fn format_of(format: api::BodyFormat) -> BodyFormat {
    match format {
        api::BodyFormat::CloudEvent => BodyFormat::CloudEvent,
        api::BodyFormat::Slack => BodyFormat::Slack,
    }
}

fn stored(state: api::DeliveryState) -> DeliveryState {
    match state {
        api::DeliveryState::Pending => DeliveryState::Pending,
        api::DeliveryState::Delivered => DeliveryState::Delivered,
        api::DeliveryState::Failed => DeliveryState::Failed,
    }
}

fn shown(reader: &dyn Reader, row: &SubscriptionRow, now: Timestamp) -> Result<api::Subscription, AppError> {
    let (spec, state) = (&row.spec, &row.state);
    let former = state.signing(now).filter_map(|secret| secret.until).max();
    Ok(api::Subscription {
        name: row.name.to_string(),
        url: spec.url.to_string(),
        types: spec.types.iter().map(ToString::to_string).collect(),
        condition: spec.condition.as_deref().map(str::to_owned),
        format: match spec.format {
            BodyFormat::CloudEvent => api::BodyFormat::CloudEvent,
            BodyFormat::Slack => api::BodyFormat::Slack,
        },
        ordered: spec.ordered,
        paused: state.paused.is_some(),
        paused_reason: state.paused.as_deref().map(str::to_owned),
        disabled_reason: state.disabled.as_deref().map(str::to_owned),
        pending: reader.pending_deliveries(row.tenant, &row.name, PENDING_MAX)?,
        former_secret_until: former.map(to_api::time),
        created_by: spec.by.as_deref().map(str::to_owned),
        created_at: to_api::time(spec.created_at),
    })
}

fn told(row: &DeliveryRow) -> api::Delivery {
    let pending = row.state == DeliveryState::Pending;
    api::Delivery {
        id: DeliveryId(row.id).to_string(),
        event_id: event_id(row.event_id),
        kind: row.kind.to_string(),
        subject: row.subject.to_string(),
        state: match row.state {
            DeliveryState::Pending => api::DeliveryState::Pending,
            DeliveryState::Delivered => api::DeliveryState::Delivered,
            DeliveryState::Failed => api::DeliveryState::Failed,
        },
        attempts: row.attempts,
        created_at: to_api::time(row.created_at),
        next_at: pending.then(|| to_api::time(row.next_at)),
        ended_at: row.ended_at.map(to_api::time),
        status: row.status,
        error: row.error.as_deref().map(str::to_owned),
        event: serde_json::from_str(&row.event).unwrap_or(Value::Null),
    }
}
