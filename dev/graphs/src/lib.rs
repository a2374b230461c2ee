//! Random workflows, run by the engine and by the reference interpreter side by side, state by state.
//!
//! A seed draws a definition, the answers of its workers, and what happens to the run: cancels, pauses, signals, deaths of
//! the engine. Whenever the engine has come to rest, every row it made is held against the reference, which is told in
//! which order things happened, and of nothing else.

mod case;
mod compare;
mod draw;
mod hunt;
mod key;
mod rng;
mod script;
mod shrink;
mod stored;
mod world;
mod yaml;

pub use case::{Story, definition_of, drawn, live};
pub use hunt::{Failure, KEPT, hunt, kept, one};
pub use world::{Engine, Held, TENANT, Weather};
