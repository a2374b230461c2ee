//! The workers that ship with Kapelle.
//!
//! - [`prompt`]: workers declared in YAML, answered by a model.
//! - [`offline`]: classical methods that answer without a model.
//! - [`builtin`]: plain workers, one file each.
//! - [`configured`]: shipped workers that take their settings from a file.
//! - [`catalogue`]: all of them by name; the user's own take precedence over the built-in ones.
//! - [`schema`]: JSON Schema with defaults, without the network.

pub mod builtin;
pub mod catalogue;
pub mod configured;
pub mod inside;
pub mod offline;
pub mod prompt;
pub mod schema;
pub mod tenants;

pub use catalogue::Catalogue;
pub use prompt::{PromptDefinition, PromptWorker};
