//! Azure OpenAI and Foundry, the `v1` address: no API version, the model is the name of a deployment.

use super::{
    format::OpenaiFormat,
    server::{Auth, Parts},
};
use crate::{
    config::{ConfigError, Provider},
    wire::Features,
};

/// Builds the parts of the provider. `resource` makes the address `https://{resource}.openai.azure.com/openai/v1`.
pub(crate) fn parts(provider: &Provider) -> Result<Parts, ConfigError> {
    let base = provider.resource.as_ref().map(|name| format!("https://{name}.openai.azure.com/openai/v1"));
    Ok(Parts {
        base,
        key_env: Some(provider.api_key_env.clone().unwrap_or_else(|| "AZURE_OPENAI_API_KEY".to_owned())),
        auth: Auth::Header("api-key"),
        dialect: Box::new(OpenaiFormat { features: Features::of_openai() }),
    })
}
