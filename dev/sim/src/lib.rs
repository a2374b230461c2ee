//! A seeded simulation of the engine: an equal seed always gives an equal story. Stories include crashes before and
//! after commits, full disks, conflicts, lost and late messages, silent hosts, dying workers and jumping clocks.
//!
//! A seed draws its options first, so that most seeds have only some of the faults (swarm testing). In the first phase
//! faults happen, and every commit and every answer is checked against the laws. In the second phase they stop, and
//! everything must end. A test of the tests plants known bugs, and each must be caught.

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
mod paid;
mod plan;
mod record;
mod server;
mod steer;
mod store;
mod study;
mod world;
mod write;

use kapelle_hunt::rng;

pub use ledger::{Calls, Ledger};
pub use paid::record_paid;
pub use record::{Recording, record};
pub use study::Simulation;
pub use world::{Story, simulate};
