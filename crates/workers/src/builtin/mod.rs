//! Plain workers, one file each: they ask no model.

#[cfg(feature = "offline")]
pub mod keywords;
#[cfg(feature = "offline")]
pub mod language;
pub mod log;
mod markdown;
pub mod report;
pub mod sleep;

#[cfg(feature = "offline")]
pub use keywords::Keywords;
#[cfg(feature = "offline")]
pub use language::Language;
pub use log::Log;
pub use report::Report;
pub use sleep::Sleep;
