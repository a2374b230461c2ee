//! Results of readers.

use kapelle_core::{
    Name, Payload, Requires, RunId, TaskId, TenantId, Timestamp,
    task::{StateKind, Task, TaskState},
};

use super::{Rig, fixtures::*, on_every_store};
use crate::{Batch, LaneCount, Page, RunFilter, TaskFilter, TaskWrite};

on_every_store! {
    tasks_are_listed_newest_first,
    filters_narrow_the_list,
    runs_are_listed_newest_first,
    steps_are_paged_by_id,
    open_tasks_are_counted_by_lane_and_state,
    a_reader_sees_a_turn_whole_once_it_is_committed,
}

const FIRST: Page = Page { before: None, most: 100 };

fn listed(rig: &Rig, filter: &TaskFilter, page: Page) -> Vec<i64> {
    rig.reader.tasks(TenantId::DEFAULT, filter, page).unwrap().iter().map(|task| task.id.0).collect()
}

fn tasks_are_listed_newest_first(mut rig: Rig) {
    let tasks: Vec<Task> = (1..=20).map(task).collect();
    rig.add(&tasks);
    rig.add(&[Task { tenant: TenantId(2), ..task(21) }]);
    let all = TaskFilter::default();
    assert_eq!(listed(&rig, &all, FIRST), (1..=20).rev().collect::<Vec<_>>());
    assert_eq!(listed(&rig, &all, Page { before: Some(15), most: 3 }), [14, 13, 12]);
    assert_eq!(listed(&rig, &all, Page { before: Some(1), most: 3 }), [0; 0]);
}

fn filters_narrow_the_list(mut rig: Rig) {
    rig.done(&with_runs(&[run(1, 1)]));
    let failed = |id, dead| in_state(id, TaskState::Failed { error: error("no"), dead, ended_at: Timestamp(5) });
    rig.add(&[
        task(1),
        step(2, 1, 0),
        failed(3, true),
        failed(4, false),
        Task { queue: Name::new("ml"), ..task(5) },
        Task { worker: Name::new("other"), ..running(6) },
        succeeded(7, 9, Payload::None),
    ]);
    let any = TaskFilter::default;
    let state = |state| TaskFilter { state: Some(state), ..any() };
    assert_eq!(listed(&rig, &any(), FIRST), [7, 6, 5, 4, 3, 1]);
    assert_eq!(listed(&rig, &TaskFilter { steps: true, ..any() }, FIRST), [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(listed(&rig, &state(StateKind::Ready), FIRST), [5, 1]);
    assert_eq!(listed(&rig, &state(StateKind::Failed), FIRST), [4, 3]);
    assert_eq!(listed(&rig, &state(StateKind::Succeeded), FIRST), [7]);
    assert_eq!(listed(&rig, &TaskFilter { dead: true, ..any() }, FIRST), [3]);
    assert_eq!(listed(&rig, &TaskFilter { dead: true, ..state(StateKind::Failed) }, FIRST), [3]);
    assert_eq!(listed(&rig, &TaskFilter { dead: true, ..state(StateKind::Ready) }, FIRST), [0; 0]);
    assert_eq!(listed(&rig, &TaskFilter { queue: Some(Name::new("ml")), ..any() }, FIRST), [5]);
    assert_eq!(listed(&rig, &TaskFilter { worker: Some(Name::new("other")), ..any() }, FIRST), [6]);
    let both = TaskFilter { queue: Some(Name::new("ml")), worker: Some(Name::new("other")), ..any() };
    assert_eq!(listed(&rig, &both, FIRST), [0; 0]);
    assert_eq!(listed(&rig, &TaskFilter { queue: Some(Name::new("unheard")), ..any() }, FIRST), [0; 0]);
}

fn runs_are_listed_newest_first(mut rig: Rig) {
    let mut runs: Vec<_> = (1..=6).map(|id| run(id, 1)).collect();
    runs[2] = ended(runs[2].clone(), 5);
    runs[4].workflow = Name::new("other");
    runs[5].tenant = TenantId(2);
    rig.done(&with_runs(&runs));
    let listed = |filter: &RunFilter, page| -> Vec<i64> {
        rig.reader.runs(TenantId::DEFAULT, filter, page).unwrap().iter().map(|run| run.id.0).collect()
    };
    assert_eq!(listed(&RunFilter::default(), FIRST), [5, 4, 3, 2, 1]);
    assert_eq!(listed(&RunFilter::default(), Page { before: Some(5), most: 2 }), [4, 3]);
    assert_eq!(listed(&RunFilter { open: true, ..RunFilter::default() }, FIRST), [5, 4, 2, 1]);
    let other = RunFilter { workflow: Some(Name::new("other")), open: true, ..RunFilter::default() };
    assert_eq!(listed(&other, FIRST), [5]);
    let unheard = RunFilter { workflow: Some(Name::new("unheard")), ..RunFilter::default() };
    assert_eq!(listed(&unheard, FIRST), [0; 0]);
}

fn steps_are_paged_by_id(mut rig: Rig) {
    rig.done(&with_runs(&[run(1, 1), run(2, 1)]));
    let steps: Vec<Task> = (1..=9).map(|id| step(id, 1, 9 - id as u32)).collect();
    rig.add(&steps);
    rig.add(&[step(10, 2, 0), task(11)]);
    assert_eq!(rig.reader.steps(RunId(1), TaskId(0), 5).unwrap(), steps[..5]);
    assert_eq!(rig.reader.steps(RunId(1), TaskId(5), 5).unwrap(), steps[5..]);
    assert_eq!(rig.reader.steps(RunId(3), TaskId(0), 5).unwrap(), []);
}

fn open_tasks_are_counted_by_lane_and_state(mut rig: Rig) {
    rig.add(&[
        task(1),
        task(2),
        running(3),
        Task { queue: Name::new("ml"), ..task(4) },
        succeeded(5, 5, Payload::None),
        Task { tenant: TenantId(2), ..task(6) },
    ]);
    assert_eq!(rig.reader.open_run_count().unwrap(), 0);
    assert_eq!(rig.reader.busy_tenants().unwrap(), [TenantId::DEFAULT, TenantId(2)]);
    let count = |queue, state, tasks| LaneCount {
        queue: Name::new(queue),
        worker: Name::new("noop"),
        requires: Requires::default(),
        state,
        tasks,
        oldest: NOW,
    };
    let expected = [
        count("default", StateKind::Ready, 2),
        count("default", StateKind::Running, 1),
        count("ml", StateKind::Ready, 1),
    ];
    assert_eq!(rig.reader.open_tasks(TenantId::DEFAULT).unwrap(), expected);
}

/// Readers on other threads never see half a turn: two tasks always carry equal revisions.
fn a_reader_sees_a_turn_whole_once_it_is_committed(rig: Rig) {
    let Rig { mut store, reader, .. } = rig;
    let mut pair = [task(1), task(2)];
    let tasks = pair.iter().map(|task| TaskWrite { task, expected: None }).collect();
    store.commit(&Batch { tasks, ..Batch::default() }).unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < 200 {
                        let seen = reader.tasks(TenantId::DEFAULT, &TaskFilter::default(), FIRST).unwrap();
                        assert_eq!(seen[0].revision, seen[1].revision);
                        assert!(seen[0].revision >= last, "time went backwards");
                        last = seen[0].revision;
                    }
                })
            })
            .collect();
        for revision in 1..=200 {
            pair.iter_mut().for_each(|task| task.revision = revision);
            let tasks = pair.iter().map(|task| TaskWrite { task, expected: Some(revision - 1) }).collect();
            store.commit(&Batch { tasks, ..Batch::default() }).unwrap();
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
