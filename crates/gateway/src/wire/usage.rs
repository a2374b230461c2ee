//! Token counts as the OpenAI formats write them.

use serde_json::Value;

use crate::answer::Usage;

/// Reads a count. Returns `None` for a text, a fraction or a negative number.
pub(crate) fn count(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|n| n.fract() == 0.0 && *n >= 0.0);
    // A number beyond 64 bits is as wrong as an impossible one within them: the reservation bounds both.
    value.as_u64().or_else(|| float().map(|n| n as u64))
}

/// Reads `usage` of a chat completion, an embedding or a response. Returns `None` when it is missing, or counts
/// nothing. An invalid count is 0, and is estimated by a caller that knows the request.
pub(crate) fn read(usage: &Value) -> Option<Usage> {
    let number = |names: &[&str]| names.iter().find_map(|name| count(&usage[*name])).unwrap_or(0);
    let input = number(&["prompt_tokens", "input_tokens"]);
    let said = number(&["completion_tokens", "output_tokens"]);
    let total = number(&["total_tokens"]);
    if input == 0 && said == 0 {
        return None;
    }
    // Some providers omit the tokens of thinking from the answer's count, but not from the total, nor from the bill.
    let output = if input == 0 { said } else { said.max(total.saturating_sub(input)) };
    let detail = |names: &[&str], field: &str| names.iter().find_map(|name| count(&usage[*name][field])).unwrap_or(0);
    let inputs = ["prompt_tokens_details", "input_tokens_details"];
    let outputs = ["completion_tokens_details", "output_tokens_details"];
    Some(Usage {
        input,
        output,
        cached: detail(&inputs, "cached_tokens").min(input),
        cache_write: 0,
        reasoning: detail(&outputs, "reasoning_tokens").min(output),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_shape_is_read() {
        let chat = json!({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 6}, "completion_tokens_details": {"reasoning_tokens": 3}});
        let want = Usage { input: 10, output: 4, cached: 6, cache_write: 0, reasoning: 3 };
        assert_eq!(read(&chat), Some(want));
        let response = json!({"input_tokens": 10, "output_tokens": 4, "total_tokens": 14,
            "input_tokens_details": {"cached_tokens": 6}, "output_tokens_details": {"reasoning_tokens": 3}});
        assert_eq!(read(&response), Some(want));
        let thinking_apart = json!({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 34});
        assert_eq!(read(&thinking_apart).map(|u| u.output), Some(24));
        assert_eq!(read(&Value::Null), None);
        let odd = json!({"prompt_tokens": "10", "completion_tokens": 4.0, "total_tokens": null,
            "prompt_tokens_details": {"cached_tokens": 99}, "completion_tokens_details": {"reasoning_tokens": 99}});
        assert_eq!(read(&odd), Some(Usage { output: 4, reasoning: 4, ..Usage::default() }));
        for none in [json!(-1), json!(1.5), json!("7"), json!([]), Value::Null] {
            assert_eq!(read(&json!({"prompt_tokens": none, "completion_tokens": none})), None, "{none}");
        }
        assert_eq!(count(&json!(1e30)), Some(u64::MAX));
    }
}
