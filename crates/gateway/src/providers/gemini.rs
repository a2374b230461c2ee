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

/// It has no responses and no probabilities of tokens.
pub(crate) fn parts(provider: &Provider) -> Result<Parts, ConfigError> {
    Ok(Parts {
        base: Some(BASE_URL.to_owned()),
        key_env: Some(provider.api_key_env.clone().unwrap_or_else(|| "GEMINI_API_KEY".to_owned())),
        auth: Auth::Bearer,
        dialect: Box::new(OpenaiFormat { features: features() }),
    })
}

/// What Google's addresses in this format can do; Vertex has no embeddings besides.
pub(crate) fn features() -> Features {
    Features::all().without(&[Feature::Responses, Feature::Logprobs])
}
