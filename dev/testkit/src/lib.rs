//! Test tools: never part of the shipped binary.

pub mod scripted_openai;
