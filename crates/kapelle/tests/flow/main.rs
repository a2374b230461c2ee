//! The features of workflows, each through the library over a real folder.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use kapelle::{
    Category, Error, Kapelle, Run, TaskError, TaskId,
    core::{
        TenantId,
        run::{RunEvent, StatusKind, StepOrder},
        task::{StateKind, Task, TaskState, WaitFor},
    },
    engine::EventKind,
    serde_json::{Value, json},
};

mod ends;
mod others;
mod place;
mod shapes;
mod waits;

use place::{Place, outcome, states, steps, until, workers};
