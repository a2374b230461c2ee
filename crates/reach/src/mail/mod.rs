//! `email_dispatcher`: mail over SMTP, each once.

mod delivery;
mod email_dispatcher;
mod message;
mod recipients;
mod template;

pub use email_dispatcher::EmailDispatcher;
