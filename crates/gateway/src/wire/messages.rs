//! Fields of a request in Anthropic's format, and their checks.

use serde_json::{Map, Value};

use super::{
    Refusal,
    fields::{
        Type::{self, Flag, List, Number, Object, Text, TextOrList, Whole},
        type_of,
    },
};

/// Fields of Anthropic's published request type that are paid by the token.
pub(super) const FIELDS: &[(&str, Type)] = &[
    ("cache_control", Object),
    ("context_management", Object),
    ("max_tokens", Whole),
    ("messages", List),
    ("metadata", Object),
    ("model", Text),
    ("output_config", Object),
    ("output_format", Object),
    ("service_tier", Text),
    ("stop_sequences", List),
    ("stream", Flag),
    ("system", TextOrList),
    ("temperature", Number),
    ("thinking", Object),
    ("tool_choice", Object),
    ("tools", List),
    ("top_k", Whole),
    ("top_p", Number),
];

/// Beginnings of the types of tools that Anthropic defines and the caller runs.
const OF_THE_CALLER: [&str; 3] = ["bash_", "text_editor_", "memory_"];

/// Keys of a tool. An unknown key may be a service of the provider's own.
const TOOL_KEYS: [&str; 11] = [
    "type",
    "name",
    "description",
    "input_schema",
    "input_examples",
    "strict",
    "cache_control",
    "defer_loading",
    "eager_input_streaming",
    "max_characters",
    "allowed_callers",
];

/// Checks the fields that every request has, the tools and the choice among them.
///
/// # Errors
/// A refusal that names the field.
pub(super) fn check(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let longest = fields.get("max_tokens").and_then(Value::as_f64);
    if longest.is_none_or(|tokens| tokens < 1.0) {
        let message = "`max_tokens`: required; expected a whole number of tokens, at least 1".to_owned();
        return Err(Refusal::invalid("max_tokens", message));
    }
    if fields.get("messages").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let message = "`messages`: required; expected a list with at least one message".to_owned();
        return Err(Refusal::invalid("messages", message));
    }
    tools(fields)?;
    choice(fields)
}

/// Allows only tools that the caller runs: any other runs at the provider, and is not paid by the token.
fn tools(fields: &Map<String, Value>) -> Result<(), Refusal> {
    for (at, tool) in fields.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let Some(keys) = tool.as_object() else {
            let message = format!("`tools[{at}]`: wrong type; expected an object, got {}", type_of(tool));
            return Err(Refusal::typed("tools", message));
        };
        let kind = match keys.get("type") {
            None | Some(Value::Null) => "custom",
            Some(Value::String(kind)) => kind.as_str(),
            Some(_) => "?",
        };
        let hosted = |what: &str| {
            let what: String = what.chars().take(40).collect();
            let why =
                format!("`tools[{at}]`: `{what}` runs at the provider and is not paid by the token; leave it out");
            Err(Refusal::invalid("tools", why))
        };
        if kind != "custom" && !OF_THE_CALLER.iter().any(|begins| kind.starts_with(begins)) {
            return hosted(kind);
        }
        if let Some(key) = keys.keys().find(|key| !TOOL_KEYS.contains(&key.as_str())) {
            return hosted(key);
        }
        let named = keys.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        if !named || (kind == "custom" && !keys.get("input_schema").is_some_and(Value::is_object)) {
            let message = format!("`tools[{at}]`: expected a `name` and an object as `input_schema`");
            return Err(Refusal::invalid("tools", message));
        }
    }
    Ok(())
}

fn choice(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(choice) = fields.get("tool_choice").filter(|choice| !choice.is_null()) else { return Ok(()) };
    let refused = |message: String| Err(Refusal::invalid("tool_choice", message));
    match choice["type"].as_str().unwrap_or("") {
        "auto" | "any" | "none" => Ok(()),
        "tool" => {
            let name = choice["name"].as_str().unwrap_or("");
            let mut tools = fields.get("tools").and_then(Value::as_array).into_iter().flatten();
            if tools.any(|tool| tool["name"] == name) {
                return Ok(());
            }
            let name: String = name.chars().take(80).collect();
            refused(format!("`tool_choice.name`: no tool `{name}` in `tools`; expected the name of one of them"))
        }
        other => {
            let other: String = other.chars().take(40).collect();
            refused(format!("`tool_choice.type`: expected auto, any, tool or none, got `{other}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Feature, ModelCall, Operation};
    use serde_json::json;

    fn parsed(more: Value) -> Result<ModelCall, Refusal> {
        let mut body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ModelCall::parse(Operation::Messages, body.to_string().as_bytes())
    }

    #[test]
    fn what_the_sdks_send_is_known() {
        let call = parsed(json!({
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}], "stream": true,
            "temperature": 0.5, "top_k": 4, "top_p": 1, "stop_sequences": ["END"], "metadata": {"user_id": "u"},
            "thinking": {"type": "enabled", "budget_tokens": 5}, "service_tier": "auto",
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}},
                {"type": "bash_20250124", "name": "bash"}],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
            "output_config": {"effort": "low"}, "context_management": {"edits": []},
            "messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}],
        }))
        .unwrap();
        assert_eq!((call.longest_answer(), call.stream, call.unknown.len()), (Some(9), true, 0));
        assert!(call.needs().has(Feature::Images) && call.needs().has(Feature::Tools));
        assert_eq!(parsed(json!({"api_base": "http://evil"})).unwrap().unknown, ["api_base"]);
    }

    #[test]
    fn a_bad_request_says_which_field() {
        for (more, field) in [
            (json!({"max_tokens": null}), "max_tokens"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_tokens": "9"}), "max_tokens"),
            (json!({"messages": []}), "messages"),
            (json!({"messages": "hi"}), "messages"),
            (json!({"model": ""}), "model"),
            (json!({"tool_choice": "auto"}), "tool_choice"),
            (json!({"tool_choice": {"type": "maybe"}}), "tool_choice"),
            (json!({"tool_choice": {"type": "tool", "name": "f"}}), "tool_choice"),
            (json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}), "tools"),
            (json!({"tools": [{"name": "f"}]}), "tools"),
            (json!({"tools": ["f"]}), "tools"),
            (json!({"tools": [{"name": "f", "input_schema": {}, "url": "http://evil"}]}), "tools"),
            (json!({"mcp_servers": [{"url": "http://evil"}]}), "mcp_servers"),
            (json!({"container": "c"}), "container"),
            (json!({"service_tier": "priority"}), "service_tier"),
        ] {
            let refusal = parsed(more.clone()).unwrap_err();
            assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some(field)), "{more}");
        }
    }
}
