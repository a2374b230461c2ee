//! The socket of the console: topics, merged changes, and continuing at a cursor.

use kapelle_server::Limits;
use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    live::socket,
    place::{Place, Setup},
};

/// A tab of the console.
struct Tab(TcpStream);

impl Tab {
    async fn open(place: &Place, key: &str) -> Tab {
        let ticket = place.ask_as(key, "POST", "/api/v1/tickets", Value::Null).await.json(201);
        let path = format!("/api/v1/live?ticket={}", ticket["ticket"].as_str().unwrap());
        let (status, stream) = socket(place, &path, "").await;
        assert_eq!(status, 101);
        Tab(stream)
    }

    /// Sends a message as browsers do: masked.
    async fn send(&mut self, message: &Value) {
        let text = message.to_string().into_bytes();
        let mut frame = vec![0x81];
        match u8::try_from(text.len()) {
            Ok(length) if length < 126 => frame.push(0x80 | length),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        frame.extend(mask);
        frame.extend(text.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        self.0.write_all(&frame).await.unwrap();
    }

    /// Returns the next message, or the code of the close.
    async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let opcode = self.0.read_u8().await.unwrap() & 15;
            let length = match self.0.read_u8().await.unwrap() {
                126 => u64::from(self.0.read_u16().await.unwrap()),
                127 => self.0.read_u64().await.unwrap(),
                short => u64::from(short),
            };
            let mut content = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut content).await.unwrap();
            match opcode {
                1 => return Ok(serde_json::from_slice(&content).unwrap()),
                8 => return Err(u16::from_be_bytes([content[0], content[1]])),
                _ => {}
            }
        }
    }

    /// Subscribes, and returns the answer.
    async fn follow(&mut self, topics: &[&str], cursor: Option<&str>) -> Value {
        let mut message = json!({ "subscribe": topics });
        if let Some(cursor) = cursor {
            message["cursor"] = json!(cursor);
        }
        self.send(&message).await;
        loop {
            let frame = self.next().await.unwrap();
            if frame["topic"] == "" {
                return frame;
            }
        }
    }

    /// Reads until a message fits, and returns it with all topics that came before.
    async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.next().await.unwrap();
            if fits(&frame) {
                return frame;
            }
        }
    }
}

fn has(frame: &Value, list: &str, id: &str, state: &str) -> bool {
    frame[list].as_array().is_some_and(|rows| rows.iter().any(|row| row["id"] == id && row["state"] == state))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_socket_tells_of_the_topics_that_it_follows() {
    let place = Place::new().await;
    let mut tab = Tab::open(&place, &place.token).await;
    let answer = tab.follow(&["tasks", "runs", "queues", "run:run_9", "nonsense"], None).await;
    assert_eq!(answer["subscribed"], json!(["runs", "tasks", "queues"]));
    let refused: Vec<&str> =
        answer["refused"].as_array().unwrap().iter().map(|r| r["topic"].as_str().unwrap()).collect();
    assert_eq!(refused, ["run:run_9", "nonsense"]);
    let task = place.submit("gate", json!({})).await;
    let running = tab.until(|frame| has(frame, "tasks", &task, "running")).await;
    assert_eq!((&running["topic"], running["cursor"].is_string()), (&json!("tasks"), true));
    place.gate.notify_one();
    tab.until(|frame| has(frame, "tasks", &task, "succeeded")).await;
    place.post("/api/v1/queues/ml/pause", Value::Null).await.json(200);
    let paused = tab.until(|frame| frame["topic"] == "queues").await;
    assert_eq!(paused["gates"], json!([{ "kind": "queue", "name": "ml", "paused": true }]));

    let flow = "name: flow\nsteps:\n  one: { worker: gate }\n  two: { needs: [one], worker: echo }\n";
    place.post("/api/v1/runs", json!({ "source": flow })).await.json(201);
    tab.until(|frame| has(frame, "runs", "run_1", "running")).await;
    tab.follow(&["run:run_1"], None).await;
    tab.send(&json!({ "unsubscribe": ["tasks"] })).await;
    place.gate.notify_one();
    let steps = tab.until(|frame| frame["topic"] == "run:run_1" && frame["run"]["state"] == "succeeded").await;
    assert!(steps["steps"].as_array().is_none_or(|steps| steps.iter().all(|step| step["run"] == "run_1")), "{steps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_continues_at_its_cursor_and_is_told_what_it_cannot_know() {
    let place = Place::new().await;
    let mut first = Tab::open(&place, &place.token).await;
    let cursor = first.follow(&["tasks"], None).await["cursor"].as_str().unwrap().to_owned();
    let mut second = Tab::open(&place, &place.token).await;
    drop(first);
    let task = place.submit("echo", json!({})).await;
    place.get(&format!("/api/v1/tasks/{task}?wait_ms=20000")).await.json(200);
    let answer = second.follow(&["tasks"], Some(&cursor)).await;
    assert_eq!(answer.get("resync"), None, "{answer}");
    second.until(|frame| has(frame, "tasks", &task, "succeeded")).await;
    for lost in ["1-1", "nonsense"] {
        let answer = second.follow(&["tasks"], Some(lost)).await;
        assert_eq!(answer["resync"], true, "{lost}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_sees_its_own_tenant_and_ends_with_its_key() {
    let place = Place::with(Limits::default()).await;
    let (other, id) = place.key("admin", 2).await;
    let mut theirs = Tab::open(&place, &other).await;
    theirs.follow(&["tasks", "runs", "money", "approvals", "workers"], None).await;
    place.submit("echo", json!({})).await;
    place.ask_as(&other, "POST", "/api/v1/tasks", json!({ "worker": "echo" })).await.json(201);
    let seen = theirs.next().await.unwrap();
    assert!(seen["tasks"].as_array().unwrap().iter().all(|task| task["id"] == "task_2"), "{seen}");
    place.ask("DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await.json(200);
    let code = loop {
        if let Err(code) = theirs.next().await {
            break code;
        }
    };
    assert_eq!(code, 1008);
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_come_and_go_and_numbers_come_each_second() {
    let place = Place::new().await;
    let mut tab = Tab::open(&place, &place.token).await;
    tab.follow(&["approvals", "stats"], None).await;
    let asks = "name: asks\nsteps:\n  ask: { wait: { approval: 'Well?' } }\n";
    place.post("/api/v1/runs", json!({ "source": asks })).await.json(201);
    let asked = tab.until(|frame| frame["topic"] == "approvals").await;
    let step = asked["tasks"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(asked["tasks"][0]["wait"], "approval");
    let stats = tab.until(|frame| frame["stats"]["counts"]["approvals"] == 1).await;
    assert_eq!((&stats["topic"], &stats["stats"]["counts"]["runs"]["open"]), (&json!("stats"), &json!(1)));
    place.post(&format!("/api/v1/approvals/{step}/approve"), json!({})).await.json(200);
    tab.until(|frame| has(frame, "tasks", &step, "succeeded")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_request_ends_the_socket() {
    let place = Place::new().await;
    let mut tab = Tab::open(&place, &place.token).await;
    tab.send(&json!({ "subscribe": "runs" })).await;
    assert!(tab.next().await.unwrap()["refused"][0]["detail"].as_str().unwrap().contains("subscribe"));
    assert_eq!(tab.next().await, Err(1007));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_reads_along_what_models_write_for_a_task_on_a_host() {
    let text: String = (0..120).map(|at| ["al", "bé", "cü", "d ", "日"][at % 5]).collect();
    let rules = format!("rules: [{{ reply: '{text}', drip: 1, delay_ms: 8 }}]");
    let double = ScriptedOpenai::start(Script::from_yaml(&rules).unwrap()).await.unwrap();
    let place = Place::set_up(Setup { base_url: Some(double.base_url()), ..Setup::default() }).await;
    let host = json!({ "name": "test", "slots": 4, "workers": ["far"] });
    let host = place.post("/api/v1/hosts", host).await.json(201)["id"].as_str().unwrap().to_owned();
    let task = place.submit("far", json!({})).await;
    let claim = json!({ "max_tasks": 1, "wait_ms": 20_000 });
    let claimed = place.post(&format!("/api/v1/hosts/{host}/claim"), claim).await.json(200);
    let claimed = &claimed["tasks"][0];
    let token = claimed["gateway_token"].as_str().unwrap();
    let ask = |stream: bool, said: &str| {
        let body = json!({ "model": "fast", "stream": stream, "messages": [{ "role": "user", "content": said }] });
        place.ask_as(token, "POST", "/v1/chat/completions", body)
    };
    assert_eq!(ask(false, "nobody reads along").await.status, 200);
    assert_ne!(double.calls()[0].body["stream"], true, "an answer is asked whole while nobody reads it");

    let topic = format!("task:{task}");
    let mut tab = Tab::open(&place, &place.token).await;
    tab.follow(&[&topic], None).await;
    // A script with a streamed answer, and a prompt worker of a host, which asks for the whole.
    for (part, stream) in [(1, true), (2, false)] {
        let reading = async {
            let (mut shown, mut pieces) = (String::new(), 0);
            while shown.len() < text.len() {
                let frame = tab.until(|frame| frame["texts"].is_array()).await;
                for piece in frame["texts"].as_array().unwrap() {
                    assert_eq!((&piece["task"], &piece["attempt"]), (&json!(task), &json!(1)), "{piece}");
                    if piece["part"] == part {
                        assert_eq!(piece["offset"], shown.len() as u64);
                        shown += piece["text"].as_str().unwrap();
                        pieces += 1;
                    }
                }
            }
            (shown, pieces)
        };
        let (answer, (shown, pieces)) = tokio::join!(ask(stream, &format!("call {part}")), reading);
        assert_eq!((answer.status, shown.as_str()), (200, text.as_str()));
        assert!(pieces > 2, "it came while it was written, in {pieces} pieces");
        if !stream {
            assert_eq!(answer.json(200)["choices"][0]["message"]["content"], json!(text));
        }
    }
    let outcome = json!({ "reports": [{ "lease_token": claimed["lease_token"], "outcome": "succeed", "output": 1 }] });
    place.post(&format!("/api/v1/hosts/{host}/report"), outcome).await.json(200);
    tab.until(|frame| frame["texts"][0]["ended"] == true).await;
}
