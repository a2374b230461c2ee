//! The history for charts: collected in memory as tasks end, written every 10 seconds to a file of its own.

mod recorder;
mod series;
mod system;

pub(crate) use recorder::Recorder;
pub(crate) use series::time;
