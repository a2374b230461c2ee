//! Identity of a call: its body in canonical form. Headers and the order of keys do not count.

use std::fmt;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::wire::{ModelCall, Operation};

/// SHA-256 of a call in canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Computes the fingerprint of a call. A stream and a whole answer have different bytes, so their fingerprints
    /// differ.
    #[must_use]
    pub fn of(call: &ModelCall) -> Fingerprint {
        let mut text = Vec::with_capacity(512);
        text.extend_from_slice(call.operation.path().join("/").as_bytes());
        text.extend_from_slice(&[0, u8::from(call.stream), u8::from(call.wants_usage)]);
        text.extend_from_slice(call.model.as_bytes());
        text.push(0);
        // In this format they name the caller alone, and the Claude Agent SDK writes a new session into them each time.
        let without = (call.operation == Operation::Messages).then_some("metadata");
        object(&call.fields, without, &mut text);
        if let Some(limit) = call.longest_answer().filter(|_| call.of_worker) {
            text.extend_from_slice(&limit.to_be_bytes());
        }
        // Different texts may be read as the same replacement character.
        for (name, raw) in &call.raw {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(raw.get().as_bytes());
        }
        Fingerprint(Sha256::digest(&text).into())
    }
}

/// Writes a value with the keys of every object sorted.
fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => object(map, None, out),
        Value::Array(list) => {
            out.push(b'[');
            for item in list {
                write(item, out);
                out.push(b',');
            }
            out.push(b']');
        }
        // Writing a scalar into memory cannot fail.
        scalar => drop(serde_json::to_writer(out, scalar)),
    }
}

fn object(map: &Map<String, Value>, without: Option<&str>, out: &mut Vec<u8>) {
    let mut keys: Vec<&String> = map.keys().filter(|key| Some(key.as_str()) != without).collect();
    keys.sort_unstable();
    out.push(b'{');
    for key in keys {
        let _ = serde_json::to_writer(&mut *out, key);
        out.push(b':');
        write(&map[key.as_str()], out);
        out.push(b',');
    }
    out.push(b'}');
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Fingerprint {
        Fingerprint::of(&ModelCall::parse(Operation::Chat, body.as_bytes()).unwrap())
    }

    #[test]
    fn order_and_spaces_do_not_count_and_everything_else_does() {
        let one = of(r#"{"model":"m","messages":[{"role":"user","content":"a"}],"seed":1}"#);
        assert_eq!(one, of(r#"{ "seed":1, "messages":[{"content":"a","role":"user"}], "model":"m" }"#));
        for other in [
            r#"{"model":"n","messages":[{"role":"user","content":"a"}],"seed":1}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"b"}],"seed":1}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"seed":2}"#,
            r#"{"model":"m","messages":[{"role":"user","content":"a"}],"seed":1,"stream":true}"#,
            r#"{"model":"m","messages":[[{"role":"user","content":"a"}]],"seed":1}"#,
        ] {
            assert_ne!(one, of(other), "{other}");
        }
    }
    #[test]
    fn metadata_of_messages_does_not_count() {
        let of = |metadata: &str, operation| {
            let messages = r#""messages":[{"role":"user","content":"a"}]"#;
            let body = format!(r#"{{"model":"m","max_tokens":5,{messages},"metadata":{metadata}}}"#);
            Fingerprint::of(&ModelCall::parse(operation, body.as_bytes()).unwrap())
        };
        let (one, two) = (r#"{"user_id":"session 1"}"#, r#"{"user_id":"session 2"}"#);
        assert_eq!(of(one, Operation::Messages), of(two, Operation::Messages));
        assert_ne!(of(one, Operation::Chat), of(two, Operation::Chat));
    }
}
