//! Text of calls with a token while it is written, for those who watch the task of its holder.
//!
//! A call is shown as it arrives, and nothing of it is stored. A task that calls several models at one time shows one
//! call, the first: pieces of several texts would mix.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use kapelle_core::{TaskId, worker::TextSink};
use serde_json::Value;

use crate::{
    access::Holder,
    providers::pieces::chunks,
    wire::{ModelCall, Operation},
};

/// Fields of a request whose answer reads alike whether it was streamed or not. A call with other fields, such as
/// tools, is not asked as a stream behind the back of its caller.
const PLAIN: [&str; 11] = [
    "messages",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "stop",
    "seed",
    "user",
    "metadata",
    "reasoning_effort",
];

/// Tasks that somebody watches.
pub trait WatchedTasks: Send + Sync {
    /// Returns a sink for the text of an attempt; it ends when the sink is dropped. `None` while nobody watches.
    fn sink(&self, task: TaskId, attempt: u32) -> Option<Arc<dyn TextSink>>;
}

/// Sink of a token's holder. It lives as long as the token, so that the calls of an attempt follow one another.
#[derive(Default)]
pub(crate) struct Voice {
    sink: OnceLock<Arc<dyn TextSink>>,
    speaking: AtomicBool,
}

/// Right to show the text of one call.
pub(crate) struct Speaking {
    holder: Arc<Holder>,
    sink: Arc<dyn TextSink>,
}

impl Speaking {
    /// Begins to show a call. `None` when its task is not watched, another call of it is shown, or it has no text that
    /// arrives in pieces.
    pub(crate) fn of(call: &ModelCall, holder: &Arc<Holder>, watched: &dyn WatchedTasks) -> Option<Speaking> {
        if !has_pieces(call) {
            return None;
        }
        let task = holder.grant.task?;
        let voice = &holder.voice;
        let sink = match voice.sink.get() {
            Some(sink) => Arc::clone(sink),
            None => {
                let made = watched.sink(task.task, holder.grant.payer.attempt)?;
                Arc::clone(voice.sink.get_or_init(|| made))
            }
        };
        let free = !voice.speaking.swap(true, Ordering::AcqRel);
        free.then(|| Speaking { holder: Arc::clone(holder), sink })
    }
}

impl TextSink for Speaking {
    fn begin(&self) {
        self.sink.begin();
    }

    fn add(&self, piece: &str) {
        self.sink.add(piece);
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.holder.voice.speaking.store(false, Ordering::Release);
    }
}

/// Reads the text in the events of a streamed answer.
pub(crate) struct Tap {
    speaking: Speaking,
    operation: Operation,
}

impl Tap {
    pub(crate) fn new(speaking: Speaking, operation: Operation) -> Tap {
        speaking.begin();
        Tap { speaking, operation }
    }

    /// Takes whole events, as the caller gets them.
    pub(crate) fn take(&self, events: &[u8]) {
        for event in chunks(events) {
            if let Some(text) = text_of(self.operation, &event) {
                self.speaking.add(text);
            }
        }
    }
}

fn has_pieces(call: &ModelCall) -> bool {
    match call.operation {
        Operation::Embeddings => false,
        _ if call.stream => true,
        Operation::Chat => call.fields.keys().all(|name| PLAIN.contains(&name.as_str())),
        Operation::Responses | Operation::Messages => false,
    }
}

/// Returns the text in an event of a stream. `None` for an event without one.
fn text_of(operation: Operation, event: &Value) -> Option<&str> {
    let text = match operation {
        Operation::Chat => {
            let choices = event["choices"].as_array()?;
            let first = choices.iter().find(|choice| choice["index"].as_u64().unwrap_or(0) == 0)?;
            first["delta"]["content"].as_str()
        }
        Operation::Responses => event["delta"].as_str().filter(|_| event["type"] == "response.output_text.delta"),
        Operation::Messages => event["delta"]["text"].as_str().filter(|_| event["type"] == "content_block_delta"),
        Operation::Embeddings => None,
    };
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use kapelle_core::TenantId;
    use serde_json::json;

    use super::*;
    use crate::{access::Grant, replay::TaskKey};

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl TextSink for Heard {
        fn begin(&self) {
            self.0.lock().unwrap().push(String::new());
        }

        fn add(&self, piece: &str) {
            self.0.lock().unwrap().last_mut().unwrap().push_str(piece);
        }
    }

    struct Watched(Option<Arc<Heard>>);

    impl WatchedTasks for Watched {
        fn sink(&self, _task: TaskId, _attempt: u32) -> Option<Arc<dyn TextSink>> {
            self.0.clone().map(|heard| heard as Arc<dyn TextSink>)
        }
    }

    fn call(operation: Operation, body: &Value) -> ModelCall {
        ModelCall::parse(operation, body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn one_call_of_an_attempt_is_shown_at_a_time_and_only_to_those_who_watch() {
        let task = TaskKey { tenant: TenantId(1), task: TaskId(7), replay_epoch: 0 };
        let holder = Holder::once(Grant::of_task(task, 2));
        let plain = json!({ "model": "fast", "messages": [{ "role": "user", "content": "hi" }] });
        let chat = call(Operation::Chat, &plain);
        assert!(Speaking::of(&chat, &holder, &Watched(None)).is_none());
        let heard = Arc::new(Heard::default());
        let watched = Watched(Some(Arc::clone(&heard)));
        let first = Tap::new(Speaking::of(&chat, &holder, &watched).unwrap(), Operation::Chat);
        assert!(Speaking::of(&chat, &holder, &watched).is_none(), "another is shown");
        first.take(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Gr\"}}]}\n\ndata: [DONE]\n\n");
        first.take("data: {\"choices\":[{\"delta\":{\"content\":\"üße\"}}]}\n\n".as_bytes());
        drop(first);
        Speaking::of(&chat, &holder, &Watched(None)).unwrap().begin();
        assert_eq!(*heard.0.lock().unwrap(), ["Grüße", ""]);
        let daemon = Holder::once(Grant::of(crate::money::Payer::of(TenantId(1), Vec::new())));
        assert!(Speaking::of(&chat, &daemon, &watched).is_none(), "it has no task");
    }

    #[test]
    fn a_call_whose_answer_would_change_is_not_turned_into_a_stream() {
        let mut body = json!({ "model": "fast", "messages": [], "tools": [] });
        assert!(!has_pieces(&call(Operation::Chat, &body)));
        body["stream"] = json!(true);
        assert!(has_pieces(&call(Operation::Chat, &body)));
        assert!(!has_pieces(&call(Operation::Embeddings, &json!({ "model": "e", "input": "x" }))));
    }

    #[test]
    fn text_is_found_in_the_events_of_each_door() {
        let responses = json!({ "type": "response.output_text.delta", "delta": "a" });
        let messages = json!({ "type": "content_block_delta", "delta": { "type": "text_delta", "text": "b" } });
        assert_eq!(text_of(Operation::Responses, &responses), Some("a"));
        assert_eq!(text_of(Operation::Messages, &messages), Some("b"));
        let second = json!({ "choices": [{ "index": 1, "delta": { "content": "c" } }] });
        let arguments = json!({ "type": "response.function_call_arguments.delta", "delta": "{" });
        for (operation, event) in [
            (Operation::Chat, &second),
            (Operation::Responses, &arguments),
            (Operation::Messages, &json!({ "type": "content_block_delta", "delta": { "partial_json": "{" } })),
            (Operation::Embeddings, &second),
        ] {
            assert_eq!(text_of(operation, event), None);
        }
    }
}
