//! Prompt workers: a YAML file names a model alias, a prompt template and the schemas of input and output.

mod answer;
pub(crate) mod definition;
pub(crate) mod file;
mod template;
mod thoughts;
mod truncate;
mod worker;

pub use definition::PromptDefinition;
pub use template::Template;
pub use worker::PromptWorker;
