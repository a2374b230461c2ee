//! A seeded simulation of the engine: the same seed lives through the same story, among crashes before and after
//! commits, full disks, conflicts, lost and late messages, silent hosts, dying workers and jumping clocks.
//!
//! A seed draws its options first, so that most seeds know only some of the faults (swarm testing). In the first phase
//! the faults happen, and every commit and every answer is held against the laws. In the second phase they stop, and
//! everything must come to its end. A test of the tests plants known bugs, and each must be caught.

mod attempt;
mod client;
mod disk;
mod drain;
mod draw;
mod flow;
mod host;
mod laws;
mod ledger;
mod moment;
mod net;
mod plan;
mod server;
mod steer;
mod store;
mod study;
mod world;
mod write;

use kapelle_hunt::rng;

pub use ledger::{Calls, Ledger};
pub use study::Simulation;
pub use world::{Story, simulate};
