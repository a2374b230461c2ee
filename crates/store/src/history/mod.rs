//! The history of counts and gauges, for charts: a database of its own beside the state, so that a turn never waits for
//! it. Its loss costs nothing but the charts.

mod figures;
mod file;

pub use figures::{Figures, Histogram};
pub use file::{Dimension, History, Mark, Point, Resolution};
