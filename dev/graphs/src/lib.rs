//! Random workflows, run by the engine and by the reference interpreter side by side.
//!
//! A seed draws a definition, the answers of its workers, and the events of the run: cancels, pauses, signals, deaths
//! of the engine. Whenever the engine is idle, every row it made is compared with the reference, which knows only the
//! order of the events.

mod case;
mod compare;
mod draw;
mod key;
mod partial;
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
