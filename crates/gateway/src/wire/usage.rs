//! Token counts as the OpenAI formats write them.

use serde_json::Value;

use crate::answer::Usage;

/// Reads `usage` of a chat completion, an embedding or a response. Nothing when there is none, or it counts nothing.
pub(crate) fn read(usage: &Value) -> Option<Usage> {
    let number = |names: &[&str]| names.iter().find_map(|name| usage[*name].as_u64()).unwrap_or(0);
    let input = number(&["prompt_tokens", "input_tokens"]);
    let said = number(&["completion_tokens", "output_tokens"]);
    let total = number(&["total_tokens"]);
    if input == 0 && said == 0 {
        return None;
    }
    // Some providers leave the tokens of thinking out of the answer's count, but not out of the total, nor the bill.
    let output = said.max(total.saturating_sub(input));
    let detail = |names: &[&str], field: &str| names.iter().find_map(|name| usage[*name][field].as_u64()).unwrap_or(0);
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
    }
}
