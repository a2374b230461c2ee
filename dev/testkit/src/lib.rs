//! Test tools: never part of the shipped binary.

pub mod reference;
pub mod scripted_openai;
