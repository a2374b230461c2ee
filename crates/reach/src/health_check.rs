//! `health_check`: whether services answer, and whether this server is well.

use std::{sync::Arc, time::Duration};

use kapelle_core::{
    TaskError,
    worker::{BoxFuture, Effect, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_workers::{
    configured::{Fault, Given, Kind},
    schema::{Schema, object},
};
use reqwest::{Method, Url, header::HeaderMap};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    faults::{invalid, unavailable},
    hosts::{Hosts, host_of},
    outbound::{Outbound, OutboundLimits, Outgoing},
    settings::{duration, flag, text},
};

static SETTINGS: Table = Table {
    name: "health_check_settings",
    about: "The settings of `kind: health_check`.",
    required: &[],
    keys: &[
        key("targets", Shape::List(&Shape::Object(&TARGET)), "The services, in order."),
        key("server", Shape::Flag, "Whether the checks of this server count, too."),
        key("timeout", Shape::Duration, "The time for one service; default 5s."),
    ],
};

static TARGET: Table = Table {
    name: "health_check_target",
    about: "A service.",
    required: &["name"],
    keys: &[
        key("name", Shape::Text, "Its name for display and in the input."),
        key("url", Shape::Text, "An address that answers with the expected status."),
        key("tcp", Shape::Text, "`host:port` that accepts a connection."),
        key("status", Shape::Whole { least: 100, most: 599 }, "The expected status; default 200."),
    ],
};

/// Targets of one file.
const TARGETS_MAX: usize = 64;

/// Health of the server itself: whether it is well, and the failing checks.
pub trait OwnHealth: Send + Sync {
    /// Returns the name and the reason of each failing check. `None` when no server runs in this process.
    fn failing(&self) -> Option<Vec<(String, String)>>;
}

/// The kind `health_check`.
pub struct HealthCheck {
    own: Arc<dyn OwnHealth>,
}

impl HealthCheck {
    /// Makes the kind.
    #[must_use]
    pub fn new(own: Arc<dyn OwnHealth>) -> HealthCheck {
        HealthCheck { own }
    }
}

#[derive(Clone)]
struct Target {
    name: String,
    probe: Probe,
}

#[derive(Clone)]
enum Probe {
    Http(Url, u16),
    Tcp(String, u16),
}

impl Target {
    fn read(at: usize, written: &Value) -> Result<Target, Fault> {
        let field = |name: &str| format!("targets[{at}].{name}");
        let probe = match (text(written, "url"), text(written, "tcp")) {
            (Some(url), None) => {
                let status = written["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
                let read =
                    Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
                let hint = "write https://host/path";
                let url = read.ok_or_else(|| Fault::of(field("url"), format!("`{url}` is not an address"), hint))?;
                Probe::Http(url, status)
            }
            (None, Some(tcp)) => {
                let parts = tcp.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
                let hint = "write host:port";
                let (host, port) = parts
                    .filter(|(host, _)| !host.is_empty())
                    .ok_or_else(|| Fault::of(field("tcp"), format!("`{tcp}` is not host and port"), hint))?;
                Probe::Tcp(host.trim_matches(['[', ']']).to_owned(), port)
            }
            _ => return Err(Fault::of(format!("targets[{at}]"), "it needs `url` or `tcp`, and not both", "keep one")),
        };
        Ok(Target { name: written["name"].as_str().unwrap_or_default().to_owned(), probe })
    }

    fn place(&self) -> (String, u16) {
        match &self.probe {
            Probe::Http(url, _) => (host_of(url), url.port_or_known_default().unwrap_or(80)),
            Probe::Tcp(host, port) => (host.clone(), *port),
        }
    }

    /// Returns the reason why the service is not well.
    async fn fault(&self, outbound: &Outbound) -> Option<String> {
        match &self.probe {
            Probe::Http(url, expected) => {
                let (method, url) = (Method::GET, url.clone());
                let request = Outgoing { method, url, headers: HeaderMap::new(), own: HeaderMap::new(), body: None };
                match outbound.send(request).await {
                    Ok(answer) if answer.status == *expected => None,
                    Ok(answer) => Some(format!("HTTP {}, expected {expected}", answer.status)),
                    Err(failed) => Some(failed.error.message),
                }
            }
            Probe::Tcp(host, port) => {
                let connect = async {
                    let addresses = outbound.hosts.resolve(host, *port).await.map_err(|refused| refused.0)?;
                    tokio::net::TcpStream::connect(addresses.as_slice()).await.map_err(|error| error.to_string())
                };
                match tokio::time::timeout(outbound.limits.timeout, connect).await {
                    Ok(Ok(_)) => None,
                    Ok(Err(error)) => Some(error),
                    Err(_) => Some(format!("no connection within {} ms", outbound.limits.timeout.as_millis())),
                }
            }
        }
    }
}

impl Kind for HealthCheck {
    fn name(&self) -> &'static str {
        "health_check"
    }

    fn settings(&self) -> &'static Table {
        &SETTINGS
    }

    fn make(&self, given: Given) -> Result<Arc<dyn Worker>, Vec<Fault>> {
        let Given { mut spec, settings, .. } = given;
        let (mut faults, mut targets) = (Vec::new(), Vec::<Target>::new());
        for (at, written) in settings["targets"].as_array().into_iter().flatten().enumerate() {
            match Target::read(at, written) {
                Ok(target) if targets.iter().any(|other| other.name == target.name) => {
                    let message = format!("two targets are called `{}`", target.name);
                    faults.push(Fault::of(format!("targets[{at}].name"), message, "give each a name of its own"));
                }
                Ok(target) => targets.push(target),
                Err(fault) => faults.push(fault),
            }
        }
        if targets.len() > TARGETS_MAX {
            faults.push(Fault::of(
                "targets",
                format!("there are {}; expected at most {TARGETS_MAX}", targets.len()),
                "use two files",
            ));
        }
        let server = flag(&settings, "server");
        if targets.is_empty() && !server && faults.is_empty() {
            faults.push(Fault::of("targets", "nothing is checked", "list a service, or write `server: true`"));
        }
        let input = Schema::compile(&input_schema());
        let input = input.map_err(|error| vec![Fault::of("targets", error, "report this fault of Kapelle")])?;
        if !faults.is_empty() {
            return Err(faults);
        }
        if spec.description.is_empty() {
            "Check whether services answer".clone_into(&mut spec.description);
        }
        spec.input = Some(input_schema());
        spec.output = Some(output_schema());
        spec.effects = vec![Effect::Network];
        let places: Vec<(String, u16)> = targets.iter().map(Target::place).collect();
        let timeout = duration(&settings, "timeout", Duration::from_secs(5));
        let limits = OutboundLimits { timeout, bytes: 1 << 20, redirects: 0, insecure: true };
        let outbound = Arc::new(Outbound::new(Hosts::named(&places), limits));
        Ok(Arc::new(HealthWorker { spec, input, targets, outbound, own: server.then(|| Arc::clone(&self.own)) }))
    }
}

fn input_schema() -> Value {
    object(
        &[],
        json!({
            "targets": { "type": "array", "items": { "type": "string" }, "description": "Only these; default all" },
            "fail": { "type": "boolean", "default": false, "description": "Fail the task when one is not well" },
        }),
    )
}

fn output_schema() -> Value {
    let check = object(
        &["name", "ok"],
        json!({ "name": { "type": "string" }, "ok": { "type": "boolean" }, "reason": { "type": "string" } }),
    );
    object(&["ok", "checks"], json!({ "ok": { "type": "boolean" }, "checks": { "type": "array", "items": check } }))
}

struct HealthWorker {
    spec: WorkerSpec,
    input: Schema,
    targets: Vec<Target>,
    outbound: Arc<Outbound>,
    own: Option<Arc<dyn OwnHealth>>,
}

impl HealthWorker {
    async fn run(&self, input: Value) -> Result<Value, TaskError> {
        let input = self.input.admit(input)?;
        let wanted: Option<Vec<String>> = serde_json::from_value(input["targets"].clone()).ok();
        let named = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|other| other == name));
        if let Some(unknown) = wanted.iter().flatten().find(|name| !self.targets.iter().any(|t| t.name == **name)) {
            let known: Vec<&str> = self.targets.iter().map(|target| target.name.as_str()).collect();
            return Err(invalid(format!("targets: `{unknown}` is unknown; expected some of {}", known.join(", "))));
        }
        let mut set = JoinSet::new();
        for (at, target) in self.targets.iter().enumerate().filter(|(_, target)| named(&target.name)) {
            let (target, outbound) = (target.clone(), Arc::clone(&self.outbound));
            set.spawn(async move { (at, target.fault(&outbound).await) });
        }
        let mut ended = set.join_all().await;
        ended.sort_by_key(|(at, _)| *at);
        let mut checks: Vec<Value> =
            ended.into_iter().map(|(at, fault)| check(&self.targets[at].name, fault)).collect();
        if let Some(own) = self.own.as_ref().filter(|_| wanted.is_none()) {
            let Some(failing) = own.failing() else {
                return Err(invalid("server: no server runs in this process; submit the task to a server"));
            };
            let reason = failing.into_iter().map(|(name, reason)| format!("{name}: {reason}")).collect::<Vec<_>>();
            checks.push(check("server", (!reason.is_empty()).then(|| reason.join("; "))));
        }
        let bad: Vec<&str> =
            checks.iter().filter(|check| check["ok"] != true).filter_map(|check| check["name"].as_str()).collect();
        if input["fail"] == true && !bad.is_empty() {
            return Err(unavailable(format!(
                "not well: {}; their reasons stand in a task without `fail`",
                bad.join(", ")
            )));
        }
        let ok = bad.is_empty();
        Ok(json!({ "ok": ok, "checks": checks }))
    }
}

fn check(name: &str, fault: Option<String>) -> Value {
    match fault {
        None => json!({ "name": name, "ok": true }),
        Some(reason) => json!({ "name": name, "ok": false, "reason": reason }),
    }
}

impl Worker for HealthWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, _ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move { self.run(input).await.map(Output::plain) })
    }
}
