//! A gateway before a double of a provider.
#![allow(dead_code, reason = "each test file uses a part of the stage")]

use std::sync::Arc;

use kapelle_core::{Money, TaskId, TenantId};
use kapelle_gateway::{
    Body, Clock, Gateway, GatewayConfig, Grant, Operation, Reply, Service, TokenId,
    config::{Alias, Kind, Provider},
    money::{Account, Ledger, MemoryLedger, Payer},
    replay::{CallLog, MemoryLog, TaskKey},
};
use kapelle_testkit::scripted_openai::{Flavour, Script, ScriptedOpenai};
use serde_json::{Value, json};

pub const KEY: &str = "sk-canary-1234567890abcdef";
pub const TENANT: TenantId = TenantId(1);
pub const ALL: [Kind; 7] =
    [Kind::Openai, Kind::Azure, Kind::Bedrock, Kind::Gemini, Kind::Vertex, Kind::Anthropic, Kind::Compatible];

pub struct Stage {
    pub double: ScriptedOpenai,
    pub service: Arc<Service>,
    pub gateway: Arc<Gateway>,
    pub ledger: Arc<MemoryLedger>,
    pub log: Arc<MemoryLog>,
    pub token: String,
    pub id: TokenId,
}

/// Returns the path below which a kind of provider answers.
pub fn base(kind: Kind) -> &'static str {
    match kind {
        Kind::Azure => "/openai/v1",
        Kind::Gemini => "/v1beta/openai",
        Kind::Vertex => "/v1/projects/p/locations/l/endpoints/openapi",
        _ => "/v1",
    }
}

pub fn model(kind: Kind) -> &'static str {
    match kind {
        Kind::Anthropic => "claude-haiku-4-5",
        Kind::Gemini => "gemini-2.5-flash",
        Kind::Vertex => "google/gemini-2.5-flash",
        _ => "gpt-4o-mini",
    }
}

pub async fn double(kind: Kind, rules: &str) -> ScriptedOpenai {
    let mut script = Script::from_yaml(&format!("rules: {rules}")).unwrap();
    script.key = Some(KEY.to_owned());
    script.base = Some(base(kind).to_owned());
    script.key_header = match kind {
        Kind::Azure => Some("api-key".to_owned()),
        Kind::Anthropic => Some("x-api-key".to_owned()),
        _ => None,
    };
    script.flavour = match kind {
        Kind::Azure => Flavour::Azure,
        Kind::Gemini | Kind::Vertex => Flavour::Google,
        Kind::Bedrock => Flavour::Aws,
        _ => Flavour::Openai,
    };
    ScriptedOpenai::start(script).await.unwrap()
}

pub fn provider(kind: Kind, double: &ScriptedOpenai) -> Provider {
    Provider {
        base_url: Some(format!("http://{}{}", double.address(), base(kind))),
        api_key_env: Some("THE_KEY".to_owned()),
        ..Provider::of(kind)
    }
}

pub fn alias(chain: &[&str]) -> Alias {
    Alias {
        chain: chain.iter().map(|&link| link.to_owned()).collect(),
        max_output_tokens: 500,
        limit_field: None,
        weights: Vec::new(),
    }
}

pub fn config(kind: Kind, double: &ScriptedOpenai) -> GatewayConfig {
    let mut config = GatewayConfig::default();
    config.providers.insert("p".to_owned(), provider(kind, double));
    config.models.insert("fast".to_owned(), alias(&[&format!("p/{}", model(kind))]));
    config
}

pub fn env(name: &str) -> Option<String> {
    (name == "THE_KEY").then(|| KEY.to_owned())
}

pub fn payer() -> Payer {
    Payer::of(TENANT, vec![Account::Tenant, Account::Day])
}

pub fn task(task: i64, replay_epoch: u64) -> TaskKey {
    TaskKey { tenant: TENANT, task: TaskId(task), replay_epoch }
}

impl Stage {
    pub async fn with(rules: &str) -> Stage {
        Stage::of(Kind::Openai, rules).await
    }

    pub async fn of(kind: Kind, rules: &str) -> Stage {
        let double = double(kind, rules).await;
        let config = config(kind, &double);
        Stage::configured(double, &config)
    }

    pub fn configured(double: ScriptedOpenai, config: &GatewayConfig) -> Stage {
        Stage::clocked(double, config, Clock::default())
    }

    pub fn clocked(double: ScriptedOpenai, config: &GatewayConfig, clock: Clock) -> Stage {
        let gateway = Arc::new(Gateway::with_clock(config, &env, clock).unwrap());
        let (ledger, log) = (Arc::new(MemoryLedger::default()), Arc::new(MemoryLog::default()));
        gateway.keep_books(Arc::clone(&ledger) as Arc<dyn Ledger>, Arc::clone(&log) as Arc<dyn CallLog>);
        let service = Arc::new(Service::new(Arc::clone(&gateway)));
        let (id, token) = service.tokens().issue(Grant::of(payer())).unwrap();
        Stage { double, service, gateway, ledger, log, token, id }
    }

    /// Issues a token with another grant.
    pub fn grant(&self, change: impl FnOnce(&mut Grant)) -> String {
        let mut grant = Grant::of(payer());
        change(&mut grant);
        self.service.tokens().issue(grant).unwrap().1
    }

    pub async fn ask(&self, token: &str, operation: Operation, body: &Value) -> Reply {
        self.service.call(operation, token, body.to_string().as_bytes()).await
    }

    pub async fn chat(&self, body: &Value) -> Reply {
        self.ask(&self.token, Operation::Chat, body).await
    }

    pub fn spent(&self) -> Money {
        self.ledger.standing(TENANT, &Account::Tenant).spent
    }
}

/// Builds a chat request with that text.
pub fn says(text: &str) -> Value {
    json!({ "model": "fast", "messages": [{ "role": "user", "content": text }] })
}

/// Builds a streamed chat request with that text.
pub fn streams(text: &str) -> Value {
    let mut body = says(text);
    body["stream"] = json!(true);
    body
}

pub fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
}

/// Reads the status and body of a whole reply.
pub async fn whole(reply: Reply) -> (u16, Value) {
    let status = reply.status;
    let bytes = reply.collect().await;
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into()))
}

/// Reads the data of every event of a streamed reply.
pub async fn events(reply: Reply) -> Vec<Value> {
    assert!(matches!(reply.body, Body::Stream(_)), "not a stream: {:?}", whole(reply).await);
    read(&reply.collect().await)
}

pub fn read(bytes: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|line| serde_json::from_str(line).unwrap_or_else(|_| line.into())).collect()
}

/// Joins the text of a chat stream.
pub fn text(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}
