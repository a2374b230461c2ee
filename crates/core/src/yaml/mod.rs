//! Files that people write: YAML 1.2 (core schema) or JSON, read into a tree in which every value knows its position.
//!
//! Workflows, worker files, the settings of scripts, templates and `kapelle.yaml` are all read here, so that a word has
//! one meaning in all of them and mistakes are reported in one way. [`document`] returns the tree, [`Reader`] the
//! values; [`Table`] lists the keys of a map, and `words` the words of other systems for them.

mod near;
mod node;
mod parse;
mod problem;
mod reader;
mod scalar;
mod shape;
mod shaped;
mod words;
mod words_files;
mod words_workflow;

pub use near::nearest;
pub use node::{Content, Node, Place};
pub use parse::{Document, Form, document};
pub use problem::{Problem, Problems};
pub use reader::{Reader, Trail};
pub use shape::{Key, Shape, Table, key};
