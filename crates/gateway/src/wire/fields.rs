//! Request fields that are passed on, by operation, with the type of each.
//!
//! A field outside the list could be charged by something other than tokens (a search), or send data or a key elsewhere
//! (some servers behind a compatible address are gateways themselves). It is sent to a provider only if the
//! configuration names it (`pass`). The lists hold OpenAI's published request types, and the sampling fields of other
//! servers, which change at most the tokens of an answer.

use serde_json::{Map, Value};

use super::{Operation, Refusal, messages};

/// Type of a field. `null` counts as a missing field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Flag,
    Number,
    Whole,
    Object,
    List,
    TextOrList,
    TextOrObject,
    /// A scalar: `keep_alive` of Ollama and `truncate` of some embeddings.
    Scalar,
}

use Type::{Flag, List, Number, Object, Scalar, Text, TextOrList, TextOrObject, Whole};

/// Fields that chat and responses share.
const BOTH: &[(&str, Type)] = &[
    ("cache_control", Object),
    ("metadata", Object),
    ("model", Text),
    ("parallel_tool_calls", Flag),
    ("prompt_cache_key", Text),
    ("prompt_cache_retention", Text),
    ("reasoning", Object),
    ("safety_identifier", Text),
    ("service_tier", Text),
    ("store", Flag),
    ("stream", Flag),
    ("stream_options", Object),
    ("temperature", Number),
    ("tool_choice", TextOrObject),
    ("tools", List),
    ("top_logprobs", Whole),
    ("top_p", Number),
    ("user", Text),
];

const CHAT: &[(&str, Type)] = &[
    ("audio", Object),
    ("frequency_penalty", Number),
    ("function_call", TextOrObject),
    ("functions", List),
    ("logit_bias", Object),
    ("logprobs", Flag),
    ("max_completion_tokens", Whole),
    ("max_tokens", Whole),
    ("messages", List),
    ("modalities", List),
    ("n", Whole),
    ("prediction", Object),
    ("presence_penalty", Number),
    ("reasoning_effort", Text),
    ("response_format", Object),
    ("seed", Whole),
    ("stop", TextOrList),
    ("verbosity", Text),
];

const RESPONSES: &[(&str, Type)] = &[
    ("background", Flag),
    ("context_management", List),
    ("conversation", TextOrObject),
    ("include", List),
    ("input", TextOrList),
    ("instructions", Text),
    ("max_output_tokens", Whole),
    ("max_tool_calls", Whole),
    ("previous_response_id", Text),
    ("prompt", Object),
    ("text", Object),
    ("truncation", Text),
];

/// Fields of other servers that change only how tokens are chosen.
const SAMPLING: &[(&str, Type)] = &[
    ("add_generation_prompt", Flag),
    ("allowed_token_ids", List),
    ("bad_words", List),
    ("chat_template_kwargs", Object),
    ("continue_final_message", Flag),
    ("dynatemp_exponent", Number),
    ("dynatemp_range", Number),
    ("echo", Flag),
    ("enable_thinking", Flag),
    ("grammar", Text),
    ("guided_choice", List),
    ("guided_decoding_backend", Text),
    ("guided_grammar", Text),
    ("guided_json", TextOrObject),
    ("guided_regex", Text),
    ("ignore_eos", Flag),
    ("include_reasoning", Flag),
    ("include_stop_str_in_output", Flag),
    ("keep_alive", Scalar),
    ("length_penalty", Number),
    ("min_p", Number),
    ("min_tokens", Whole),
    ("mirostat", Whole),
    ("mirostat_eta", Number),
    ("mirostat_tau", Number),
    ("prompt_mode", Text),
    ("random_seed", Whole),
    ("reasoning_budget", Whole),
    ("reasoning_format", Text),
    ("reasoning_split", Flag),
    ("repeat_last_n", Whole),
    ("repeat_penalty", Number),
    ("repetition_penalty", Number),
    ("safe_prompt", Flag),
    ("skip_special_tokens", Flag),
    ("spaces_between_special_tokens", Flag),
    ("stop_sequences", List),
    ("stop_token_ids", List),
    ("structured_outputs", Object),
    ("tfs_z", Number),
    ("thinking", Object),
    ("thinking_budget", Whole),
    ("top_a", Number),
    ("top_k", Number),
    ("truncate_prompt_tokens", Whole),
    ("typical_p", Number),
];

const EMBEDDINGS: &[(&str, Type)] = &[
    ("dimensions", Whole),
    ("encoding_format", Text),
    ("input", TextOrList),
    ("input_type", Text),
    ("keep_alive", Scalar),
    ("model", Text),
    ("normalized", Flag),
    ("stream", Flag),
    ("task", Text),
    ("truncate", Scalar),
    ("truncate_prompt_tokens", Whole),
    ("user", Text),
];

/// Fields that Kapelle knows and never passes on: each is refused with its reason in [`refuse_unpriced`].
const REFUSED: &[&str] = &["background", "container", "mcp_servers", "web_search_options"];

/// Keys of a tool. An unknown key may be a tool of the provider's own, such as `google_search`.
const TOOL_KEYS: &[&str] = &[
    "type",
    "function",
    "custom",
    "name",
    "description",
    "parameters",
    "input_schema",
    "format",
    "strict",
    "cache_control",
    "defer_loading",
];

impl Type {
    fn fits(self, value: &Value) -> bool {
        match self {
            Type::Text => value.is_string(),
            Type::Flag => value.is_boolean(),
            Type::Number => value.is_number(),
            Type::Whole => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Type::Object => value.is_object(),
            Type::List => value.is_array(),
            Type::TextOrList => value.is_string() || value.is_array(),
            Type::TextOrObject => value.is_string() || value.is_object(),
            Type::Scalar => value.is_string() || value.is_number() || value.is_boolean(),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Type::Text => "a text",
            Type::Flag => "true or false",
            Type::Number => "a number",
            Type::Whole => "a whole number",
            Type::Object => "an object",
            Type::List => "a list",
            Type::TextOrList => "a text or a list",
            Type::TextOrObject => "a text or an object",
            Type::Scalar => "a text, a number, true or false",
        }
    }
}

fn known(operation: Operation, name: &str) -> Option<Type> {
    let lists: &[&[(&str, Type)]] = match operation {
        Operation::Chat => &[BOTH, CHAT, SAMPLING],
        Operation::Responses => &[BOTH, RESPONSES, SAMPLING],
        Operation::Embeddings => &[EMBEDDINGS],
        Operation::Messages => &[messages::FIELDS],
    };
    lists.iter().flat_map(|list| list.iter()).find(|(own, _)| *own == name).map(|(_, kind)| *kind)
}

/// Returns the request fields that are in no list, in the caller's order.
pub(super) fn unknown(operation: Operation, fields: &Map<String, Value>) -> Vec<String> {
    let is_unknown = |name: &str| known(operation, name).is_none() && !REFUSED.contains(&name);
    fields.iter().filter(|(name, value)| !value.is_null() && is_unknown(name)).map(|(name, _)| name.clone()).collect()
}

/// Checks the types of the known fields, and refuses fields that a budget cannot cover. Those are charged by something
/// other than tokens, or after the answer was delivered.
///
/// # Errors
/// A refusal that names the field.
pub(super) fn check(operation: Operation, fields: &Map<String, Value>) -> Result<(), Refusal> {
    refuse_unpriced(fields)?;
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let Some(kind) = known(operation, name) else { continue };
        if !kind.fits(value) {
            let message = format!("`{name}`: wrong type; expected {}, got {}", kind.as_str(), type_of(value));
            return Err(Refusal::typed(name, message));
        }
    }
    match operation {
        Operation::Messages => messages::check(fields),
        _ => tools(fields),
    }
}

pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn refuse_unpriced(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let set = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
    let no = |field: &str, why: &str| Err(Refusal::invalid(field, why.to_owned()));
    match fields.get("background") {
        None | Some(Value::Null | Value::Bool(false)) => {}
        Some(Value::Bool(true)) => {
            return no("background", "an answer in the background cannot be metered: leave `background` out");
        }
        Some(other) => {
            let message = format!("`background`: wrong type; expected true or false, got {}", type_of(other));
            return Err(Refusal::typed("background", message));
        }
    }
    if fields.get("n").is_some_and(|n| !n.is_null() && n.as_u64().is_none()) {
        return no("n", "`n` is a whole number, for it is paid that many times");
    }
    for field in ["container", "mcp_servers"] {
        if set(field) {
            return no(field, "what runs at the provider is not paid by the token: its cost cannot be capped");
        }
    }
    if set("web_search_options") {
        return no("web_search_options", "web searches are not paid by the token: their cost cannot be capped");
    }
    if let Some(tier) = fields.get("service_tier").and_then(Value::as_str)
        && !["auto", "default", "flex", "on_demand", "standard_only"].contains(&tier)
    {
        let tier: String = tier.chars().take(40).collect();
        let why = format!("the service tier `{tier}` has prices that are not in the table: leave it out");
        return Err(Refusal::invalid("service_tier", why));
    }
    Ok(())
}

/// Allows only the caller's own functions as tools: any other tool runs at the provider.
fn tools(fields: &Map<String, Value>) -> Result<(), Refusal> {
    for name in ["tools", "functions"] {
        for tool in fields.get(name).and_then(Value::as_array).into_iter().flatten() {
            let Some(keys) = tool.as_object() else {
                let message = format!("`{name}`: wrong type of a tool; expected an object, got {}", type_of(tool));
                return Err(Refusal::typed(name, message));
            };
            let kind = match keys.get("type") {
                None | Some(Value::Null) => "function",
                Some(Value::String(kind)) => kind.as_str(),
                Some(_) => "?",
            };
            let hosted = |kind: &str| {
                let kind: String = kind.chars().take(40).collect();
                format!("the tool `{kind}` runs at the provider and is not paid by the token: use `function`")
            };
            if !matches!(kind, "function" | "custom") {
                return Err(Refusal::invalid(name, hosted(kind)));
            }
            if let Some(key) = keys.keys().find(|key| !TOOL_KEYS.contains(&key.as_str())) {
                return Err(Refusal::invalid(name, hosted(key)));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(operation: Operation, body: Value) -> (Vec<String>, Result<(), Option<String>>) {
        let fields = body.as_object().unwrap();
        (unknown(operation, fields), check(operation, fields).map_err(|refusal| refusal.param))
    }

    #[test]
    fn what_the_sdks_and_frameworks_send_is_known() {
        let chat = json!({
            "model": "m", "messages": [], "stream": true, "stream_options": {"include_usage": true}, "store": false,
            "metadata": {"a": "b"}, "user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "verbosity": "low",
            "reasoning": {"effort": "low"}, "reasoning_effort": "low", "service_tier": "auto", "modalities": ["text"],
            "prediction": {"type": "content", "content": "x"}, "parallel_tool_calls": false, "logit_bias": {"1": 2},
            "seed": 1, "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "thinking": {"type": "enabled"},
            "chat_template_kwargs": {"enable_thinking": false}, "tool_choice": "auto", "n": 1, "logprobs": true,
            "top_logprobs": 2, "temperature": 0, "top_p": 1, "stop": ["a"], "presence_penalty": 0,
            "frequency_penalty": 0.5, "max_tokens": 5, "max_completion_tokens": null, "response_format": {"type": "text"},
            "tools": [{"type": "function", "function": {"name": "f"}}], "functions": [], "function_call": "none",
        });
        assert_eq!(checked(Operation::Chat, chat), (vec![], Ok(())));
        let responses = json!({
            "model": "m", "input": [], "instructions": "i", "include": [], "store": true, "truncation": "auto",
            "text": {"format": {"type": "text"}}, "reasoning": {"effort": null}, "max_output_tokens": 9,
            "max_tool_calls": 1, "previous_response_id": "r", "conversation": {"id": "c"}, "prompt": {"id": "p"},
            "background": false, "tools": [{"type": "custom", "name": "c", "format": {"type": "text"}}],
            "context_management": [], "prompt_cache_retention": "24h", "top_logprobs": 0,
        });
        assert_eq!(checked(Operation::Responses, responses), (vec![], Ok(())));
        let embeddings =
            json!({"model": "m", "input": [[1, 2]], "dimensions": 3, "encoding_format": "base64", "user": "u"});
        assert_eq!(checked(Operation::Embeddings, embeddings), (vec![], Ok(())));
    }

    #[test]
    fn everything_else_is_named_in_the_order_of_the_caller() {
        let body = json!({"user_config": {"api_base": "x"}, "messages": [], "search_parameters": {}, "langfuse_host": null, "deployment_id": "d"});
        let names = ["user_config", "search_parameters", "deployment_id"].map(str::to_owned).to_vec();
        assert_eq!(checked(Operation::Chat, body), (names, Ok(())));
        assert_eq!(checked(Operation::Embeddings, json!({"messages": []})).0, ["messages"]);
    }

    #[test]
    fn a_known_field_of_another_type_is_refused_by_name() {
        for (body, field) in [
            (json!({"background": "true"}), "background"),
            (json!({"background": 1}), "background"),
            (json!({"tools": {"type": "web_search"}}), "tools"),
            (json!({"tools": ["web_search"]}), "tools"),
            (json!({"tools": [{"type": ["web_search"]}]}), "tools"),
            (json!({"tools": [{"google_search": {}}]}), "tools"),
            (json!({"tools": [{"type": "function", "function": {}, "web_search": {}}]}), "tools"),
            (json!({"functions": {"web_search": {}}}), "functions"),
            (json!({"service_tier": ["priority"]}), "service_tier"),
            (json!({"service_tier": "priority"}), "service_tier"),
            (json!({"n": "2"}), "n"),
            (json!({"max_tokens": "100"}), "max_tokens"),
            (json!({"max_tokens": 1.5}), "max_tokens"),
            (json!({"messages": "hi"}), "messages"),
            (json!({"stream_options": true}), "stream_options"),
            (json!({"metadata": "x"}), "metadata"),
            (json!({"temperature": "hot"}), "temperature"),
            (json!({"web_search_options": false}), "web_search_options"),
        ] {
            assert_eq!(checked(Operation::Chat, body.clone()).1, Err(Some(field.to_owned())), "{body}");
        }
    }
}
