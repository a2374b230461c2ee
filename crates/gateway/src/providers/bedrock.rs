//! AWS Bedrock through its address in the format of OpenAI, with a Bedrock API key.

use super::{
    format::OpenaiFormat,
    server::{Auth, Parts},
};
use crate::{
    config::{ConfigError, Provider},
    wire::{Feature, Features},
};

/// Builds the parts of the provider. `region` makes the address `https://bedrock-mantle.{region}.api.aws/v1`.
pub(crate) fn parts(provider: &Provider) -> Result<Parts, ConfigError> {
    let base = provider.region.as_ref().map(|region| format!("https://bedrock-mantle.{region}.api.aws/v1"));
    let features = Features::of_openai().without(&[Feature::Embeddings, Feature::Audio]);
    Ok(Parts {
        base,
        key_env: Some(provider.api_key_env.clone().unwrap_or_else(|| "AWS_BEARER_TOKEN_BEDROCK".to_owned())),
        auth: Auth::Bearer,
        dialect: Box::new(OpenaiFormat { features }),
    })
}
