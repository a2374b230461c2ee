//! The gatekeeper: every request passes it before a handler sees it, whatever its path. It checks host and origin, then
//! the identity, then the permission, then the size.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{FromRequestParts, RawPathParams, Request},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
    routing::{MethodFilter, MethodRouter},
};
use kapelle_api::code;
use kapelle_app::{Identity, Permission, digest};
use tower_service::Service;

use crate::{
    access_log::Logged,
    auth::party,
    body::{self, Whole},
    call::{Call, LARGE},
    connections::{Busy, Connection},
    handlers::models,
    held,
    problem::Problem,
    route::{Answer, Route, Scope},
    shares::{Party, Rank},
    site::Site,
};

/// The client's end of a connection.
#[derive(Debug, Clone)]
struct Peer {
    address: SocketAddr,
    connection: Arc<Connection>,
    /// Kept with the request: the connection is not idle until both request and response are over.
    busy: Arc<Busy>,
    logged: Logged,
}

/// The result of checking a request's credentials.
struct Caller {
    who: Arc<Identity>,
    /// The party whose shares are used; `None` without a credential.
    party: Option<Party>,
}

/// The gatekeeper and the routes behind it.
#[derive(Clone)]
pub struct Gatekeeper {
    site: Arc<Site>,
    router: Router,
}

impl Gatekeeper {
    /// Makes a gatekeeper for exactly these routes.
    pub fn new(site: &Arc<Site>, routes: Vec<Route>) -> Gatekeeper {
        let of_sdks =
            routes.iter().filter(|route| route.openai).map(|route| format!("{} {}", route.method, route.path));
        let of_sdks = of_sdks.collect::<Vec<_>>().join(", ");
        let mut by_path: BTreeMap<&'static str, Vec<Route>> = BTreeMap::new();
        for route in routes {
            by_path.entry(route.path).or_default().push(route);
        }
        let mut router = Router::new();
        for (path, routes) in by_path {
            router = router.route(path, methods(site, routes));
        }
        let unknown = Arc::clone(site);
        let router = router.fallback(move |request: Request| {
            let (site, of_sdks) = (Arc::clone(&unknown), of_sdks.clone());
            async move {
                let path: String = request.uri().path().chars().take(200).collect();
                let mut missing = Problem::not_found(format!("the path {path}"));
                if models::is_below(&path) {
                    let what = format!("{} {path}", request.method());
                    missing.detail = format!("{what}: no such endpoint here; there are {of_sdks}");
                }
                refuse(&site, &request, missing)
            }
        });
        Gatekeeper { site: Arc::clone(site), router }
    }

    /// Answers a request.
    pub async fn handle(
        &mut self,
        (address, local): (SocketAddr, SocketAddr),
        connection: Arc<Connection>,
        mut request: Request,
    ) -> Response {
        let busy = Arc::new(connection.begin());
        let logged = Logged::begin(request.method());
        if models::is_below(request.uri().path()) {
            models::take_api_key(request.headers_mut());
        }
        let checked = self.site.names.check(request.method(), request.headers(), request.uri(), local);
        let mut response = match checked {
            Err(problem) => models::shaped(request.uri().path(), problem),
            Ok(()) => {
                request.extensions_mut().insert(Peer { address, connection, busy, logged: logged.clone() });
                match self.router.call(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        };
        self.site.metrics.answered(response.status());
        if response.status() == StatusCode::INSUFFICIENT_STORAGE {
            self.site.app.note_full_disk();
        }
        logged.end(response.status(), self.site.access_log);
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
        response
    }
}

fn methods(site: &Arc<Site>, routes: Vec<Route>) -> MethodRouter {
    let mut allowed: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    let allow = allowed.join(", ");
    let mut methods = MethodRouter::new();
    for route in routes {
        let Ok(filter) = MethodFilter::try_from(route.method.clone()) else { continue };
        let (site, route) = (Arc::clone(site), Arc::new(route));
        methods = methods.on(filter, move |request: Request| {
            let (site, route) = (Arc::clone(&site), Arc::clone(&route));
            async move {
                let answer = perform(site, &route, request).await;
                answer.unwrap_or_else(|problem| models::shaped(route.path, problem))
            }
        });
    }
    let site = Arc::clone(site);
    methods.fallback(move |request: Request| {
        let (site, allow) = (Arc::clone(&site), allow.clone());
        async move {
            let detail = format!("{} is not possible here, but {allow}", request.method());
            let wrong = Problem::new(StatusCode::METHOD_NOT_ALLOWED, code::METHOD_NOT_ALLOWED, detail);
            let wrong = Problem { allow: Some(allow), ..wrong };
            refuse(&site, &request, wrong)
        }
    })
}

/// Refuses strangers. They do not learn which routes exist.
fn known(site: &Site, request: &Request) -> Result<(), Problem> {
    let peer = peer(request.extensions())?;
    let who = site.auth.identify(site.app.keyring(), request.headers(), (peer.address.ip(), site.app.now()))?;
    peer.connection.known(party(&who)).map_err(|full| full.problem("connections", 1))
}

fn peer(extensions: &axum::http::Extensions) -> Result<Peer, Problem> {
    extensions.get::<Peer>().cloned().ok_or_else(|| Problem::internal("the request has no client address"))
}

/// Refuses a request without a route. Below `/v1` a valid gateway token receives the real answer: a caller of a wrong
/// endpoint must not look for the fault in its token.
fn refuse(site: &Site, request: &Request, problem: Problem) -> Response {
    let path = request.uri().path();
    let token = models::token(request.headers()).filter(|_| models::is_below(path));
    let stranger = match token {
        Some(token) => holds(site, request, token),
        None => known(site, request),
    };
    models::shaped(path, stranger.err().unwrap_or(problem))
}

/// Refuses a gateway token that is not valid.
fn holds(site: &Site, request: &Request, token: &str) -> Result<(), Problem> {
    if site.app.token_issuer().tenant_of(token).is_some() {
        return Ok(());
    }
    let from = peer(request.extensions())?.address.ip();
    Err(site.auth.count(from, site.app.now(), models::no_token()))
}

async fn perform(site: Arc<Site>, route: &Route, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    let params = match RawPathParams::from_request_parts(&mut parts, &()).await {
        Ok(params) => Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()),
        Err(_) => Err(Problem::invalid("the path is not UTF-8")),
    };
    let peer = peer(&parts.extensions)?;
    peer.logged.route(route.path);
    let Caller { who, party } = caller(&site, route, &parts, params.as_deref().unwrap_or_default(), &peer)?;
    let params = params?;
    let mut turn = None;
    let (whole, stream) = if route.raw {
        body::declared(&parts, route)?;
        (Whole::default(), Some(body))
    } else {
        let memory = party.map(|party| (&site.memory, party));
        let whole = body::read(&parts, body, route, &site.limits, memory).await?;
        if let Some(party) = party.filter(|_| whole.bytes.len() > LARGE) {
            turn = Some(site.parsing.wait(party.tenant).await?);
        }
        (whole, None)
    };
    let call = Call {
        app: Arc::clone(&site.app),
        site: Arc::clone(&site),
        who,
        from: peer.address.ip(),
        parts,
        params,
        body: whole.bytes,
        stream: Mutex::new(stream),
        limit: route.body,
        turn: Mutex::new(turn),
        _memory: whole.share,
    };
    let response = (route.handler)(call).await?;
    held::hold(&site, party, &peer.busy, response)
}

/// Checks the credentials, before a byte of the body is requested.
fn caller(
    site: &Site,
    route: &Route,
    parts: &Parts,
    params: &[(String, String)],
    peer: &Peer,
) -> Result<Caller, Problem> {
    let caller = credentials(site, route, parts, params, peer)?;
    if let Some(party) = caller.party {
        peer.logged.tenant(party.tenant);
        peer.connection.known(party).map_err(|full| full.problem("connections", 1))?;
    }
    Ok(caller)
}

fn credentials(
    site: &Site,
    route: &Route,
    parts: &Parts,
    params: &[(String, String)],
    peer: &Peer,
) -> Result<Caller, Problem> {
    let (now, from) = (site.app.now(), peer.address.ip());
    let bearing = |tenant, secret: &str| Party { tenant, key: digest(secret), rank: Rank::Plain };
    if route.permission == Permission::Public {
        let link = params.iter().find(|(name, _)| name == "link").map(|(_, link)| link);
        let party = link.map(|link| match site.app.link_tenant(link, now) {
            Some(tenant) => Ok(bearing(tenant, link)),
            None => Err(site.auth.count(from, now, Problem::not_found("this link"))),
        });
        return Ok(Caller { who: site.auth.anonymous(), party: party.transpose()? });
    }
    if let Some(token) = route.openai.then(|| models::token(&parts.headers)).flatten() {
        // Tokens of attempts and processes are the gateway's own.
        let tenant = site.app.token_issuer().tenant_of(token);
        let tenant = tenant.ok_or_else(|| site.auth.count(from, now, models::no_token()))?;
        return Ok(Caller { who: site.auth.anonymous(), party: Some(bearing(tenant, token)) });
    }
    let who = match site.auth.redeem(site.app.keyring(), route, parts, now) {
        Some(who) => who,
        None => site.auth.identify_ticketed(site.app.keyring(), (route, parts), (from, now))?,
    };
    match route.scope {
        Scope::Server => who.allow_server(route.permission)?,
        Scope::Tenant | Scope::Nobody => who.allow(route.permission)?,
    }
    let party = Some(party(&who));
    Ok(Caller { who, party })
}
