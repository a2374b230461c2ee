//! Model output for the steps of a run, as it comes.

use std::time::Duration;

use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    live::{Stream, frame, socket},
    place::{Place, Setup},
};

const PATIENCE: Duration = Duration::from_secs(60);
const ASKS: &str = "kind: prompt\nname: asks\nmodel: fast\nprompt: '{{ text }}'\n";
const FLOW: &str =
    "name: flow\nsteps:\n  one: { worker: asks, with: { text: hi } }\n  two: { needs: [one], worker: echo }\n";

struct Stage {
    place: Place,
    double: ScriptedOpenai,
}

impl Stage {
    async fn with(rules: &str, worker: &str) -> Stage {
        let double = ScriptedOpenai::start(Script::from_yaml(&format!("rules: {rules}")).unwrap()).await.unwrap();
        let setup = Setup { base_url: Some(double.base_url()), ..Setup::default() };
        let place = Place::set_up(setup).await;
        place.kapelle.register_prompt(worker).unwrap();
        Stage { place, double }
    }

    async fn start(&self) {
        self.place.post("/api/v1/runs", json!({ "source": FLOW })).await.json(201);
    }

    async fn follow(&self, id: &str) -> Stream {
        let more = if id.is_empty() { String::new() } else { format!("last-event-id: {id}\r\n") };
        Stream::open(&self.place, &self.place.token, "/api/v1/runs/run_1/events?texts=true", &more).await
    }
}

/// A text as a follower assembles it: each piece stands at its offset.
#[derive(Default)]
struct Shown(String);

impl Shown {
    fn take(&mut self, event: &Value) {
        let offset = event["offset"].as_u64().unwrap() as usize;
        assert!(offset <= self.0.len(), "a gap: {event} behind `{}`", self.0);
        self.0.truncate(offset);
        self.0 += event["text"].as_str().unwrap();
    }
}

async fn next(stream: &mut Stream) -> Option<(String, Value)> {
    timeout(PATIENCE, stream.next()).await.unwrap_or_else(|_| panic!("the stream hangs"))
}

fn letters(count: usize) -> String {
    (0..count).map(|at| ["al", "bé", "cü", "d ", "日"][at % 5]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn text_comes_before_its_step_ends_and_goes_on_by_offset_for_who_was_away_or_comes_late() {
    let text = letters(300);
    let stage = Stage::with(&format!("[{{ reply: '{text}', drip: 1, delay_ms: 8 }}]"), ASKS).await;
    stage.start().await;
    let mut first = stage.follow("").await;
    let (mut shown, mut entries, mut pieces) = (Shown::default(), Vec::new(), 0);
    let mut last = String::new();
    while pieces < 2 {
        let (id, event) = next(&mut first).await.unwrap();
        last = id;
        match event["event"] == "text" {
            true => {
                assert_eq!(
                    (&event["step"], &event["task"], &event["attempt"], &event["part"]),
                    (&json!("one"), &json!("task_1"), &json!(1), &json!(1))
                );
                shown.take(&event);
                pieces += 1;
            }
            false => entries.push(event["seq"].as_u64().unwrap()),
        }
    }
    drop(first);
    assert!(!shown.0.is_empty() && shown.0.len() < text.len(), "it came while it was written");
    // A late reader gets all of it; a returning one continues at its position.
    let mut late = stage.follow("").await;
    let mut whole = Shown::default();
    let mut again = stage.follow(&last).await;
    let before = shown.0.len() as u64;
    let mut first_again = None;
    let mut ended = false;
    while let Some((id, event)) = next(&mut again).await {
        if event["event"] == "text" {
            assert!(!ended, "text behind the end of its step");
            first_again = first_again.or(event["offset"].as_u64());
            shown.take(&event);
        } else {
            ended |= event["event"] == "step_ended";
            entries.push(event["seq"].as_u64().unwrap());
            assert!(!ended || id.parse::<u64>().is_ok(), "{id}: nothing is under way any more");
        }
    }
    assert_eq!((first_again, shown.0.as_str()), (Some(before), text.as_str()));
    let run = stage.place.get("/api/v1/runs/run_1").await.json(200);
    assert_eq!(entries, (0..run["seq"].as_u64().unwrap()).collect::<Vec<_>>(), "the journal has no gap and no text");
    while let Some((_, event)) = next(&mut late).await {
        if event["event"] == "text" {
            whole.take(&event);
        }
    }
    assert_eq!(whole.0, text);
    // After the end there is the answer, and the text is not sent any more.
    let mut after = stage.follow("").await;
    while let Some((_, event)) = next(&mut after).await {
        assert_ne!(event["event"], "text");
    }
    let call = &stage.double.calls()[0];
    assert_eq!((&call.body["stream"], stage.double.calls().len()), (&json!(true), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_texts_has_the_numbers_of_the_journal_alone() {
    let stage = Stage::with("[{ reply: hello there }]", ASKS).await;
    stage.start().await;
    let mut plain = Stream::open(&stage.place, &stage.place.token, "/api/v1/runs/run_1/events", "").await;
    let mut seen = 0;
    while let Some((id, event)) = next(&mut plain).await {
        assert_eq!((id.parse::<u64>().unwrap(), event["event"] == "text"), (seen, false));
        seen += 1;
    }
    assert!(seen > 3);
    let path = "/api/v1/runs/run_1/events?texts=true";
    let bearer = format!("Bearer {}", stage.place.token);
    for id in ["x", "1~task_1", "1~task_1.1.1.1.1x"] {
        let headers = [("authorization", bearer.as_str()), ("last-event-id", id)];
        stage.place.say("GET", path, &headers, b"").await.refused(400, "invalid_request", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_a_run_tells_the_same_and_ends_with_it() {
    let text = letters(200);
    let stage = Stage::with(&format!("[{{ reply: '{text}', drip: 1, delay_ms: 8 }}]"), ASKS).await;
    stage.start().await;
    let bearer = format!("authorization: Bearer {}\r\n", stage.place.token);
    let (status, mut stream) = socket(&stage.place, "/api/v1/ws?run=run_1", &bearer).await;
    assert_eq!(status, 101);
    let mut shown = Shown::default();
    let mut cursor = String::new();
    while shown.0.is_empty() {
        let (_, content) = timeout(PATIENCE, frame(&mut stream)).await.unwrap();
        let event: Value = serde_json::from_slice(&content).unwrap();
        if event["event"] == "text" {
            shown.take(&event);
            cursor = event["cursor"].as_str().unwrap().to_owned();
        }
    }
    drop(stream);
    let path = format!("/api/v1/ws?run=run_1&cursor={cursor}");
    let (status, mut stream) = socket(&stage.place, &path, &bearer).await;
    assert_eq!(status, 101);
    let mut events = Vec::new();
    loop {
        let (opcode, content) = timeout(PATIENCE, frame(&mut stream)).await.unwrap();
        match opcode {
            1 => {
                let event: Value = serde_json::from_slice(&content).unwrap();
                if event["event"] == "text" {
                    shown.take(&event);
                }
                events.push(event["event"].clone());
            }
            8 => break assert_eq!(content[..2], 1_000_u16.to_be_bytes()),
            _ => {}
        }
    }
    assert_eq!((shown.0.as_str(), events.last().unwrap()), (text.as_str(), &json!("succeeded")));
    let (other, _) = stage.place.key("viewer", 2).await;
    for (path, bearer, status) in [
        ("/api/v1/ws?run=run_9", bearer.clone(), 404),
        ("/api/v1/ws?run=x", bearer.clone(), 404),
        ("/api/v1/ws?run=run_1", format!("authorization: Bearer {other}\r\n"), 404),
        ("/api/v1/ws?run=run_1&cursor=y", bearer, 400),
    ] {
        assert_eq!(socket(&stage.place, path, &bearer).await.0, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_fit_is_asked_again_as_another_part() {
    let shaped = "kind: prompt\nname: asks\nmodel: fast\nprompt: '{{ text }}'\n\
                  output: { type: object, required: [a], properties: { a: { type: integer } } }\n";
    let rules =
        "[{ times: 1, reply: no json at all, drip: 1, delay_ms: 30 }, { reply: { a: 1 }, drip: 1, delay_ms: 30 }]";
    let stage = Stage::with(rules, shaped).await;
    stage.start().await;
    let mut stream = stage.follow("").await;
    let mut parts = [Shown::default(), Shown::default()];
    while let Some((_, event)) = next(&mut stream).await {
        if event["event"] == "text" {
            parts[event["part"].as_u64().unwrap() as usize - 1].take(&event);
        }
    }
    assert!("no json at all".starts_with(&parts[0].0), "{}", parts[0].0);
    assert_eq!(parts[1].0, r#"{"a":1}"#);
    let run = stage.place.get("/api/v1/runs/run_1").await.json(200);
    assert_eq!(run["state"], "succeeded", "{run}");
}
