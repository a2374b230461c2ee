//! The workers that ship with Kapelle.
//!
//! - [`prompt`]: workers declared in YAML, answered by a model.
//! - [`offline`]: classical methods that answer where no model can be asked.
//! - [`builtin`]: plain workers, one file each.
//! - [`catalogue`]: all of them by name, with the user's own before those that ship.
//! - [`schema`]: JSON Schema with defaults, without the network.

pub mod builtin;
pub mod catalogue;
pub mod inside;
pub mod offline;
pub mod prompt;
pub mod schema;
pub mod tenants;

pub use catalogue::Catalogue;
pub use prompt::{PromptDefinition, PromptWorker};
