//! Test tools: never part of the shipped binary.

pub mod children;
pub mod hostile;
pub mod reference;
pub mod rng;
pub mod scripted_openai;
pub mod smtp;
