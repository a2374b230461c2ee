//! `http`: a request to a host that the owner allows.

use std::{sync::Arc, time::Duration};

use kapelle_core::{
    TaskError,
    worker::{BoxFuture, Effect, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_workers::{
    configured::{Fault, Given, Kind},
    schema::Schema,
};
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::{
    answer,
    effect_log::{Begun, EffectLog, Ticket},
    faults::{apart, internal, unavailable, unsettled},
    hosts::Hosts,
    outbound::{Outbound, OutboundLimits},
    request,
    secrets::{Revealed, SecretText, Secrets},
    settings::{duration, flag, number},
};

static SETTINGS: Table = Table {
    name: "http_settings",
    about: "The settings of `kind: http`.",
    required: &[],
    keys: &[
        key("hosts", Shape::List(&Shape::Text), "Public hosts: names, `*.example.com`, `any`; with or without a port."),
        key("private", Shape::List(&Shape::Text), "Hosts that may have a private address: `localhost:8080`."),
        key("headers", Shape::Map(&Shape::Text), "Headers of every request; `${secret:NAME}` stands for a secret."),
        key("max_bytes", Shape::Whole { least: 1, most: 64 << 20 }, "The longest answer, in bytes; default 1 MiB."),
        key("timeout", Shape::Duration, "The time for a request with its redirects; default 30s."),
        key("redirects", Shape::Whole { least: 0, most: 20 }, "Redirects that are followed; default 5."),
        key("insecure", Shape::Flag, "Whether public hosts may be asked without TLS."),
        key("repeatable", Shape::Flag, "Whether a POST or PATCH may be sent again when its outcome is unknown."),
    ],
};

/// The kind `http`.
pub struct Http {
    secrets: Secrets,
    log: EffectLog,
}

impl Http {
    /// Makes the kind. Requests that may not be repeated are recorded in `log`.
    #[must_use]
    pub fn new(secrets: Secrets, log: EffectLog) -> Http {
        Http { secrets, log }
    }
}

impl Kind for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn settings(&self) -> &'static Table {
        &SETTINGS
    }

    fn make(&self, given: Given) -> Result<Arc<dyn Worker>, Vec<Fault>> {
        let Given { mut spec, settings, .. } = given;
        let mut faults = Vec::new();
        let hosts = Hosts::read(&settings, &mut faults);
        let headers = SecretText::read_map("headers", &settings, &self.secrets, &mut faults);
        for (name, text) in &headers {
            if let Err(error) = request::header(&format!("headers.{name}"), name, "") {
                faults.push(Fault::of(format!("headers.{name}"), error.message, "write a name such as Authorization"));
            }
            if text.has_secret() && hosts.is_open() {
                let message = "a secret would go to hosts that are not named";
                faults.push(Fault::of(
                    format!("headers.{name}"),
                    message,
                    "name each host in `hosts`, without `*` and `any`",
                ));
            }
        }
        if hosts.is_empty() && faults.is_empty() {
            let hint = "write `hosts: [api.example.com]`, or `hosts: any` for every public host";
            faults.push(Fault::of("hosts", "no host can be reached", hint));
        }
        let input = Schema::compile(&request::schema());
        let input = input.map_err(|error| vec![Fault::of("hosts", error, "report this fault of Kapelle")])?;
        if !faults.is_empty() {
            return Err(faults);
        }
        let limits = OutboundLimits {
            timeout: duration(&settings, "timeout", Duration::from_secs(30)),
            bytes: number(&settings, "max_bytes", 1 << 20),
            redirects: number(&settings, "redirects", 5),
            insecure: flag(&settings, "insecure"),
        };
        if spec.description.is_empty() {
            "Send an HTTP request to a host that its file allows".clone_into(&mut spec.description);
        }
        spec.input = Some(request::schema());
        spec.output = Some(answer::schema());
        spec.effects = vec![Effect::Network];
        Ok(Arc::new(HttpWorker {
            spec,
            input,
            outbound: Outbound::new(hosts, limits),
            headers,
            secrets: self.secrets.clone(),
            log: self.log.clone(),
            repeatable: flag(&settings, "repeatable"),
        }))
    }
}

struct HttpWorker {
    spec: WorkerSpec,
    input: Schema,
    outbound: Outbound,
    headers: Vec<(String, SecretText)>,
    secrets: Secrets,
    log: EffectLog,
    repeatable: bool,
}

impl HttpWorker {
    async fn run(&self, ctx: &TaskContext, input: Value, revealed: &mut Revealed) -> Result<Value, TaskError> {
        let input = self.input.admit(input)?;
        let mut own = HeaderMap::new();
        for (name, text) in &self.headers {
            let value = text.reveal(&self.secrets, revealed)?;
            let (name, value) = request::header(&format!("headers.{name} of the settings"), name, &value)?;
            own.insert(name, value);
        }
        let outgoing = request::outgoing(&input, own, &ctx.task)?;
        let accepted: Vec<u16> = serde_json::from_value(input["accept"].clone()).unwrap_or_default();
        let once = !self.repeatable && !request::is_repeatable(&outgoing.method);
        let ticket = if once { Some(self.begin(ctx, &input).await?) } else { None };
        let ticket = match ticket {
            Some(Err(output)) => return Ok(output),
            Some(Ok(ticket)) => Some(ticket),
            None => None,
        };
        let failure = match self.outbound.send(outgoing).await {
            Ok(incoming) => match answer::refusal(&incoming, &accepted) {
                None => {
                    let output = revealed.scrub_value(answer::output(&incoming));
                    return finish(ticket, output).await;
                }
                Some(error) => (error, answer::is_refused(incoming.status)),
            },
            Err(failed) => (failed.error, failed.unsent),
        };
        match (failure, ticket) {
            ((error, _), None) => Err(error),
            ((error, true), Some(ticket)) => {
                apart(move || ticket.undone().map_err(|fault| internal(format!("the record of the request: {fault}"))))
                    .await?;
                Err(error)
            }
            ((error, false), Some(_)) => {
                let message =
                    format!("{}; whether the service did it is unknown, so it is not sent again", error.message);
                Err(TaskError::new(error.category, message).permanent())
            }
        }
    }

    /// Records that a request that may not be repeated is about to be sent. `Err` holds the answer of an earlier one.
    async fn begin(&self, ctx: &TaskContext, input: &Value) -> Result<Result<Ticket, Value>, TaskError> {
        let (log, worker, task) = (self.log.clone(), self.spec.name.to_string(), ctx.task.clone());
        let (tenant, content) = (ctx.tenant.0.to_string(), input.to_string());
        let begun = apart(move || {
            let key = ["http", worker.as_str(), tenant.as_str(), task.as_str()];
            let begun = log.begin(&key, &task, content.as_bytes(), false);
            begun.map_err(|fault| internal(format!("the record of the request cannot be written: {fault}")))
        });
        match begun.await? {
            Begun::Fresh(ticket) => Ok(Ok(ticket)),
            Begun::Done(output) => Ok(Err(output)),
            Begun::Running => Err(unavailable("an earlier attempt of this task is still sending the request")),
            Begun::Unknown(_) | Begun::Other(_) => Err(unsettled(
                "an earlier attempt sent the request and was interrupted; whether the service did it is unknown, so it is \
                 not sent again. Look there, then submit a new task; `repeatable: true` in the worker's file allows \
                 repetition",
            )),
        }
    }
}

async fn finish(ticket: Option<Ticket>, output: Value) -> Result<Value, TaskError> {
    let Some(ticket) = ticket else { return Ok(output) };
    apart(move || match ticket.done(&output) {
        Ok(()) => Ok(output),
        Err(fault) => {
            // The request was done, and this attempt still reports it.
            tracing::warn!(%fault, "the record of a finished request cannot be written");
            Ok(output)
        }
    })
    .await
}

impl Worker for HttpWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let mut revealed = Revealed::default();
            let done = self.run(ctx, input, &mut revealed).await;
            done.map(Output::plain).map_err(|error| revealed.scrub_error(error))
        })
    }
}
