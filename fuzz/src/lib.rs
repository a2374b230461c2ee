//! What the fuzz targets share.
//!
//! - [`grammar`]: expressions and prompts that are nearly right, from bytes.
//! - [`oracle`]: what must hold for every text, beyond that nothing panics.
//! - [`stack`]: makes a stack that overflows a finding with a file, not a process that is gone.

pub mod grammar;
pub mod oracle;
pub mod stack;

#[cfg(not(debug_assertions))]
compile_error!("fuzz with debug assertions and overflow checks: `make fuzz` does");
