//! Waiting tasks: their order and reason.

use kapelle_core::{
    Name, Requires, TaskId, TenantId, Timestamp,
    cache::CacheKey,
    task::{HoldReason, Task, TaskState},
};

use super::{Rig, fixtures::*, on_every_store};
use crate::{AnswerRow, Batch, Commit, Gate, GateKind, HeldPlace, Lane, Retention};

on_every_store! {
    ready_tasks_come_by_rank_then_id,
    a_page_goes_on_behind_the_last_task,
    lanes_are_those_with_ready_tasks,
    what_is_required_of_hosts_makes_lanes_of_their_own,
    a_claimed_task_leaves_its_lane,
    held_tasks_are_found_by_reason_and_key,
    held_tasks_are_found_by_their_place,
    what_is_paused_is_told_in_its_last_state,
    an_answer_is_found_until_its_time_is_over,
    due_tasks_come_earliest_first,
    running_tasks_are_paged_by_id,
}

fn what_is_required_of_hosts_makes_lanes_of_their_own(mut rig: Rig) {
    let labels = |labels: &[&str]| Requires::parse(labels).unwrap();
    let kinds = [labels(&[]), labels(&["gpu"]), labels(&["gpu", "zone=eu"])];
    for id in 1..=9 {
        let mut task = ready(id, 10 - id);
        let requires = kinds[id as usize % 3].clone();
        task.policy = std::sync::Arc::new(kapelle_core::task::Policy { requires, ..(*task.policy).clone() });
        rig.add(&[task]);
    }
    let lanes = rig.store.lanes().unwrap();
    assert_eq!(lanes.iter().map(|lane| lane.requires.clone()).collect::<Vec<_>>(), kinds);
    for (at, lane) in lanes.iter().enumerate() {
        let found: Vec<i64> = rig.store.ready(lane, None, 10).unwrap().iter().map(|task| task.id.0).collect();
        let mut expected: Vec<i64> = (1..=9).filter(|id| *id as usize % 3 == at).collect();
        expected.reverse();
        assert_eq!(found, expected, "{lane:?}");
    }
    let counts = rig.reader.open_tasks(TenantId::DEFAULT).unwrap();
    assert_eq!(
        counts.iter().map(|count| (count.requires.clone(), count.tasks)).collect::<Vec<_>>(),
        kinds.map(|kind| (kind, 3))
    );
}

fn lane(tenant: u32, queue: &str, worker: &str) -> Lane {
    Lane { tenant: TenantId(tenant), queue: Name::new(queue), worker: Name::new(worker), requires: Requires::default() }
}

fn in_lane(id: i64, lane: &Lane) -> Task {
    Task { tenant: lane.tenant, queue: lane.queue.clone(), worker: lane.worker.clone(), ..task(id) }
}

fn ids(tasks: &[Task]) -> Vec<i64> {
    tasks.iter().map(|task| task.id.0).collect()
}

fn ready_tasks_come_by_rank_then_id(mut rig: Rig) {
    rig.add(&[ready(1, 30), ready(2, 10), ready(3, -5), ready(4, 10), ready(5, i64::MIN), ready(6, i64::MAX)]);
    let lane = lane(1, "default", "noop");
    assert_eq!(ids(&rig.store.ready(&lane, None, 10).unwrap()), [5, 3, 2, 4, 1, 6]);
    assert_eq!(ids(&rig.store.ready(&lane, None, 2).unwrap()), [5, 3]);
    assert_eq!(ids(&rig.store.ready(&lane, None, 0).unwrap()), [0; 0]);
}

fn a_page_goes_on_behind_the_last_task(mut rig: Rig) {
    let tasks: Vec<Task> = (1..=50).map(|id| ready(id, id % 7)).collect();
    rig.add(&tasks);
    let lane = lane(1, "default", "noop");
    let whole = rig.store.ready(&lane, None, 100).unwrap();
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = rig.store.ready(&lane, after, 8).unwrap();
        let Some(last) = page.last() else { break };
        let TaskState::Ready { rank } = last.state else { panic!("{last:?}") };
        after = Some((rank, last.id));
        paged.extend(page);
    }
    assert_eq!(paged, whole);
    assert_eq!(paged.len(), 50);
}

fn lanes_are_those_with_ready_tasks(mut rig: Rig) {
    assert_eq!(rig.store.lanes().unwrap(), []);
    let lanes = [lane(1, "default", "b"), lane(1, "ml", "a"), lane(2, "default", "a"), lane(1, "default", "a")];
    let mut tasks: Vec<Task> = (0..40).map(|n| in_lane(n + 1, &lanes[n as usize % 4])).collect();
    tasks.push(Task { worker: Name::new("idle"), ..running(99) });
    rig.add(&tasks);
    let mut sorted = lanes.to_vec();
    sorted.sort();
    assert_eq!(rig.store.lanes().unwrap(), sorted);
    assert_eq!(rig.store.ready(&lanes[2], None, 100).unwrap().len(), 10);
    assert_eq!(rig.store.ready(&lane(2, "ml", "a"), None, 100).unwrap(), []);
    assert_eq!(rig.store.ready(&lane(1, "unheard", "of"), None, 100).unwrap(), []);
}

fn a_claimed_task_leaves_its_lane(mut rig: Rig) {
    rig.add(&[ready(1, 1), ready(2, 2)]);
    assert_eq!(rig.change(&Task { revision: 1, ..running(1) }, 0), Commit::Committed);
    assert_eq!(ids(&rig.store.ready(&lane(1, "default", "noop"), None, 9).unwrap()), [2]);
    assert_eq!(ids(&rig.store.running(TaskId(0), 9).unwrap()), [1]);
    assert_eq!(rig.change(&Task { revision: 2, ..succeeded(1, 5, row_less()) }, 1), Commit::Committed);
    assert_eq!(rig.store.running(TaskId(0), 9).unwrap(), []);
}

fn row_less() -> kapelle_core::Payload {
    kapelle_core::Payload::None
}

fn held_tasks_are_found_by_reason_and_key(mut rig: Rig) {
    let held = |id, reason, key: Option<&str>, rank| Task {
        key: key.map(Name::new),
        ..in_state(id, TaskState::Held { reason, rank })
    };
    rig.add(&[
        held(1, HoldReason::KeyLimit, Some("a"), 9),
        held(2, HoldReason::KeyLimit, Some("b"), 5),
        held(3, HoldReason::KeyLimit, Some("a"), 1),
        held(4, HoldReason::RateLimit, Some("a"), 0),
        held(5, HoldReason::KeyLimit, None, 7),
        Task { key: Some(Name::new("a")), ..ready(6, 0) },
    ]);
    let mut ask =
        |reason, key: Option<&str>, most| ids(&rig.store.held(reason, key.map(Name::new).as_ref(), most).unwrap());
    assert_eq!(ask(HoldReason::KeyLimit, None, 9), [3, 2, 5, 1]);
    assert_eq!(ask(HoldReason::KeyLimit, None, 2), [3, 2]);
    assert_eq!(ask(HoldReason::KeyLimit, Some("a"), 9), [3, 1]);
    assert_eq!(ask(HoldReason::KeyLimit, Some("a"), 1), [3]);
    assert_eq!(ask(HoldReason::RateLimit, None, 9), [4]);
    assert_eq!(ask(HoldReason::RunPaused, Some("a"), 9), [0; 0]);
}

fn held_tasks_are_found_by_their_place(mut rig: Rig) {
    let held = |id, queue: &str, worker: &str, key: Option<&str>, rank| Task {
        queue: Name::new(queue),
        worker: Name::new(worker),
        key: key.map(Name::new),
        ..in_state(id, TaskState::Held { reason: HoldReason::KeyLimit, rank })
    };
    rig.add(&[
        held(1, "q", "w", Some("a"), 9),
        held(2, "q", "w", Some("a"), 5),
        held(3, "q", "v", Some("a"), 1),
        held(4, "p", "w", Some("a"), 0),
        held(5, "q", "w", None, 7),
        Task { tenant: TenantId(2), ..held(6, "q", "w", Some("a"), 2) },
    ]);
    let (q, w, a) = (Name::new("q"), Name::new("w"), Name::new("a"));
    let place = HeldPlace { tenant: TenantId::DEFAULT, queue: None, worker: None, key: None };
    let mut ask = |place, most| ids(&rig.store.held_in(HoldReason::KeyLimit, place, most).unwrap());
    assert_eq!(ask(place, 9), [4, 3, 2, 5, 1]);
    assert_eq!(ask(HeldPlace { worker: Some(&w), key: Some(&a), ..place }, 9), [4, 2, 1]);
    assert_eq!(ask(HeldPlace { queue: Some(&q), key: Some(&a), ..place }, 2), [3, 2]);
    assert_eq!(ask(HeldPlace { queue: Some(&q), worker: Some(&w), ..place }, 9), [2, 5, 1]);
    assert_eq!(ask(HeldPlace { worker: Some(&Name::new("unheard")), ..place }, 9), [0; 0]);
    let at = |tenant, queue, worker, key: Option<&str>| (lane(tenant, queue, worker), key.map(Name::new));
    let expected = [
        at(1, "p", "w", Some("a")),
        at(1, "q", "v", Some("a")),
        at(1, "q", "w", None),
        at(1, "q", "w", Some("a")),
        at(2, "q", "w", Some("a")),
    ];
    assert_eq!(rig.store.held_lanes(HoldReason::KeyLimit).unwrap(), expected);
    assert_eq!(rig.store.held_lanes(HoldReason::RateLimit).unwrap(), []);
}

fn what_is_paused_is_told_in_its_last_state(mut rig: Rig) {
    let gate = |kind, paused, at| Gate {
        tenant: TenantId::DEFAULT,
        kind,
        name: Name::new("default"),
        paused,
        reason: "by hand".into(),
        at: Timestamp(at),
    };
    let other = Gate { tenant: TenantId(2), ..gate(GateKind::Queue, true, 3) };
    rig.done(&Batch { gates: vec![gate(GateKind::Queue, true, 1), other.clone()], ..Batch::default() });
    let last = [gate(GateKind::Queue, false, 2), gate(GateKind::Worker, true, 2)];
    rig.done(&Batch { gates: last.to_vec(), ..Batch::default() });
    assert_eq!(rig.reader.gates(TenantId::DEFAULT).unwrap(), last);
    assert_eq!(rig.store.gates().unwrap(), [last[0].clone(), last[1].clone(), other]);
}

fn an_answer_is_found_until_its_time_is_over(mut rig: Rig) {
    let key = CacheKey([7; 32]);
    let row = |task, until| AnswerRow { tenant: TenantId::DEFAULT, key, task: TaskId(task), until: Timestamp(until) };
    let mut put = |row| rig.done(&Batch { answers: vec![row], ..Batch::default() });
    put(row(1, 10));
    put(row(2, 20));
    let mut ask = |tenant, now| rig.store.answer(TenantId(tenant), key, Timestamp(now)).unwrap();
    assert_eq!((ask(1, 20), ask(1, 21), ask(2, 0)), (Some(TaskId(2)), None, None));
    let early = Timestamp(i64::MIN);
    let retention = Retention { tasks_before: early, runs_before: early, keys_before: Timestamp(21), most: 10 };
    assert!(!rig.expire(retention));
    assert_eq!(rig.store.answer(TenantId::DEFAULT, key, Timestamp(0)).unwrap(), None);
}

fn due_tasks_come_earliest_first(mut rig: Rig) {
    assert_eq!(rig.store.next_due().unwrap(), None);
    let at = |id, at| in_state(id, TaskState::Scheduled { at: Timestamp(at) });
    rig.add(&[at(1, 30), at(2, 10), at(3, 20), at(4, 10), ready(5, 0), Task { policy: policy(), ..ready(6, 0) }]);
    assert_eq!(rig.store.next_due().unwrap(), Some(Timestamp(10)));
    let mut due =
        |now, most| -> Vec<i64> { rig.store.due(Timestamp(now), most).unwrap().into_iter().map(|id| id.0).collect() };
    assert_eq!(due(9, 9), [0; 0]);
    assert_eq!(due(20, 9), [2, 4, 3]);
    assert_eq!(due(30, 2), [2, 4]);
    assert_eq!(due(NOW.0 + 499, 9), [2, 4, 3, 1]);
    assert_eq!(due(NOW.0 + 500, 9), [2, 4, 3, 1, 6]);
    assert_eq!(rig.change(&Task { revision: 1, ..ready(2, 3) }, 0), Commit::Committed);
    assert_eq!(rig.change(&Task { revision: 1, ..running(4) }, 0), Commit::Committed);
    assert_eq!(rig.store.next_due().unwrap(), Some(Timestamp(20)));
}

fn running_tasks_are_paged_by_id(mut rig: Rig) {
    let lanes = ["c", "a", "b"];
    let tasks: Vec<Task> =
        (1..=9).map(|id| Task { worker: Name::new(lanes[id as usize % 3]), ..running(id) }).collect();
    rig.add(&tasks);
    assert_eq!(ids(&rig.store.running(TaskId(0), 4).unwrap()), [1, 2, 3, 4]);
    assert_eq!(ids(&rig.store.running(TaskId(4), 4).unwrap()), [5, 6, 7, 8]);
    assert_eq!(ids(&rig.store.running(TaskId(8), 4).unwrap()), [9]);
}
