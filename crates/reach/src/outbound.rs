//! One HTTP request with checked addresses, redirects, and limits on time and size.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use kapelle_core::{Category, TaskError};
use reqwest::{
    Client, Method, Response, Url,
    header::{HeaderMap, LOCATION},
};

use crate::{
    faults::{chain_of, invalid, unavailable, unsettled},
    hosts::{CheckedResolver, Hosts, Refused},
};

/// Headers that do not follow a redirect to another host.
const OWN: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-api-key"];

/// Wait for the next piece of a body that nobody needs.
const TAIL: Duration = Duration::from_millis(200);

/// Sender of requests for one worker.
pub(crate) struct Outbound {
    pub(crate) hosts: Arc<Hosts>,
    client: OnceLock<Client>,
    pub(crate) limits: OutboundLimits,
}

/// Limits of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutboundLimits {
    /// Wall time with all redirects.
    pub(crate) timeout: Duration,
    /// Bytes of an answer.
    pub(crate) bytes: usize,
    /// Redirects that are followed.
    pub(crate) redirects: usize,
    /// Whether a public host may be asked without TLS.
    pub(crate) insecure: bool,
}

/// A request.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Headers of the input.
    pub(crate) headers: HeaderMap,
    /// Headers of the settings, which may hold secrets: they are for the first host alone.
    pub(crate) own: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
}

/// An answer that was read.
pub(crate) struct Incoming {
    pub(crate) status: u16,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) redirects: usize,
}

/// A request without an answer.
pub(crate) struct Failed {
    pub(crate) error: TaskError,
    /// Whether the request certainly did not reach the service.
    pub(crate) unsent: bool,
}

impl Failed {
    fn before(error: TaskError) -> Failed {
        Failed { error, unsent: true }
    }

    fn after(error: TaskError) -> Failed {
        Failed { error, unsent: false }
    }
}

impl Outbound {
    pub(crate) fn new(hosts: Hosts, limits: OutboundLimits) -> Outbound {
        Outbound { hosts: Arc::new(hosts), client: OnceLock::new(), limits }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// A host that is not allowed, no answer in time, or an answer beyond the limits.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Result<Incoming, Failed> {
        let sent = tokio::time::timeout(self.limits.timeout, self.hops(outgoing)).await;
        sent.unwrap_or_else(|_| {
            let message =
                format!("no answer within {} ms; raise `timeout` of the settings", self.limits.timeout.as_millis());
            Err(Failed::after(TaskError::new(Category::Timeout, message)))
        })
    }

    /// Sends a request once: an answer that redirects is the answer. Of its body only the beginning is read, so that the
    /// connection can be used again.
    ///
    /// # Errors
    /// A host that is not allowed, or no answer in time.
    pub(crate) async fn send_once(&self, outgoing: Outgoing) -> Result<(u16, HeaderMap), Failed> {
        let sent = tokio::time::timeout(self.limits.timeout, async {
            self.allowed(&outgoing.url).map_err(Failed::before)?;
            let mut response = self.once(&outgoing).await?;
            let (status, headers, mut read) = (response.status().as_u16(), response.headers().clone(), 0);
            while let Ok(Ok(Some(chunk))) = tokio::time::timeout(TAIL, response.chunk()).await {
                read += chunk.len();
                if read > self.limits.bytes {
                    break;
                }
            }
            Ok((status, headers))
        });
        sent.await.unwrap_or_else(|_| {
            let message = format!("no answer within {} ms", self.limits.timeout.as_millis());
            Err(Failed::after(TaskError::new(Category::Timeout, message)))
        })
    }

    async fn hops(&self, mut outgoing: Outgoing) -> Result<Incoming, Failed> {
        let mut unsent = true;
        for redirects in 0..=self.limits.redirects {
            let failed = |error| Failed { error, unsent };
            self.allowed(&outgoing.url).map_err(failed)?;
            let response =
                self.once(&outgoing).await.map_err(|failure| Failed { unsent: unsent && failure.unsent, ..failure })?;
            unsent = false;
            let Some(next) = target(&response, &outgoing.url).map_err(Failed::after)? else {
                return self.read(response, outgoing.url, redirects).await.map_err(Failed::after);
            };
            follow(&mut outgoing, next, response.status().as_u16()).map_err(Failed::after)?;
        }
        let most = self.limits.redirects;
        Err(Failed::after(
            unavailable(format!("more than {most} redirects; raise `redirects` of the settings")).permanent(),
        ))
    }

    /// Checks scheme, host and port of one hop.
    pub(crate) fn allowed(&self, url: &Url) -> Result<(), TaskError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(format!("url: the scheme `{}` is not possible; write https://", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("url: it holds a user name; put credentials into `headers` of the worker's file"));
        }
        self.hosts.check(url).map_err(|refused| invalid(refused.0))?;
        if url.scheme() == "http" && !self.limits.insecure && !self.hosts.is_private(url) {
            let message = "url: plain http can be read on the way; write https://, or the owner sets `insecure: true`";
            return Err(invalid(message));
        }
        Ok(())
    }

    async fn once(&self, outgoing: &Outgoing) -> Result<Response, Failed> {
        let client = self.client().map_err(Failed::before)?;
        let mut headers = outgoing.headers.clone();
        headers.extend(outgoing.own.clone());
        let mut request = client.request(outgoing.method.clone(), outgoing.url.clone()).headers(headers);
        if let Some(body) = &outgoing.body {
            request = request.body(body.clone());
        }
        request.send().await.map_err(|error| {
            let unsent = error.is_connect() || error.is_builder();
            Failed { error: fault(error), unsent }
        })
    }

    /// Returns the client, which is made with the first request.
    fn client(&self) -> Result<&Client, TaskError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // A second call finds the provider already installed, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let built = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(CheckedResolver(Arc::clone(&self.hosts))))
            .connect_timeout(Duration::from_secs(10))
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("kapelle/", env!("CARGO_PKG_VERSION")))
            .build();
        let built = built.map_err(|error| unsettled(format!("HTTP cannot be used: {}", chain_of(&error))))?;
        Ok(self.client.get_or_init(|| built))
    }

    async fn read(&self, mut response: Response, url: Url, redirects: usize) -> Result<Incoming, TaskError> {
        let most = self.limits.bytes;
        let too_long = || {
            invalid(format!(
                "the answer of {} is longer than {most} bytes; raise `max_bytes` of the settings",
                shown(&url)
            ))
        };
        if response.content_length().is_some_and(|length| length > most as u64) {
            return Err(too_long());
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(fault)? {
            if body.len() + chunk.len() > most {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Incoming { status, url, headers, body, redirects })
    }
}

/// Formats an address without its query, which may hold secrets.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// Returns the address of a redirect. `None` for another answer.
fn target(response: &Response, from: &Url) -> Result<Option<Url>, TaskError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(LOCATION) else { return Ok(None) };
    let next = location.to_str().ok().and_then(|text| from.join(text).ok());
    next.map(Some).ok_or_else(|| unavailable(format!("{} redirects to an invalid address", shown(from))).permanent())
}

/// Changes a request into that of a redirect.
fn follow(outgoing: &mut Outgoing, next: Url, status: u16) -> Result<(), TaskError> {
    if outgoing.url.scheme() == "https" && next.scheme() == "http" {
        return Err(invalid(format!("url: {} redirects to plain http, which is not followed", shown(&outgoing.url))));
    }
    if outgoing.url.origin() != next.origin() {
        outgoing.own.clear();
        OWN.iter().for_each(|name| drop(outgoing.headers.remove(*name)));
    }
    let get = status == 303 || (matches!(status, 301 | 302) && outgoing.method == Method::POST);
    if get && outgoing.method != Method::HEAD {
        outgoing.method = Method::GET;
        outgoing.body = None;
        ["content-type", "content-length"].iter().for_each(|name| drop(outgoing.headers.remove(*name)));
    }
    outgoing.url = next;
    Ok(())
}

/// Converts an error of the transport. The address is left out, because it may hold secrets.
fn fault(error: reqwest::Error) -> TaskError {
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            let unknown = refused.0.contains("cannot be found");
            return if unknown { unavailable(refused.0.clone()) } else { invalid(refused.0.clone()) };
        }
        cause = inner.source();
    }
    unavailable(format!("the request failed: {}", chain_of(&error)))
}
