//! Workers that are scripts: found in a folder, recognised, started and supervised.
//!
//! - [`discover`]: what each file of a folder is, what it uses, and why it is started or not.
//! - [`fleet`]: the processes of all scripts that are started, their logs, and their tasks.
//! - [`token`]: the tokens with which scripts ask models.

mod answer;
pub mod discover;
pub mod environment;
pub mod fleet;
mod front_matter;
mod hints;
mod imports;
pub mod interpreter;
mod lexer;
pub mod log;
mod naming;
mod packages;
mod redact;
mod requires;
pub mod scan;
pub mod settings;
mod settings_file;
pub mod token;
mod uses;

pub use discover::{Script, Start};
pub use fleet::{Fleet, FleetEvent, FleetOptions};
pub use scan::Scan;
pub use settings::{Mode, Settings};
pub use token::{Access, NoTokens, Shortage, TokenSource};
pub use uses::Uses;
