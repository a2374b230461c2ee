//! The one expression language: minijinja behind guards, so that no text a user can write hangs, overflows or fills memory.
//!
//! - [`Expression`]: one bare expression, as in `if:`.
//! - [`Template`]: a JSON tree with `${{ }}` in its strings, as in `with:`.
//! - [`Prompt`]: text with `{{ }}` and statements, as in the files of prompt workers.
//!
//! What is guarded, and where: `token` reads the text and refuses what other languages would write, `guard` adds
//! checks to it (values that must exist, operators that may build large values), `filters` holds the allow-list with
//! its charges, `json` caps what comes out.

mod allowed;
mod context;
mod error;
mod exact;
mod expression;
mod filters;
mod guard;
mod json;
mod lazy;
mod path;
mod program;
mod prompt;
mod stack;
mod template;
mod token;
mod work;

pub use allowed::{filter_names, test_names};
pub use context::{Context, Shared};
pub use error::{ExprError, ExprErrorKind};
pub use expression::Expression;
pub use path::Path;
pub use prompt::Prompt;
pub use template::Template;

/// The longest expression, in bytes.
pub const SOURCE_MAX: usize = 1_024;
/// The longest prompt template, in bytes.
pub const PROMPT_MAX: usize = 64 * 1_024;
/// The largest result of an expression, in bytes of JSON.
pub const RESULT_MAX: usize = 16 << 20;
/// The longest rendered prompt, in bytes.
pub const OUTPUT_MAX: usize = 8 << 20;
