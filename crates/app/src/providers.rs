//! Providers of models: names that workers use, circuits, rates and errors.

use kapelle_api as api;
use kapelle_core::{TenantId, Timestamp};
use kapelle_gateway::{AliasStatus, Circuit, LastError, LinkState, ModelStatus, ProviderStatus, RECENT_MINUTES};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    to_api,
};

impl App {
    /// Returns the names of models that workers use and what they lead to, and how providers fare.
    ///
    /// # Errors
    /// When the caller may not read.
    pub fn providers(&self, by: &Caller) -> Result<api::ProviderReport, AppError> {
        by.allow(Permission::Read)?;
        let gateway = self.gateway();
        let viewer = Viewer { tenant: by.tenant, everything: by.sees_all(), now: self.now() };
        Ok(api::ProviderReport {
            aliases: gateway.status().into_iter().map(|status| self.alias(status)).collect(),
            providers: gateway.providers().into_iter().map(|status| viewer.provider(status)).collect(),
            recent_minutes: RECENT_MINUTES,
        })
    }

    fn alias(&self, status: AliasStatus) -> api::ModelAlias {
        let limit = self.gateway().rate_wait(&status.alias);
        let links = status.links.into_iter().map(|link| api::ModelLink {
            link: link.link,
            state: word(link.state),
            price_known: link.price_known,
        });
        api::ModelAlias {
            name: status.alias,
            live: status.live,
            reason: status.reason,
            rate_wait_ms: limit.as_ref().map(|(_, wait)| wait.0),
            limited_by: limit.map(|(provider, _)| provider),
            links: links.collect(),
        }
    }
}

/// A caller, by what it may see of others.
struct Viewer {
    tenant: TenantId,
    everything: bool,
    now: Timestamp,
}

impl Viewer {
    fn provider(&self, status: ProviderStatus) -> api::Provider {
        let limits = status.models.first().map(|model| model.rate);
        // Anybody may name a model: what others called is theirs.
        let seen = status.models.into_iter().filter(|model| model.configured || self.everything);
        api::Provider {
            name: status.name,
            state: word(status.state),
            reason: status.trouble,
            requests_per_minute: limits.and_then(|rate| rate.requests_per_minute),
            tokens_per_minute: limits.and_then(|rate| rate.tokens_per_minute),
            models: seen.map(|model| self.model(model)).collect(),
        }
    }

    fn model(&self, status: ModelStatus) -> api::ProviderModel {
        let health = status.health.as_ref();
        let recent = health.map(|health| health.recent).unwrap_or_default();
        let wait = status.rate.wait.0;
        api::ProviderModel {
            model: status.model,
            price_known: status.price_known,
            circuit: circuit(health.map_or(Circuit::Closed, |health| health.circuit)),
            opens_in_ms: health.and_then(|health| health.opens_in).map(|wait| wait.0),
            failures_in_row: health.map_or(0, |health| health.in_row),
            recent_answered: recent.answered,
            recent_failed: recent.failed,
            recent_refused: recent.refused,
            requests_left: status.rate.requests,
            tokens_left: status.rate.tokens,
            rate_wait_ms: (wait > 0).then_some(wait),
            last_error: health.and_then(|health| health.last.as_ref()).map(|last| self.error(last)),
        }
    }

    fn error(&self, last: &LastError) -> api::ProviderError {
        let own = self.everything || last.tenant == self.tenant;
        api::ProviderError {
            category: last.category.as_str().to_owned(),
            message: own.then(|| last.message.clone()),
            at: to_api::time(self.now - last.ago),
        }
    }
}

fn circuit(circuit: Circuit) -> api::CircuitState {
    match circuit {
        Circuit::Closed => api::CircuitState::Closed,
        Circuit::Cooling => api::CircuitState::Cooling,
        Circuit::Open => api::CircuitState::Open,
        Circuit::Probing => api::CircuitState::Probing,
    }
}

fn word(state: LinkState) -> String {
    match state {
        LinkState::Ready => "ready",
        LinkState::NoKey => "no_key",
        LinkState::KeyRefused => "key_refused",
        LinkState::Offline => "offline",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use kapelle_core::{Category, DurationMs};

    use super::*;

    #[test]
    fn the_text_of_an_error_is_for_its_tenant_and_the_first() {
        let viewer = |tenant, everything| Viewer { tenant: TenantId(tenant), everything, now: Timestamp(60_000) };
        let last = LastError {
            tenant: TenantId(2),
            category: Category::Unavailable,
            message: "overloaded".to_owned(),
            ago: DurationMs(10_000),
        };
        let own = viewer(2, false).error(&last);
        assert_eq!((own.message.as_deref(), own.at.as_str()), (Some("overloaded"), "1970-01-01T00:00:50Z"));
        assert_eq!(viewer(3, false).error(&last).message, None);
        assert_eq!(viewer(1, true).error(&last).message.as_deref(), Some("overloaded"));
    }
}
