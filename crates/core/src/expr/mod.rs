//! The expression language: minijinja behind guards, so that no text of a user hangs, overflows or fills memory.
//!
//! - [`Expression`]: one bare expression, as in `if:`.
//! - [`Template`]: a JSON tree with `${{ }}` in its strings, as in `with:`.
//! - [`Prompt`]: text with `{{ }}` and statements, as in the files of prompt workers.
//!
//! Guards: `token` parses the text and refuses the syntax of other languages, `guard` adds checks to it (values that
//! must exist, operators that may build large values), `filters` holds the allow-list with its charges, `json` limits
//! the result.

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

/// Size limit of an expression, in bytes.
pub const SOURCE_MAX: usize = 1_024;
/// Size limit of a prompt template, in bytes.
pub const PROMPT_MAX: usize = 64 * 1_024;
/// Size limit of an expression's result, in bytes of JSON.
pub const RESULT_MAX: usize = 16 << 20;
/// Size limit of a rendered prompt, in bytes.
pub const OUTPUT_MAX: usize = 8 << 20;
