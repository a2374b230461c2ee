//! Choice of the pool member that gets the next task. A balancer sees the load of the members and returns one of them;
//! it is deterministic, so that the same history leads to the same choice.

mod balancer;
mod fastest;
mod least_loaded;
mod round_robin;

pub use balancer::{Balancer, Load, built_in};
pub use fastest::Fastest;
pub use least_loaded::LeastLoaded;
pub use round_robin::RoundRobin;
