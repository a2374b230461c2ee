//! Random workflows, run by the engine and by the reference interpreter side by side, state by state.
//!
//! A seed draws a definition, the answers of its workers, and what happens to the run: cancels, pauses, signals, deaths of
//! the engine. Whenever the engine has come to rest, every row it made is held against the reference, which is told in
//! which order things happened, and of nothing else.

mod case;
mod compare;
mod draw;
mod key;
mod script;
mod shrink;
mod stored;
mod study;
mod world;
mod yaml;

use kapelle_hunt::rng;

pub use case::Story;
pub use study::Graphs;
pub use world::{Engine, Held, TENANT, Weather};
