//! workers

pub mod document;
