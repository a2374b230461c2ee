//! Answers of prompt workers that are watched while they are written.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

mod stage;

use std::sync::{Arc, Mutex};

use kapelle_core::{Category, Money, TaskId, worker::TextSink};
use kapelle_gateway::{
    Answer, ChatRequest, GatewayConfig, GatewayError, Grant, Limits, Message, PromptCall, Route, config::Kind,
    money::Account, price::Prices, replay::CallLog, wire::Feature,
};
use serde_json::json;
use stage::{ALL, Stage, TENANT, config, double, model, task};

const COUNTED: &str =
    "[{ reply: hello there, usage: { prompt_tokens: 1000, completion_tokens: 200, cached_tokens: 400 } }]";

/// Texts that began, each with its pieces.
#[derive(Default)]
struct Watcher(Mutex<Vec<Vec<String>>>);

impl TextSink for Watcher {
    fn begin(&self) {
        self.0.lock().unwrap().push(Vec::new());
    }

    fn add(&self, piece: &str) {
        self.0.lock().unwrap().last_mut().unwrap().push(piece.to_owned());
    }
}

impl Watcher {
    fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|pieces| pieces.concat()).collect()
    }
}

fn spent(stage: &Stage) -> Money {
    stage.ledger.standing(TENANT, &Account::Task(TaskId(7))).spent
}

fn request() -> ChatRequest {
    ChatRequest { messages: vec![Message::text("user", "Say something.")], ..ChatRequest::default() }
}

async fn ask(stage: &Stage, attempt: u32, request: &ChatRequest) -> (Arc<Watcher>, Result<Route, GatewayError>) {
    let watcher = Arc::new(Watcher::default());
    let asking = PromptCall::new(Grant::of_task(task(7, 0), attempt));
    let asking = asking.watched(Arc::clone(&watcher) as Arc<dyn TextSink>);
    let route = stage.gateway.complete_for(&asking, "fast", request, &Limits::default()).await;
    (watcher, route)
}

fn answer(route: Result<Route, GatewayError>) -> Answer {
    match route.unwrap() {
        Route::Answer(answer) => answer,
        Route::Offline { reason, .. } => panic!("went offline: {reason:?}"),
    }
}

#[tokio::test]
async fn an_answer_comes_in_pieces_is_metered_like_a_whole_one_and_is_shown_again_when_it_is_replayed() {
    for kind in ALL {
        let stage = Stage::of(kind, COUNTED).await;
        let (watcher, route) = ask(&stage, 1, &request()).await;
        let given = answer(route);
        let (price, _) = Prices::default().find("p", model(kind));
        let cost = Money(600 * price.input + 400 * price.cached + 200 * price.output);
        assert_eq!((given.content.as_str(), given.cost, given.calls), ("hello there", cost, 1), "{kind:?}");
        assert_eq!((given.usage.input, given.usage.output, given.usage.cached), (1_000, 200, 400), "{kind:?}");
        assert_eq!(watcher.texts(), ["hello there"], "{kind:?}");
        assert!(watcher.0.lock().unwrap()[0].len() > 1, "{kind:?}: in one piece");
        assert_eq!((spent(&stage), stage.double.calls()[0].body["stream"].clone()), (cost, json!(true)));
        assert_eq!(stage.log.recorded(task(7, 0)).await.unwrap().len(), 1);
        let (watcher, route) = ask(&stage, 2, &request()).await;
        let again = answer(route);
        assert_eq!(
            (again.content.as_str(), again.calls, watcher.texts()),
            ("hello there", 0, vec!["hello there".to_owned()])
        );
        assert_eq!((stage.double.calls().len(), spent(&stage)), (1, cost));
    }
}

#[tokio::test]
async fn answers_that_fit_a_schema_come_in_pieces_too() {
    let schema = json!({"type": "object", "required": ["a"], "additionalProperties": false, "properties": {"a": {"type": "integer"}}});
    for kind in ALL {
        let stage = Stage::of(kind, "[]").await;
        let (watcher, route) = ask(&stage, 1, &request().shaped("n", &schema)).await;
        assert_eq!(
            (answer(route).content, watcher.texts().concat()),
            (r#"{"a":1}"#.to_owned(), r#"{"a":1}"#.to_owned())
        );
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_the_fault_that_a_broken_answer_is_and_costs_what_came() {
    for kind in ALL {
        for (rule, category, part) in [
            ("{ events_cut: 3, reply: a long enough answer }", Category::Unavailable, "cut"),
            ("{ no_finish: true }", Category::Provider, "without a"),
            ("{ bad_sse: true }", Category::Provider, "garbled"),
            ("{ huge_line: 11000000 }", Category::Provider, "longer than 10 MiB"),
            ("{ status: 500 }", Category::Unavailable, "(500)"),
            ("{ status: 429, headers: { retry-after: '7' } }", Category::RateLimited, "(429)"),
            ("{ reset: true }", Category::Unavailable, "the connection was cut"),
            ("{ headers: { content-type: application/json } }", Category::Provider, "instead of JSON"),
        ] {
            let stage = Stage::of(kind, &format!("[{rule}]")).await;
            let (_, route) = ask(&stage, 1, &request()).await;
            let error = route.unwrap_err().error;
            assert!(error.category == category && error.message.contains(part), "{kind:?} {rule}: {error}");
            let standing = stage.ledger.standing(TENANT, &Account::Task(TaskId(7)));
            assert_eq!(standing.reserved, Money::ZERO, "{kind:?} {rule}: not settled");
            assert!(stage.log.recorded(task(7, 0)).await.unwrap().is_empty(), "{kind:?} {rule}: recorded");
            assert_eq!(stage.double.calls().len(), 1, "the gateway does not repeat");
        }
    }
}

/// Configures two links, of which the first breaks off in the middle.
fn two(config: &mut GatewayConfig) {
    config.models.insert("fast".to_owned(), stage::alias(&["p/gpt-4o", "p/gpt-4o-mini"]));
}

#[tokio::test]
async fn the_next_model_answers_for_one_that_breaks_off_and_its_text_begins_anew() {
    let rules = "[{ model: gpt-4o, times: 1, events_cut: 3, reply: never to be heard }, { reply: from the second }]";
    let double = double(Kind::Openai, rules).await;
    let mut config = config(Kind::Openai, &double);
    two(&mut config);
    let stage = Stage::configured(double, &config);
    let (watcher, route) = ask(&stage, 1, &request()).await;
    let given = answer(route);
    assert_eq!((given.content.as_str(), given.calls), ("from the second", 2));
    let texts = watcher.texts();
    assert!(
        texts.len() == 2 && "never to be heard".starts_with(&texts[0]) && texts[1] == "from the second",
        "{texts:?}"
    );
    let standing = stage.ledger.standing(TENANT, &Account::Task(TaskId(7)));
    assert!(standing.spent > given.cost && standing.unknown == Money::ZERO, "what came is paid, no more: {standing:?}");
}

#[tokio::test]
async fn a_provider_that_does_not_count_streams_is_asked_for_the_whole_answer_which_is_shown_at_once() {
    let double = double(Kind::Compatible, COUNTED).await;
    let mut config = config(Kind::Compatible, &double);
    config.providers.get_mut("p").unwrap().supports.insert(Feature::StreamUsage, false);
    let stage = Stage::configured(double, &config);
    let (watcher, route) = ask(&stage, 1, &request()).await;
    assert_eq!((answer(route).usage.output, watcher.texts()), (200, vec!["hello there".to_owned()]));
    assert!(stage.double.calls()[0].body.get("stream").is_none());
}

#[tokio::test]
async fn a_hundred_streamed_answers_share_one_connection() {
    let stage = Stage::with("[]").await;
    for number in 0..100 {
        let asked =
            ChatRequest { messages: vec![Message::text("user", format!("{number}"))], ..ChatRequest::default() };
        answer(ask(&stage, 1, &asked).await.1);
    }
    assert_eq!((stage.double.connections(), stage.double.calls().len()), (1, 100));
}
