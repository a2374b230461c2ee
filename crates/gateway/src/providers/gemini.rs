//! The Gemini API through its address in the format of OpenAI.

use super::{
    format::OpenaiFormat,
    server::{Auth, Parts},
};
use crate::{
    config::{ConfigError, Provider},
    wire::{Feature, Features},
};

const BASE_URL: &str = "https://generativelanguage.googleapis.com/v1beta/openai";

/// Builds the parts of the provider, without responses and log probabilities.
pub(crate) fn parts(provider: &Provider) -> Result<Parts, ConfigError> {
    Ok(Parts {
        base: Some(BASE_URL.to_owned()),
        key_env: Some(provider.api_key_env.clone().unwrap_or_else(|| "GEMINI_API_KEY".to_owned())),
        auth: Auth::Bearer,
        dialect: Box::new(OpenaiFormat { features: features() }),
    })
}

/// Returns the features of Google's OpenAI-compatible addresses; Vertex lacks embeddings, too.
pub(crate) fn features() -> Features {
    Features::of_openai().without(&[Feature::Responses, Feature::Logprobs])
}
