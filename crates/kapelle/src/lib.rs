//! kapelle
