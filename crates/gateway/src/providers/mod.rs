//! One file per provider behind one trait ([`dialect::Dialect`]), and their shared parts.
//!
//! | provider | address | key | format |
//! |---|---|---|---|
//! | `openai` | api.openai.com, or any | `Authorization: Bearer` | OpenAI |
//! | `azure` | `{resource}.openai.azure.com/openai/v1` | `api-key` | OpenAI, models are deployments |
//! | `bedrock` | `bedrock-mantle.{region}.api.aws/v1` | `Authorization: Bearer` | OpenAI, no embeddings |
//! | `gemini` | generativelanguage.googleapis.com | `Authorization: Bearer` | OpenAI, no responses |
//! | `vertex` | `{location}-aiplatform.googleapis.com` | a token that is renewed | OpenAI, no responses or embeddings |
//! | `anthropic` | api.anthropic.com | `x-api-key` | Messages, translated both ways |
//! | `compatible` | any | any or none | OpenAI |
//!
//! `bridge` converts responses and messages to chat and back for providers that have only chat.

mod anthropic;
mod azure;
mod bedrock;
pub(crate) mod bridge;
mod compatible;
pub(crate) mod dialect;
mod fault;
pub(crate) mod format;
pub(crate) mod gather;
mod gemini;
pub(crate) mod http;
mod openai;
pub(crate) mod pieces;
mod refused;
mod server;
mod skim;
pub(crate) mod told;
mod vertex;

pub(crate) use fault::{Fault, FaultKind};
pub(crate) use server::Server;
