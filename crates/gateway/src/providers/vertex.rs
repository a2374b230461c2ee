//! Vertex AI through its address in the format of OpenAI. Models are named with their publisher: `google/...`.

use super::{
    format::OpenaiFormat,
    gemini,
    server::{Auth, Parts},
};
use crate::{
    config::{ConfigError, Provider},
    wire::Feature,
};

/// Builds the parts of the provider. `project` and `location` make the address. The key is an OAuth token that ends
/// after an hour: name a file that another program renews (`api_key_file`), which is read for each call.
pub(crate) fn parts(provider: &Provider) -> Result<Parts, ConfigError> {
    let base = provider.project.as_ref().map(|project| {
        let location = provider.location.as_deref().unwrap_or("global");
        let host = match location {
            "global" => "aiplatform.googleapis.com".to_owned(),
            place => format!("{place}-aiplatform.googleapis.com"),
        };
        format!("https://{host}/v1/projects/{project}/locations/{location}/endpoints/openapi")
    });
    Ok(Parts {
        base,
        key_env: Some(provider.api_key_env.clone().unwrap_or_else(|| "VERTEX_ACCESS_TOKEN".to_owned())),
        auth: Auth::Bearer,
        dialect: Box::new(OpenaiFormat { features: gemini::features().without(&[Feature::Embeddings]) }),
    })
}
