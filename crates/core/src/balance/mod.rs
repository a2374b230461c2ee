//! Which member of a pool gets the next task. A balancer is told what is known of the members and answers with one of
//! them; it is deterministic, so that the same past leads to the same choice.

mod balancer;
mod fastest;
mod least_loaded;
mod round_robin;

pub use balancer::{Balancer, Load, built_in};
pub use fastest::Fastest;
pub use least_loaded::LeastLoaded;
pub use round_robin::RoundRobin;
