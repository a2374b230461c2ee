//! Hostile requests to `/v1`, equal for an equal seed.

use serde_json::{Map, Value, json};

use crate::rng::{Rng, mix};

/// A request to `/v1`.
#[derive(Debug)]
pub struct Asked {
    /// Path and query.
    pub path: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Bytes to send; often JSON.
    pub body: Vec<u8>,
}

/// Field names that redirect other gateways, that belong to real requests, and that are not names at all.
const NAMES: [&str; 64] = [
    "api_base",
    "base_url",
    "api_key",
    "endpoint",
    "url",
    "host",
    "headers",
    "extra_headers",
    "extra_body",
    "proxy",
    "organization",
    "litellm_params",
    "fallbacks",
    "custom_llm_provider",
    "metadata",
    "user",
    "input",
    "tools",
    "stream",
    "stream_options",
    "messages",
    "model",
    "n",
    "max_tokens",
    "response_format",
    "store",
    "azure_endpoint",
    "aws_region",
    "vertex_project",
    "api_version",
    "redirect",
    "server_url",
    "callbacks",
    "provider",
    "route",
    "Host",
    "authorization",
    "x-forwarded-host",
    "content",
    "role",
    "type",
    "text",
    "image_url",
    "file_url",
    "file_id",
    "file_data",
    "function",
    "parameters",
    "$ref",
    "$schema",
    "tool_choice",
    "instructions",
    "previous_response_id",
    "include",
    "reasoning",
    "temperature",
    "seed",
    "logit_bias",
    "__proto__",
    "",
    "\r\nHost: evil",
    "//evil",
    "é",
    "\u{0}",
];
const ODD: [&str; 12] = [
    "",
    "\u{0}",
    "\r\nx-api-key: 1",
    "../../../../etc/passwd",
    "{{ 7*7 }}",
    "${OPENAI_API_KEY}",
    "data:image/png;base64,",
    "data:image/png;base64,%%%",
    "\u{202e}evil",
    "NaN",
    "[DONE]",
    "data: {\"choices\":[]}\n\n",
];
const HEADERS: [&str; 16] = [
    "x-forwarded-host",
    "x-forwarded-for",
    "forwarded",
    "openai-organization",
    "openai-project",
    "api-key",
    "x-api-key",
    "anthropic-version",
    "x-portkey-custom-host",
    "helicone-target-url",
    "x-openai-api-base",
    "x-base-url",
    "location",
    "x-kapelle-cache",
    "accept-encoding",
    "proxy-authorization",
];

/// Random requests, equal for an equal seed.
#[derive(Debug, Clone)]
pub struct Dice(pub Rng);

impl Dice {
    /// Makes the generator of one request of a seed.
    #[must_use]
    pub fn of(seed: u64, number: u64) -> Dice {
        Dice(Rng::new(seed.wrapping_add(mix(number))))
    }

    /// Draws a number below `sides`; zero when it is zero.
    pub fn below(&mut self, sides: usize) -> usize {
        self.0.place(sides)
    }

    fn of_all<'a>(&mut self, all: &'a [&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Draws true once in that many times.
    fn once_in(&mut self, times: u64) -> bool {
        self.0.once_in(times)
    }

    /// Draws a request: a valid one of some operation, changed in places, or not JSON at all.
    pub fn request(&mut self, evil: &str, token: &str) -> Asked {
        let operation = self.below(3);
        let mut path = ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"][operation].to_owned();
        if self.once_in(10) {
            path += &format!("?api_base={evil}&base_url={evil}/v1&model=evil");
        }
        let mut body = self.good(operation, evil);
        for _ in 0..self.below(5) {
            self.change(&mut body, evil, 0);
        }
        let mut bytes = body.to_string().into_bytes();
        if self.once_in(8) {
            self.garble(&mut bytes);
        }
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {token}"))];
        let kind = if self.once_in(12) {
            self.of_all(&["text/plain", "application/x-www-form-urlencoded", ""])
        } else {
            "application/json"
        };
        headers.push(("content-type".to_owned(), kind.to_owned()));
        for _ in 0..self.below(3) {
            let value = [evil, &format!("{evil}/v1"), "evil.example", "60", "gzip"][self.below(5)].to_owned();
            headers.push((self.of_all(&HEADERS).to_owned(), value));
        }
        Asked { path, headers, body: bytes }
    }

    fn model(&mut self, evil: &str) -> String {
        let usual = ["fast", "mixed", "openai/gpt-4o-mini", "azure/mini", "claude/claude-haiku-4-5"];
        let more = ["gemini/gemini-2.5-flash", "local/llama", "smart", "gpt-4o-mini", "ft:gpt-4o-mini:acme::1"];
        let bad = ["p/../../evil", "local/x?url=http://evil", "azure/\r\nHost: evil", "offline", "nobody/x", "local/"];
        match self.below(10) {
            0 => evil.to_owned(),
            1 => self.of_all(&bad).to_owned(),
            2 | 3 => self.of_all(&more).to_owned(),
            _ => self.of_all(&usual).to_owned(),
        }
    }

    /// Builds an honest request, with addresses where they may stand.
    fn good(&mut self, operation: usize, evil: &str) -> Value {
        let mut body = json!({ "model": self.model(evil) });
        match operation {
            0 => body["messages"] = self.conversation(evil),
            1 => body["input"] = if self.once_in(2) { json!(format!("read {evil}")) } else { self.items(evil) },
            _ => body["input"] = if self.once_in(2) { json!("words") } else { json!(["some", evil, "words"]) },
        }
        if self.once_in(3) {
            body["stream"] = json!(true);
        }
        if operation < 2 && self.once_in(4) {
            let parameters = json!({ "type": "object", "$ref": evil });
            let function = json!({ "name": "f", "parameters": parameters, "server_url": evil });
            let tool = json!({ "type": "function", "function": function, "name": "f" });
            body["tools"] = json!([tool]);
        }
        if operation == 0 && self.once_in(5) {
            let schema = json!({ "type": "object", "$schema": evil, "properties": { "a": { "$ref": evil } } });
            body["response_format"] =
                json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": schema } });
        }
        body
    }

    fn conversation(&mut self, evil: &str) -> Value {
        let picture = json!({ "type": "image_url", "image_url": { "url": format!("{evil}/a.png"), "detail": "low" } });
        let file = json!({ "type": "file", "file": { "file_id": evil, "file_data": evil } });
        let call = json!({ "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{}" } });
        match self.below(4) {
            0 => json!([{ "role": "user", "content": [{ "type": "text", "text": "see" }, picture] }]),
            1 => json!([{ "role": "user", "content": [file] }]),
            2 => json!([
                { "role": "system", "content": evil }, { "role": "user", "content": "x" },
                { "role": "assistant", "content": null, "tool_calls": [call] },
                { "role": "tool", "tool_call_id": "call_1", "content": evil },
            ]),
            _ => json!([{ "role": "user", "content": format!("read {evil}") }]),
        }
    }

    fn items(&mut self, evil: &str) -> Value {
        let picture = json!({ "type": "input_image", "image_url": evil, "detail": "auto" });
        match self.below(4) {
            0 => json!([{ "role": "user", "content": [{ "type": "input_text", "text": "see" }, picture] }]),
            1 => json!([{ "role": "user", "content": [{ "type": "input_file", "file_url": evil }] }]),
            2 => json!([
                { "type": "message", "role": "developer", "content": evil },
                { "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}" },
                { "type": "function_call_output", "call_id": "c", "output": evil },
            ]),
            _ => json!([{ "type": "item_reference", "id": evil }]),
        }
    }

    /// Changes the value somewhere.
    fn change(&mut self, value: &mut Value, evil: &str, depth: usize) {
        let deeper = depth < 6 && !self.once_in(3);
        match value {
            Value::Object(map) if deeper && !map.is_empty() => {
                let at = self.below(map.len());
                if let Some((_, inner)) = map.iter_mut().nth(at) {
                    self.change(inner, evil, depth + 1);
                }
            }
            Value::Array(list) if deeper && !list.is_empty() => {
                let at = self.below(list.len());
                self.change(&mut list[at], evil, depth + 1);
            }
            Value::Object(map) => match self.below(4) {
                0 => {
                    let name = map.keys().nth(self.below(map.len())).cloned();
                    name.and_then(|name| map.remove(&name));
                }
                _ => {
                    let name = self.of_all(&NAMES).to_owned();
                    map.insert(name, self.value(evil, depth));
                }
            },
            Value::Array(list) if self.once_in(2) => list.push(self.value(evil, depth)),
            other => *other = self.value(evil, depth),
        }
    }

    fn value(&mut self, evil: &str, depth: usize) -> Value {
        match self.below(if depth > 3 { 7 } else { 10 }) {
            0 => json!(evil),
            1 => json!(format!("{evil}/v1")),
            2 => json!([0, 1, -1, 2, 1_000_000_000_000_i64][self.below(5)]),
            3 => json!([1e300, -0.5, 0.1, 18_446_744_073_709_551_615.0][self.below(4)]),
            4 => Value::from(self.once_in(2)),
            5 => Value::Null,
            6 => json!(self.of_all(&ODD)),
            7 => (0..self.below(3)).map(|_| self.value(evil, depth + 1)).collect(),
            8 => json!("x".repeat(self.below(20_000))),
            _ => Value::Object(self.fields(evil, depth + 1)),
        }
    }

    /// Draws fields of any name with values of any kind, which lead to `evil` wherever they can.
    pub fn fields(&mut self, evil: &str, depth: usize) -> Map<String, Value> {
        (0..self.below(6)).map(|_| (self.of_all(&NAMES).to_owned(), self.value(evil, depth))).collect()
    }

    /// Garbles the bytes: no JSON, no UTF-8, too deep, repeated.
    fn garble(&mut self, bytes: &mut Vec<u8>) {
        match self.below(7) {
            0 => bytes.truncate(self.below(bytes.len())),
            1 => {
                for _ in 0..=self.below(4) {
                    let at = self.below(bytes.len());
                    bytes[at] = (self.0.draw() & 255) as u8;
                }
            }
            2 => {
                let deep = 10_000;
                *bytes = [
                    b"{\"model\":\"fast\",\"messages\":",
                    "[".repeat(deep).as_bytes(),
                    "]".repeat(deep).as_bytes(),
                    b"}",
                ]
                .concat();
            }
            3 => bytes.splice(1..1, br#""model":"fast","model":"mixed","stream":true,"#.iter().copied()).for_each(drop),
            4 => bytes.extend_from_slice(b" {\"model\":\"fast\"}"),
            5 => bytes.splice(0..0, "\u{feff}".bytes()).for_each(drop),
            _ => bytes.clear(),
        }
    }
}
