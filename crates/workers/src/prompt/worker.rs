//! One attempt of a prompt worker: check, cut, render, ask, read, ask once more.

use std::{sync::Arc, time::Duration};

use kapelle_core::{
    Category, Money, TaskError, Tenants,
    cache::CacheRule,
    worker::{BoxFuture, Output, Provenance, TaskContext, Worker, WorkerSpec},
};
use kapelle_gateway::{
    Answer, ChatRequest, Finish, Gateway, Grant, Hop, Limits, Message, PromptCall, Route, money::Payer, replay::TaskKey,
};
use serde_json::Value;

use super::{PromptDefinition, answer, template::Template, truncate};
use crate::{offline, schema};

/// Time limit of an attempt when the file sets none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum age of a cached answer of a model for a worker whose file names none.
const CACHE_AGE: Duration = Duration::from_secs(86_400);

/// A prompt worker with the gateway that answers it.
pub struct PromptWorker {
    definition: PromptDefinition,
    gateway: Arc<Gateway>,
}

/// The reason why an attempt uses the offline method.
struct GoingOffline {
    provider: String,
    reason: Option<String>,
}

impl PromptWorker {
    /// Binds a definition to a gateway.
    #[must_use]
    pub fn new(definition: PromptDefinition, gateway: Arc<Gateway>) -> PromptWorker {
        PromptWorker { definition, gateway }
    }

    /// Opens it to every tenant, as the built-in workers are: each tenant spends its own budget with them.
    pub(crate) fn for_all(mut self) -> PromptWorker {
        self.definition.spec.tenants = Tenants::All;
        self
    }

    /// Returns the definition it was made from.
    #[must_use]
    pub fn definition(&self) -> &PromptDefinition {
        &self.definition
    }

    async fn run(&self, ctx: &TaskContext, input: Value) -> Result<Output, TaskError> {
        let mut input = match &self.definition.input {
            Some(schema) => schema.admit(input)?,
            None => input,
        };
        let mut provenance = Provenance::default();
        // The input is cut for a model; a classical method reads all of it.
        let whole = self.definition.offline.map(|_| input.clone());
        provenance.truncated = truncate::to_tokens(&mut input, self.definition.max_input_tokens);
        let request = self.request(&input)?;
        let asked = self.ask(ctx, request, &mut provenance).await;
        // The calls of a failed attempt are charged too.
        match asked.map_err(|error| error.costing(provenance.cost))? {
            Ok(value) => Ok(Output { value, provenance }),
            Err(going) => {
                provenance.truncated = false;
                let spent = provenance.cost;
                self.go_offline(whole, going, provenance).await.map_err(|error| error.costing(spent))
            }
        }
    }

    fn request(&self, input: &Value) -> Result<ChatRequest, TaskError> {
        let definition = &self.definition;
        let render = |template: &Template| {
            template.render(input).map_err(|why| {
                TaskError::new(Category::InvalidInput, format!("the prompt of {} fails: {why}", definition.spec.name))
            })
        };
        let mut messages = Vec::with_capacity(2);
        if let Some(system) = &definition.system {
            messages.push(Message::text("system", render(system)?));
        }
        messages.push(Message::text("user", render(&definition.prompt)?));
        let request = ChatRequest {
            messages,
            temperature: definition.temperature,
            max_tokens: definition.max_output_tokens,
            ..ChatRequest::default()
        };
        Ok(match &definition.output {
            Some(schema) => request.shaped(definition.spec.name.as_str(), schema.source()),
            None => request,
        })
    }

    /// Asks the model, and once more when its answer does not fit.
    async fn ask(
        &self,
        ctx: &TaskContext,
        mut request: ChatRequest,
        provenance: &mut Provenance,
    ) -> Result<Result<Value, GoingOffline>, TaskError> {
        let mut complaint = String::new();
        let output = self.definition.output.as_ref();
        let prompt_call = PromptCall::new(self.grant(ctx)).watched(Arc::clone(&ctx.text));
        let prompt_call = prompt_call.fitting(|text| answer::read(text, output).is_ok());
        for _ in 0..2 {
            if ctx.cancel.is_raised() {
                return Err(TaskError::new(Category::Cancelled, "cancelled before the model was asked"));
            }
            let limits = self.limits(ctx, provenance.cost);
            let asked = self.gateway.complete_for(&prompt_call, &self.definition.alias, &request, &limits).await;
            let answer = match asked? {
                Route::Offline { provider, reason, hops } => {
                    provenance.calls += Hop::calls(&hops);
                    return Ok(Err(GoingOffline { provider, reason }));
                }
                Route::Answer(answer) => answer,
            };
            note(provenance, &answer);
            match answer::read(&answer.content, output) {
                Ok(value) => return Ok(Ok(value)),
                Err(why) if answer.finish == Finish::Length => {
                    complaint = format!("the answer was cut at the longest length allowed ({why})");
                    let form = if self.definition.output.is_some() { ", as JSON alone" } else { "" };
                    request.messages.push(Message::text("user", format!("Answer again, much shorter{form}.")));
                }
                Err(why) => {
                    let again = match self.definition.output {
                        Some(_) => format!(
                            "Your answer does not fit the schema: {why}\nAnswer again with JSON alone that fits it."
                        ),
                        None => format!("Your answer cannot be used: {why}"),
                    };
                    request.messages.push(Message::text("assistant", answer.content));
                    request.messages.push(Message::text("user", again));
                    complaint = why;
                }
            }
        }
        let message = format!("the model answered twice, and neither answer fits: {complaint}");
        // The model was asked a second time already: another attempt is two more calls, and is made only where the
        // author lists this category.
        Err(TaskError::new(Category::InvalidOutput, message).permanent())
    }

    /// Grants the calls of an attempt to its task, with the cache that the file allows.
    fn grant(&self, ctx: &TaskContext) -> Grant {
        let grant = match ctx.task.parse() {
            Ok(task) => {
                let key = TaskKey { tenant: ctx.tenant, task, replay_epoch: ctx.replay_epoch };
                Grant::of_task(key, ctx.attempt)
            }
            // A worker that is tried out by hand has no task, so its calls are not recorded.
            Err(_) => Grant::of(Payer::of(ctx.tenant, Vec::new())),
        };
        let age = |rule: CacheRule| rule.max_age.map_or(CACHE_AGE, |age| Duration::from_millis(age.0));
        Grant { recorded: ctx.recorded, cache: self.definition.spec.cache.map(age), ..grant }
    }

    fn limits(&self, ctx: &TaskContext, spent: Money) -> Limits {
        let spec = &self.definition.spec;
        let own = spec.timeout.map_or(DEFAULT_TIMEOUT, |time| Duration::from_millis(time.0));
        // A tenth of the attempt's time is left for what follows a model that does not answer.
        let attempt = ctx.timeout.map_or(own, |time| Duration::from_millis(time.0 / 10 * 9));
        Limits {
            timeout: own.min(attempt),
            max_cost: spec.max_cost.map(|limit| limit.checked_sub(spent).unwrap_or(Money::ZERO)),
            no_fallback: !self.definition.fallback,
            last_attempt: ctx.last_attempt,
        }
    }

    async fn go_offline(
        &self,
        input: Option<Value>,
        going: GoingOffline,
        mut provenance: Provenance,
    ) -> Result<Output, TaskError> {
        let name = &self.definition.spec.name;
        let why = going.reason.as_deref().unwrap_or("the alias is offline");
        let (Some(method), Some(input)) = (self.definition.offline, input) else {
            let message = format!("{name} needs a model: {why}. Set the key, or name another model in the alias");
            return Err(TaskError::new(Category::ModelRequired, message));
        };
        let value = offline::run(method, input).await?;
        let value = match &self.definition.output {
            Some(schema) => {
                let value = schema::keep_known(schema.source(), value);
                let violations = schema.violations(&value);
                if !violations.is_empty() {
                    let message = format!(
                        "{name} needs a model ({why}): the offline method `{method}` cannot give what its output \
                         schema asks for: {}",
                        violations.join("; ")
                    );
                    return Err(TaskError::new(Category::ModelRequired, message));
                }
                value
            }
            None => value,
        };
        provenance.provider = Some(going.provider);
        provenance.model = Some(method.to_string());
        provenance.degraded = Some(why.to_owned());
        Ok(Output { value, provenance })
    }
}

fn note(provenance: &mut Provenance, answer: &Answer) {
    provenance.provider = Some(answer.provider.clone());
    provenance.model = Some(answer.model.clone());
    provenance.degraded.clone_from(&answer.degraded);
    provenance.recorded |= answer.recorded;
    provenance.calls += answer.calls;
    provenance.input_tokens = provenance.input_tokens.saturating_add(answer.usage.input);
    provenance.output_tokens = provenance.output_tokens.saturating_add(answer.usage.output);
    provenance.cost = provenance.cost.checked_add(answer.cost).unwrap_or(Money(u64::MAX));
}

impl Worker for PromptWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.definition.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(self.run(ctx, input))
    }
}
