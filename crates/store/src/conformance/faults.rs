//! Planned faults, and two writers on one state.

use kapelle_core::{TaskId, task::Task};

use super::fixtures::*;
use crate::{Batch, Commit, Fault, IdKind, MemStore, Store, StoreError, TaskWrite};

fn add(store: &mut MemStore, task: &Task) -> Result<Commit, StoreError> {
    let tasks = vec![TaskWrite { task, expected: None }];
    store.commit(&Batch { tasks, ..Batch::default() })
}

#[test]
fn each_fault_does_what_it_says() {
    let plan = [Fault::None, Fault::Conflict, Fault::Fail, Fault::Full, Fault::ExecuteAndFail, Fault::None];
    let mut store = MemStore::new().with_faults(move |commit| plan[commit as usize]);
    assert_eq!(add(&mut store, &task(1)).unwrap(), Commit::Committed);
    let conflict = Commit::Conflict { tasks: vec![TaskId(2)], runs: vec![], other: false };
    assert_eq!(add(&mut store, &task(2)).unwrap(), conflict);
    assert!(add(&mut store, &task(3)).is_err());
    assert!(matches!(add(&mut store, &task(4)), Err(StoreError::Full(_))));
    assert!(add(&mut store, &task(5)).is_err());
    assert_eq!(add(&mut store, &task(6)).unwrap(), Commit::Committed);
    let written: Vec<i64> = (1..=6).filter(|id| store.task(TaskId(*id)).unwrap().is_some()).collect();
    assert_eq!(written, [1, 5, 6]);
}

#[test]
fn of_two_writers_that_saw_the_same_row_one_wins() {
    let mut one = MemStore::new();
    let mut other = one.share();
    assert_eq!((one.ids(IdKind::Task, 2).unwrap(), other.ids(IdKind::Task, 1).unwrap()), (1, 3));
    add(&mut one, &task(1)).unwrap();
    let claimed = Task { revision: 1, ..running(1) };
    let batch = || Batch { tasks: vec![TaskWrite { task: &claimed, expected: Some(0) }], ..Batch::default() };
    assert_eq!(other.commit(&batch()).unwrap(), Commit::Committed);
    assert!(matches!(one.commit(&batch()).unwrap(), Commit::Conflict { .. }));
    assert_eq!(one.task(TaskId(1)).unwrap().unwrap(), claimed);
}
