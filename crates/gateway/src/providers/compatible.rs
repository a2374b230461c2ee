//! Any server that speaks OpenAI's format: Ollama, vLLM, mistral.rs, or your own gateway.

use super::{
    format::OpenaiFormat,
    server::{Auth, Parts},
};
use crate::{
    config::{ConfigError, Provider},
    wire::Features,
};

/// Builds the parts of the provider. The address is required; features that the server lacks stand under `supports`.
pub(crate) fn parts(provider: &Provider) -> Result<Parts, ConfigError> {
    Ok(Parts {
        base: None,
        key_env: provider.api_key_env.clone(),
        auth: Auth::Bearer,
        dialect: Box::new(OpenaiFormat { features: Features::of_openai() }),
    })
}
