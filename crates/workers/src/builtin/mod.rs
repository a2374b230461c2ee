//! Plain workers, one file each: no model has a part in them.

pub mod keywords;
pub mod language;
pub mod log;
mod markdown;
pub mod report;
pub mod sleep;

pub use keywords::Keywords;
pub use language::Language;
pub use log::Log;
pub use report::Report;
pub use sleep::Sleep;
