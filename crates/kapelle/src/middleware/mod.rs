//! The built-in middleware: [`Logging`], [`Validation`], [`Metrics`].

mod logging;
mod metrics;
mod validation;

pub use logging::Logging;
pub use metrics::{Figures, Metrics};
pub use validation::Validation;
