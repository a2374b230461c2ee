//! Needs of a request and features of a provider: a link that lacks a feature is skipped, not tried.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Operation;

/// A feature that some providers lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// `chat/completions`.
    Chat,
    /// `responses`.
    Responses,
    /// `embeddings`.
    Embeddings,
    /// Functions that the model may call.
    Tools,
    /// Answers that match a JSON Schema.
    JsonSchema,
    /// Answers that are any JSON object.
    JsonObject,
    /// Pictures in messages.
    Images,
    /// Recordings in messages or answers.
    Audio,
    /// More than one answer at once (`n`).
    ManyChoices,
    /// Probabilities of tokens.
    Logprobs,
    /// Token counts at the end of a stream (`stream_options`).
    StreamUsage,
    /// `messages`, Anthropic's format.
    Messages,
}

impl Feature {
    const ALL: [Feature; 12] = [
        Feature::Chat,
        Feature::Responses,
        Feature::Embeddings,
        Feature::Tools,
        Feature::JsonSchema,
        Feature::JsonObject,
        Feature::Images,
        Feature::Audio,
        Feature::ManyChoices,
        Feature::Logprobs,
        Feature::StreamUsage,
        Feature::Messages,
    ];

    /// Returns the name in `supports` and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Feature::Chat => "chat",
            Feature::Responses => "responses",
            Feature::Embeddings => "embeddings",
            Feature::Tools => "tools",
            Feature::JsonSchema => "json_schema",
            Feature::JsonObject => "json_object",
            Feature::Images => "images",
            Feature::Audio => "audio",
            Feature::ManyChoices => "many_choices",
            Feature::Logprobs => "logprobs",
            Feature::StreamUsage => "stream_usage",
            Feature::Messages => "messages",
        }
    }
}

/// A set of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(u16);

impl Features {
    /// Returns all features.
    #[must_use]
    pub fn all() -> Features {
        Features::default().with(&Feature::ALL)
    }

    /// Returns the features of a server that speaks OpenAI's format and no other.
    #[must_use]
    pub fn of_openai() -> Features {
        Features::all().without(&[Feature::Messages])
    }

    /// Adds features.
    #[must_use]
    pub fn with(self, features: &[Feature]) -> Features {
        Features(features.iter().fold(self.0, |bits, &f| bits | 1 << f as u16))
    }

    /// Removes features.
    #[must_use]
    pub fn without(self, features: &[Feature]) -> Features {
        Features(features.iter().fold(self.0, |bits, &f| bits & !(1 << f as u16)))
    }

    /// Tells whether the feature is in the set.
    #[must_use]
    pub fn has(self, feature: Feature) -> bool {
        self.0 & (1 << feature as u16) != 0
    }

    /// Returns the needed features that are missing here.
    #[must_use]
    pub fn missing(self, needed: Features) -> Vec<Feature> {
        Feature::ALL.into_iter().filter(|&f| needed.has(f) && !self.has(f)).collect()
    }

    /// Returns the features that a request needs.
    pub(crate) fn needed(operation: Operation, fields: &Map<String, Value>) -> Features {
        let mut needed = Features::default().with(&[match operation {
            Operation::Chat => Feature::Chat,
            Operation::Responses => Feature::Responses,
            Operation::Embeddings => Feature::Embeddings,
            Operation::Messages => Feature::Messages,
        }]);
        let filled = |name: &str| fields.get(name).is_some_and(|v| v.as_array().is_some_and(|list| !list.is_empty()));
        let mut add = |on: bool, feature| {
            if on {
                needed = needed.with(&[feature]);
            }
        };
        add(filled("tools") || filled("functions"), Feature::Tools);
        let format = fields.get("response_format").or_else(|| fields.get("text").and_then(|t| t.get("format")));
        match format.and_then(|f| f["type"].as_str()) {
            Some("json_schema") => add(true, Feature::JsonSchema),
            Some("json_object") => add(true, Feature::JsonObject),
            _ => {}
        }
        add(fields.get("n").and_then(Value::as_u64).is_some_and(|n| n > 1), Feature::ManyChoices);
        add(fields.get("logprobs").is_some_and(|v| v == &Value::Bool(true)), Feature::Logprobs);
        let speaks = fields.get("modalities").and_then(Value::as_array).is_some_and(|l| l.iter().any(|m| m == "audio"));
        let parts = |kinds: &[&str]| {
            let messages = fields.get("messages").or_else(|| fields.get("input")).and_then(Value::as_array);
            let contents = messages.into_iter().flatten().filter_map(|m| m["content"].as_array()).flatten();
            contents.filter_map(|part| part["type"].as_str()).any(|kind| kinds.contains(&kind))
        };
        add(parts(&["image_url", "input_image", "image"]), Feature::Images);
        add(speaks || parts(&["input_audio"]), Feature::Audio);
        needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn needs_are_read_from_the_request() {
        let body = json!({
            "tools": [{"type": "function"}], "n": 2, "response_format": {"type": "json_schema"},
            "messages": [{"role": "user", "content": [{"type": "image_url"}]}],
        });
        let needed = Features::needed(Operation::Chat, body.as_object().unwrap());
        let only = Features::default().with(&[Feature::Chat, Feature::Tools]);
        assert_eq!(only.missing(needed), [Feature::JsonSchema, Feature::Images, Feature::ManyChoices]);
        assert!(Features::of_openai().missing(needed).is_empty());
        let plain = Features::needed(Operation::Embeddings, &Map::new());
        assert_eq!(plain, Features::default().with(&[Feature::Embeddings]));
    }

    #[test]
    fn every_name_is_that_of_its_serialised_form() {
        for feature in Feature::ALL {
            assert_eq!(serde_json::to_value(feature).unwrap(), feature.as_str());
        }
    }
}
