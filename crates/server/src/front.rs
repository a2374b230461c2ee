//! The door: every request passes it before a handler sees it, whatever its path. Host and origin first, then who it
//! is, then whether they may, then how much they send.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{FromRequestParts, RawPathParams, Request},
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kapelle::core::TenantId;
use kapelle_api::code;
use tower_service::Service;

use crate::{
    app::App,
    call::Call,
    handlers::models,
    limits::Limits,
    problem::Problem,
    route::{Answer, Permission, Route, Scope},
};

/// Room that is made for a body before it has come, at most.
const ROOM: usize = 64 * 1024;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);

/// The door and the routes behind it.
#[derive(Clone)]
pub struct Front {
    app: Arc<App>,
    router: Router,
}

impl Front {
    /// A door to these routes, and to no others.
    pub fn new(app: &Arc<App>, routes: Vec<Route>) -> Front {
        let mut by_path: BTreeMap<&'static str, Vec<Route>> = BTreeMap::new();
        for route in routes {
            by_path.entry(route.path).or_default().push(route);
        }
        let mut router = Router::new();
        for (path, routes) in by_path {
            router = router.route(path, methods(app, routes));
        }
        let unknown = Arc::clone(app);
        let router = router.fallback(move |request: Request| {
            let app = Arc::clone(&unknown);
            async move {
                let path: String = request.uri().path().chars().take(200).collect();
                let missing = Problem::not_found(format!("the path {path}"));
                known(&app, request.headers(), peer(request.extensions())).err().unwrap_or(missing).into_response()
            }
        });
        Front { app: Arc::clone(app), router }
    }

    /// Answers a request.
    pub async fn handle(&mut self, peer: SocketAddr, local: SocketAddr, mut request: Request) -> Response {
        let checked = self.app.names.check(request.method(), request.headers(), request.uri(), local);
        let mut response = match checked {
            Err(problem) => problem.into_response(),
            Ok(()) => {
                request.extensions_mut().insert(Peer(peer));
                match self.router.call(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        };
        self.app.metrics.answered(response.status());
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
        response
    }
}

fn methods(app: &Arc<App>, routes: Vec<Route>) -> MethodRouter {
    let mut allowed: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    let allow = allowed.join(", ");
    let mut methods = MethodRouter::new();
    for route in routes {
        let Ok(filter) = MethodFilter::try_from(route.method.clone()) else { continue };
        let (app, route) = (Arc::clone(app), Arc::new(route));
        methods = methods.on(filter, move |request: Request| {
            let (app, route) = (Arc::clone(&app), Arc::clone(&route));
            async move {
                let answer = perform(app, &route, request).await;
                answer.unwrap_or_else(|problem| match route.openai {
                    true => models::refused(&problem),
                    false => problem.into_response(),
                })
            }
        });
    }
    let app = Arc::clone(app);
    methods.fallback(move |request: Request| {
        let (app, allow) = (Arc::clone(&app), allow.clone());
        async move {
            let detail = format!("{} is not possible here, but {allow}", request.method());
            let wrong = Problem::new(StatusCode::METHOD_NOT_ALLOWED, code::METHOD_NOT_ALLOWED, detail);
            let wrong = Problem { allow: Some(allow), ..wrong };
            known(&app, request.headers(), peer(request.extensions())).err().unwrap_or(wrong).into_response()
        }
    })
}

fn peer(extensions: &axum::http::Extensions) -> SocketAddr {
    extensions.get::<Peer>().map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |peer| peer.0)
}

/// Refuses strangers. Those who may not come in do not learn what there is.
fn known(app: &App, headers: &axum::http::HeaderMap, peer: SocketAddr) -> Result<(), Problem> {
    app.auth.identify(headers, peer.ip(), app.now()).map(|_| ())
}

async fn perform(app: Arc<App>, route: &Route, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    let who = if route.permission == Permission::Public {
        app.auth.anonymous()
    } else {
        let from = peer(&parts.extensions);
        let token = route.openai.then(|| models::token(&parts.headers)).flatten();
        let who = match app.auth.redeem(route, &parts, app.now()) {
            Some(who) => who,
            // The gateway looks at its own tokens itself.
            None if token.is_some() => app.auth.anonymous(),
            None => app.auth.identify(&parts.headers, from.ip(), app.now())?,
        };
        let may = token.is_some() || who.role.may(route.permission);
        if !may || (route.scope == Scope::Server && who.tenant != TenantId::DEFAULT) {
            let detail = format!("a key with the role {} may not do this", who.role.as_str());
            return Err(Problem::new(StatusCode::FORBIDDEN, code::FORBIDDEN, detail));
        }
        who
    };
    let (body, stream) = if route.raw {
        declared(&parts, route)?;
        (Bytes::new(), Some(body))
    } else {
        (read(&parts, body, route, &app.limits).await?, None)
    };
    let params = match RawPathParams::from_request_parts(&mut parts, &()).await {
        Ok(params) => params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Err(_) => return Err(Problem::invalid("the path is not UTF-8")),
    };
    (route.handler)(Call { app, who, parts, params, body, stream: Mutex::new(stream), limit: route.body }).await
}

/// The length that the headers announce, when it is within bounds.
fn declared(parts: &Parts, route: &Route) -> Result<Option<u64>, Problem> {
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > route.body as u64) {
        return Err(Problem::too_large(route.body));
    }
    Ok(declared)
}

async fn read(parts: &Parts, mut body: Body, route: &Route, limits: &Limits) -> Result<Bytes, Problem> {
    let declared = declared(parts, route)?;
    if parts.method == Method::GET || parts.method == Method::HEAD {
        return Ok(Bytes::new());
    }
    let room = usize::try_from(declared.unwrap_or(0)).unwrap_or(0).min(ROOM);
    let mut read = BytesMut::new();
    loop {
        let frame = match tokio::time::timeout(limits.body_idle, body.frame()).await {
            Ok(frame) => frame,
            Err(_) => {
                let detail = "the body stopped coming";
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, code::TIMEOUT, detail));
            }
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| Problem::invalid(format!("the body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > route.body {
            return Err(Problem::too_large(route.body));
        }
        if read.is_empty() && !data.is_empty() {
            if body.is_end_stream() {
                // It came at once, as short ones do: it need not be copied.
                json_only(parts)?;
                return Ok(data);
            }
            read.reserve(room);
        }
        read.extend_from_slice(&data);
    }
    if !read.is_empty() {
        json_only(parts)?;
    }
    Ok(read.freeze())
}

/// Bodies are JSON and say so: a form or a plain text, which a foreign page could send, is refused.
fn json_only(parts: &Parts) -> Result<(), Problem> {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "the body must be JSON and say so: Content-Type: application/json";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::UNSUPPORTED_MEDIA_TYPE, detail))
}
