//! The access log: one line for each answered request. Query strings, headers and tokens are never in it.

use std::sync::{Arc, OnceLock};

use axum::http::{Method, StatusCode};
use kapelle_core::TenantId;
use tokio::time::Instant;

/// A request in progress. The gatekeeper fills in its route and tenant once it knows them.
#[derive(Debug, Clone)]
pub struct Logged {
    method: Method,
    begun: Instant,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    route: OnceLock<&'static str>,
    tenant: OnceLock<TenantId>,
}

impl Logged {
    /// Begins to measure a request.
    pub fn begin(method: &Method) -> Logged {
        Logged { method: method.clone(), begun: Instant::now(), seen: Arc::default() }
    }

    /// Sets the route, as the table writes it.
    pub fn route(&self, path: &'static str) {
        let _ = self.seen.route.set(path);
    }

    /// Sets the tenant of the accepted key.
    pub fn tenant(&self, tenant: TenantId) {
        let _ = self.seen.tenant.set(tenant);
    }

    /// Writes the line. The duration ends where the response begins to be sent.
    pub fn end(self, status: StatusCode, at_info: bool) {
        let (method, status) = (self.method.as_str(), status.as_u16());
        let route = self.seen.route.get().copied().unwrap_or("-");
        let tenant = self.seen.tenant.get().map_or(0, |tenant| tenant.0);
        let duration_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if at_info {
            tracing::info!(target: "kapelle::access", method, route, status, duration_ms, tenant, "request");
        } else {
            tracing::debug!(target: "kapelle::access", method, route, status, duration_ms, tenant, "request");
        }
    }
}
