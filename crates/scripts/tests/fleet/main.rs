//! Scripts in a folder, found, started, given tasks, changed, broken and stopped. They are shell scripts, so that
//! nothing else is needed.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

mod found;
mod lives;
mod place;
mod said;
mod tasks;
