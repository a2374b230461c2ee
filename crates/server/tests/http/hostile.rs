//! Hostile requests to `/v1` of the real server: whatever a caller writes, a provider's key goes to its provider and
//! nowhere else, and every request is answered.
//!
//! 1,000 requests, or as many as `KAPELLE_HOSTILE_BODIES` says (`make hostile`: 10,000); `KAPELLE_HOSTILE_SEED` gives
//! others.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kapelle_server::Limits;
use kapelle_testkit::{
    hostile::Dice,
    scripted_openai::{Call, Script, ScriptedOpenai},
};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};

use crate::place::{Answer, Place, Setup};

/// Time after which a request counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);
/// Concurrent callers.
const CALLERS: u64 = 8;

/// A provider of each format, the header that holds its key, and its model.
const PROVIDERS: [(&str, &str, &str, &str); 5] = [
    ("openai", "/v1", "authorization", "gpt-4o-mini"),
    ("azure", "/openai/v1", "api-key", "mini"),
    ("claude", "/v1", "x-api-key", "claude-haiku-4-5"),
    ("gemini", "/v1beta/openai", "authorization", "gemini-2.5-flash"),
    ("local", "/v1", "authorization", "llama"),
];
/// Headers that a provider receives besides its key. The caller's are not among them.
const HEADERS: [&str; 7] =
    ["host", "user-agent", "accept", "content-type", "content-length", "anthropic-version", "authorization"];

struct Stage {
    place: Place,
    doubles: BTreeMap<&'static str, ScriptedOpenai>,
    evil: TcpListener,
    _keys: tempfile::TempDir,
}

/// Returns the key of a provider. All are different.
fn key(provider: &str) -> String {
    if provider == "openai" { "sk-canary".to_owned() } else { format!("canary-of-{provider}-0123456789") }
}

impl Stage {
    async fn new() -> Stage {
        let keys = tempfile::tempdir().unwrap();
        let mut doubles = BTreeMap::new();
        let mut config = "providers:\n".to_owned();
        let mut base_url = None;
        for (name, base, header, _) in PROVIDERS {
            let script = Script {
                key: Some(key(name)),
                key_header: (header != "authorization").then(|| header.to_owned()),
                base: Some(base.to_owned()),
                ..Script::default()
            };
            let double = ScriptedOpenai::start(script).await.unwrap();
            let address = format!("http://{}{base}", double.address());
            let file = keys.path().join(name);
            std::fs::write(&file, key(name)).unwrap();
            let kind = match name {
                "azure" => "azure",
                "claude" => "anthropic",
                "gemini" => "gemini",
                _ => "compatible",
            };
            if name == "openai" {
                base_url = Some(address);
                config += "  openai: { kind: openai, base_url_env: OPENAI_BASE_URL, api_key_env: OPENAI_API_KEY }\n";
            } else {
                config += &format!(
                    "  {name}: {{ kind: {kind}, base_url: '{address}', api_key_file: '{}' }}\n",
                    file.display()
                );
            }
            doubles.insert(name, double);
        }
        config += "models:\n  fast: { chain: [openai/gpt-4o-mini, claude/claude-haiku-4-5] }\n";
        config += "  mixed: { chain: [azure/mini, gemini/gemini-2.5-flash, local/llama], weights: [1, 1, 1] }\n";
        let limits = Limits { failures_per_minute: u32::MAX, ..Limits::default() };
        let place = Place::set_up(Setup { limits, config, base_url, ..Setup::default() }).await;
        let evil = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Stage { place, doubles, evil, _keys: keys }
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// Returns the fault of an answer.
fn fault_of(answer: &Answer, token: &str) -> Option<String> {
    let text = format!("{:?} {}", answer.headers, answer.text());
    if text.contains("canary") || text.contains(token) {
        return Some(format!("a secret went to the caller: {text}"));
    }
    // Every provider is well and answers whatever it understands: the only honest 5xx is for a model that cannot be
    // asked.
    (answer.status >= 500 && !text.contains("model_required")).then(|| format!("{}: {text}", answer.status))
}

/// Returns the fault of a request that reached a provider.
fn fault_at(stage: &Stage, provider: &str, header: &str, call: &Call) -> Option<String> {
    let double = &stage.doubles[provider];
    let all = format!("{:?} {}", call.headers, call.body);
    let own = key(provider);
    let shown = call.headers.get(header).and_then(|value| value.as_str()).unwrap_or("");
    if shown.strip_prefix("Bearer ").unwrap_or(shown) != own {
        return Some(format!("it was shown `{shown}`"));
    }
    let foreign = PROVIDERS.iter().map(|(name, ..)| key(name)).filter(|key| *key != own);
    if let Some(key) = foreign.chain([stage.place.token.clone()]).find(|key| all.contains(key.as_str())) {
        return Some(format!("it was sent {key}"));
    }
    if call.headers.get("host").is_none_or(|host| host.as_str() != Some(&double.address().to_string())) {
        return Some(format!("the host is {:?}", call.headers.get("host")));
    }
    let strange = call.headers.keys().find(|name| !HEADERS.contains(&name.as_str()) && *name != header);
    if let Some(name) = strange {
        return Some(format!("the header {name} went through"));
    }
    let ends = ["/chat/completions", "/responses", "/embeddings", "/messages"];
    if !ends.iter().any(|end| call.path.ends_with(end)) {
        return Some(format!("the path is {}", call.path));
    }
    let redirects = ["api_base", "base_url", "api_key", "extra_body", "extra_headers", "litellm_params", "fallbacks"];
    let named = redirects.iter().chain(&["headers", "proxy", "endpoint", "provider", "route"]);
    named.copied().find(|name| call.body.get(*name).is_some()).map(|name| format!("the field {name} went through"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_sends_a_key_elsewhere_or_is_left_without_an_answer() {
    let (count, seed) = (number("KAPELLE_HOSTILE_BODIES", 1_000), number("KAPELLE_HOSTILE_SEED", 39));
    let stage = Arc::new(Stage::new().await);
    let evil = format!("http://{}", stage.evil.local_addr().unwrap());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (stage, evil) = (Arc::clone(&stage), evil.clone());
        callers.spawn(async move {
            let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
            for number in (caller..count).step_by(CALLERS as usize) {
                // Each request has a generator of its own, so that one can be repeated alone.
                let mut dice = Dice::of(seed, number);
                let asked = dice.request(&evil, &stage.place.token);
                let headers: Vec<(&str, &str)> =
                    asked.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let saying = stage.place.say("POST", &asked.path, &headers, &asked.body);
                let shown = || format!("request {number} of seed {seed} ({})", asked.path);
                let answer = timeout(PATIENCE, saying).await.unwrap_or_else(|_| panic!("{} hangs", shown()));
                if let Some(fault) = fault_of(&answer, &stage.place.token) {
                    panic!("{}: {fault}\n{}", shown(), String::from_utf8_lossy(&asked.body));
                }
                *statuses.entry(answer.status).or_default() += 1;
            }
            statuses
        });
    }
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    for (status, times) in callers.join_all().await.into_iter().flatten() {
        *statuses.entry(status).or_default() += times;
    }
    println!("{count} requests of seed {seed}: {statuses:?}");
    assert_eq!(statuses.values().sum::<u64>(), count);
    // A misled provider would have connected by now: its answer was awaited.
    assert!(timeout(Duration::ZERO, stage.evil.accept()).await.is_err(), "somebody else was asked");
    let mut reached = 0;
    for (provider, _, header, _) in PROVIDERS {
        let calls = stage.doubles[provider].calls();
        assert!(calls.len() as u64 > count / 400, "{provider} was asked {} times, which shows nothing", calls.len());
        reached += calls.len() as u64;
        for call in calls {
            if let Some(fault) = fault_at(&stage, provider, header, &call) {
                panic!("{provider}, call {}: {fault}", call.number);
            }
        }
    }
    assert!(reached > count / 8, "{reached} of {count}: too few got through to show anything");
    assert_eq!(stage.place.get("/livez").await.status, 200);
}
