//! One file per wire format, and what they share: faults and the reading of answers.

mod fault;
mod http;
pub mod openai;

pub(crate) use fault::{Fault, FaultKind};
