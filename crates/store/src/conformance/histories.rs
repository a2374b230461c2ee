//! Keys, versions, attempts and journals.

use std::sync::Arc;

use kapelle_core::{
    Name, RunId, TaskId, TenantId, Timestamp,
    definition::BlockIx,
    run::{Opening, Outcome, RunEvent, ScopeId, SkipReason, Slot},
    task::Attempt,
};

use super::{Rig, fixtures::*, on_every_store};
use crate::{Batch, Commit, Deletion, JournalEntry, KeyReply, KeyRow, KeyWrite, Page, RunWrite, VersionRow};

on_every_store! {
    a_key_stands_for_one_reply_per_tenant,
    a_key_is_forgotten_after_its_time,
    versions_are_numbered_once,
    a_version_goes_unless_somebody_needs_it,
    attempts_come_first_to_last,
    a_journal_is_dense_and_reads_back,
}

fn key(tenant: u32, text: &str, reply: KeyReply, until: i64) -> KeyRow {
    KeyRow { tenant: TenantId(tenant), key: Arc::from(text), body: [7; 32], reply, until: Timestamp(until) }
}

fn keys(rows: Vec<KeyRow>) -> Batch<'static> {
    let used = |row: KeyRow| KeyWrite { at: Timestamp(row.until.0 - 100), row };
    Batch { keys: rows.into_iter().map(used).collect(), ..Batch::default() }
}

fn a_key_stands_for_one_reply_per_tenant(mut rig: Rig) {
    let mine = key(1, "k é", KeyReply::Tasks(TaskId(4), 500), 100);
    let theirs = key(2, "k é", KeyReply::Run(RunId(4)), 100);
    rig.done(&keys(vec![mine.clone()]));
    rig.done(&keys(vec![theirs.clone()]));
    let other = Commit::Conflict { tasks: vec![], runs: vec![], other: true };
    assert_eq!(rig.store.commit(&keys(vec![mine.clone()])).unwrap(), other);
    assert_eq!(rig.store.key(TenantId(1), "k é", Timestamp(0)).unwrap(), Some(mine));
    assert_eq!(rig.store.key(TenantId(2), "k é", Timestamp(0)).unwrap(), Some(theirs));
    assert_eq!(rig.store.key(TenantId(3), "k é", Timestamp(0)).unwrap(), None);
}

fn a_key_is_forgotten_after_its_time(mut rig: Rig) {
    let first = key(1, "k", KeyReply::Run(RunId(1)), 100);
    rig.done(&keys(vec![first.clone()]));
    assert_eq!(rig.store.key(TenantId(1), "k", Timestamp(100)).unwrap(), Some(first));
    assert_eq!(rig.store.key(TenantId(1), "k", Timestamp(101)).unwrap(), None);
    let second = key(1, "k", KeyReply::Fire(Timestamp(2)), 300);
    rig.done(&keys(vec![second.clone()]));
    assert_eq!(rig.store.key(TenantId(1), "k", Timestamp(200)).unwrap(), Some(second));
}

fn a_version_goes_unless_somebody_needs_it(mut rig: Rig) {
    let flow = Name::new("flow");
    let versions = vec![version(1, "flow", 1), version(2, "flow", 2), version(3, "flow", 3)];
    let run = run(1, 2);
    rig.done(&Batch { versions, runs: vec![RunWrite { run: &run, expected: None }], ..Batch::default() });
    let mut deletable = |number| rig.store.deletable(TenantId(1), &flow, number).unwrap();
    assert_eq!(deletable(4), Err(Deletion::Missing));
    assert_eq!(deletable(3), Err(Deletion::Newest));
    assert_eq!(deletable(2), Err(Deletion::Used(1)));
    assert_eq!(deletable(1), Ok(1));
    let gone = |id| Batch { deleted_versions: vec![id], ..Batch::default() };
    let conflict = Commit::Conflict { tasks: vec![], runs: vec![], other: true };
    for needed in [2, 3, 4] {
        assert_eq!(rig.store.commit(&gone(needed)).unwrap(), conflict, "version {needed} is needed or not there");
    }
    rig.done(&gone(1));
    assert_eq!(rig.store.deletable(TenantId(1), &flow, 1).unwrap(), Err(Deletion::Missing));
    assert_eq!(rig.store.version(1).unwrap(), None);
    assert_eq!(rig.store.commit(&gone(1)).unwrap(), conflict, "it is deleted once");
}

fn versions_are_numbered_once(mut rig: Rig) {
    let rows = [version(1, "a", 1), version(2, "b", 1), version(3, "a", 2)];
    let foreign = VersionRow { tenant: TenantId(2), ..version(4, "a", 1) };
    for row in rows.iter().chain([&foreign]) {
        rig.done(&Batch { versions: vec![row.clone()], ..Batch::default() });
    }
    let taken = Batch { versions: vec![version(5, "a", 2)], ..Batch::default() };
    assert!(matches!(rig.store.commit(&taken).unwrap(), Commit::Conflict { other: true, .. }));
    let a = Name::new("a");
    assert_eq!(rig.store.newest_version(TenantId(1), &a).unwrap(), Some(rows[2].clone()));
    assert_eq!(rig.store.newest_version(TenantId(2), &a).unwrap(), Some(foreign));
    assert_eq!(rig.store.newest_version(TenantId(1), &Name::new("c")).unwrap(), None);
    assert_eq!(rig.store.version(2).unwrap(), Some(rows[1].clone()));
    assert_eq!(rig.reader.version(TenantId(2), 2).unwrap(), None);
    let page = |before| Page { before, most: 10 };
    let found = |workflow, before| -> Vec<i64> {
        rig.reader.versions(TenantId(1), workflow, page(before)).unwrap().iter().map(|row| row.id).collect()
    };
    assert_eq!(found(None, None), [3, 2, 1]);
    assert_eq!(found(Some(&a), None), [3, 1]);
    assert_eq!(found(Some(&a), Some(3)), [1]);
}

fn attempts_come_first_to_last(mut rig: Rig) {
    rig.add(&[task(1), task(2)]);
    let attempt = |task, epoch| Attempt {
        task: TaskId(task),
        epoch,
        started_at: NOW,
        ended_at: Timestamp(NOW.0 + 5),
        error: error(&format!("attempt {epoch}")),
    };
    for attempts in [vec![attempt(1, 2), attempt(2, 1)], vec![attempt(1, 10)], vec![attempt(1, 1)]] {
        rig.done(&Batch { attempts, ..Batch::default() });
    }
    assert_eq!(rig.reader.attempts(TaskId(1)).unwrap(), [attempt(1, 1), attempt(1, 2), attempt(1, 10)]);
    assert_eq!(rig.reader.attempts(TaskId(3)).unwrap(), []);
}

fn a_journal_is_dense_and_reads_back(mut rig: Rig) {
    rig.done(&with_runs(&[run(1, 1), run(2, 1)]));
    let (scope, slot, task, at) = (ScopeId(1), Slot(2), TaskId(3), NOW);
    let events = [
        RunEvent::Started { version: 1, at },
        RunEvent::StepStarted { scope, slot, task, signal: Some(Name::new("go")) },
        RunEvent::ScopeOpened { scope, slot, task, opening: Opening::Block(BlockIx(3)) },
        RunEvent::StepSkipped { scope, slot, task, reason: SkipReason::Condition },
        RunEvent::StepEnded { scope, slot, task, outcome: Outcome::Failed },
        RunEvent::ScopeFailed { scope, task, stops: true },
        RunEvent::LoopEnded { scope },
        RunEvent::TailOpened { scope },
        RunEvent::Paused { at },
        RunEvent::Resumed { at },
        RunEvent::ClockPaused { at },
        RunEvent::ClockResumed { at },
        RunEvent::CancelRequested { reason: Arc::from("by hand") },
        RunEvent::Succeeded { at },
        RunEvent::Failed { error: error("no"), at },
        RunEvent::Cancelled { at },
    ];
    let entries: Vec<JournalEntry> = events
        .into_iter()
        .enumerate()
        .map(|(seq, event)| JournalEntry { run: RunId(1), seq: seq as u64, at, event })
        .collect();
    rig.done(&Batch { journal: entries[..4].to_vec(), ..Batch::default() });
    rig.done(&Batch { journal: vec![entry(2, 0)], ..Batch::default() });
    rig.done(&Batch { journal: entries[4..].to_vec(), ..Batch::default() });
    let read = rig.reader.journal(RunId(1), 0, 100).unwrap();
    assert_eq!(read, entries);
    assert!(read.iter().enumerate().all(|(at, entry)| entry.seq == at as u64));
    assert_eq!(rig.reader.journal(RunId(1), 7, 100).unwrap(), entries[7..]);
    assert_eq!(rig.reader.journal(RunId(1), 3, 2).unwrap(), entries[3..5]);
    assert_eq!(rig.reader.journal(RunId(1), u64::MAX, 2).unwrap(), []);
}
