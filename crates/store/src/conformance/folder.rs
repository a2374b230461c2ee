//! Tests that need a store in a folder.

use std::{fs, path::Path};

use kapelle_core::{Name, PayloadId, TaskId, TenantId};
use rusqlite::Connection;

use super::{Scratch, fixtures::*};
use crate::{
    Batch, Blobs, Commit, IdKind, OpenOptions, Page, PayloadBody, Reader, Retention, SCHEMA, SqliteReader, SqliteStore,
    Store, StoreError, TaskFilter, TaskWrite,
};

fn open(folder: &Path) -> (SqliteStore, SqliteReader) {
    SqliteStore::open(folder, OpenOptions::default()).unwrap()
}

fn add(store: &mut SqliteStore, id: i64) {
    let task = task(id);
    let tasks = vec![TaskWrite { task: &task, expected: None }];
    assert_eq!(store.commit(&Batch { tasks, ..Batch::default() }).unwrap(), Commit::Committed);
}

#[test]
fn everything_is_there_after_a_restart_and_ids_go_on_densely() {
    let scratch = Scratch::new();
    let (mut store, _) = open(scratch.path());
    let id = store.ids(IdKind::Task, 3).unwrap();
    add(&mut store, id);
    store.ids(IdKind::Run, 1).unwrap();
    drop(store);
    let (mut store, reader) = open(scratch.path());
    assert_eq!(store.task(TaskId(id)).unwrap().unwrap(), task(id));
    assert_eq!(reader.task(TenantId::DEFAULT, TaskId(id)).unwrap().unwrap(), task(id));
    assert_eq!(store.ids(IdKind::Task, 1).unwrap(), 4);
    assert_eq!(store.ids(IdKind::Run, 1).unwrap(), 1, "it was drawn and never used");
}

#[test]
fn pruned_ids_are_not_given_again_after_a_restart() {
    let scratch = Scratch::new();
    let (mut store, _) = open(scratch.path());
    let id = store.ids(IdKind::Task, 1).unwrap();
    let task = succeeded(id, 5, kapelle_core::Payload::None);
    let tasks = vec![TaskWrite { task: &task, expected: None }];
    store.commit(&Batch { tasks, ..Batch::default() }).unwrap();
    let retention = Retention { tasks_before: NOW, runs_before: NOW, keys_before: NOW, most: 10 };
    store.commit(&Batch { expired: Some(retention), ..Batch::default() }).unwrap();
    assert_eq!(store.task(TaskId(id)).unwrap(), None);
    drop(store);
    assert_eq!(open(scratch.path()).0.ids(IdKind::Task, 1).unwrap(), id + 1);
}

#[test]
fn a_restored_folder_gives_no_id_that_was_given_since_the_backup() {
    let scratch = Scratch::new();
    let (mut store, _) = open(scratch.path());
    add(&mut store, 1);
    drop(store);
    for (floor, first) in [(5_000_000_000, 5_000_000_000), (0, 6_000_000_000), (5_000_000_000, 7_000_000_000)] {
        let options = OpenOptions { ids_from: Some(floor), ..OpenOptions::default() };
        drop(SqliteStore::open(scratch.path(), options).unwrap());
        let (mut store, _) = open(scratch.path());
        for kind in [IdKind::Task, IdKind::Run, IdKind::Call, IdKind::Payload, IdKind::Version, IdKind::Delivery] {
            assert_eq!(store.ids(kind, 1).unwrap(), first, "{kind:?}");
        }
    }
}

#[test]
fn a_second_writer_is_refused_and_told_who_has_the_folder() {
    let scratch = Scratch::new();
    let first = open(scratch.path());
    let second = SqliteStore::open(scratch.path(), OpenOptions::default());
    let Err(StoreError::InUse { holder, .. }) = second else { panic!("{second:?}") };
    assert!(holder.starts_with(&format!("process {}: ", std::process::id())), "{holder}");
    drop(first);
    open(scratch.path());
}

#[test]
fn a_folder_is_read_while_another_writes() {
    let scratch = Scratch::new();
    assert!(matches!(SqliteReader::open_read_only(scratch.path()), Err(StoreError::Io { .. })));
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "reading makes nothing");
    let (mut store, _) = open(scratch.path());
    add(&mut store, 1);
    let reader = SqliteReader::open_read_only(scratch.path()).unwrap();
    add(&mut store, 2);
    let page = Page { before: None, most: 10 };
    assert_eq!(reader.tasks(TenantId::DEFAULT, &TaskFilter::default(), page).unwrap().len(), 2);
    drop(store);
    assert_eq!(reader.tasks(TenantId::DEFAULT, &TaskFilter::default(), page).unwrap().len(), 2);
    let alone = SqliteReader::open_read_only(scratch.path()).unwrap();
    assert_eq!(alone.task(TenantId::DEFAULT, TaskId(2)).unwrap().unwrap(), task(2));
    alone.check().unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_as_it_is() {
    let scratch = Scratch::new();
    drop(open(scratch.path()));
    let path = scratch.path().join("kapelle.db");
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    drop(conn);
    let before = fs::read(&path).unwrap();
    let refused = SqliteStore::open(scratch.path(), OpenOptions::default());
    assert!(matches!(refused, Err(StoreError::Newer { found, .. }) if found == SCHEMA + 1), "{refused:?}");
    assert!(matches!(SqliteReader::open_read_only(scratch.path()), Err(StoreError::Newer { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_of_another_program_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.path().join("kapelle.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(SqliteStore::open(scratch.path(), OpenOptions::default()).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::write(&path, "not a database, but long enough to look at it as one".repeat(100)).unwrap();
    let refused = SqliteStore::open(scratch.path(), OpenOptions::default());
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
}

#[test]
fn a_migration_that_was_cut_is_made_again() {
    let scratch = Scratch::new();
    let path = scratch.path().join("kapelle.db");
    // A kill between opening and migrating leaves an empty file.
    fs::write(&path, "").unwrap();
    let (mut store, _) = open(scratch.path());
    add(&mut store, 1);
}

#[cfg(unix)]
#[test]
fn a_new_folder_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let folder = scratch.path().join("a/.kapelle");
    drop(open(&folder));
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn damage_is_found_and_named() {
    let scratch = Scratch::new();
    let (mut store, reader) = open(scratch.path());
    (1..300).for_each(|id| add(&mut store, id));
    reader.check().unwrap();
    drop((store, reader));
    let path = scratch.path().join("kapelle.db");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 4096 / 2 * 4096;
    bytes[at..].iter_mut().step_by(3).for_each(|byte| *byte ^= 0x5a);
    fs::write(&path, bytes).unwrap();
    let found = SqliteReader::open_read_only(scratch.path()).and_then(|reader| reader.check());
    assert!(matches!(found, Err(StoreError::Damaged { .. })), "{found:?}");
}

#[test]
fn a_payload_in_a_file_reads_back() {
    let scratch = Scratch::new();
    let (mut store, reader) = open(scratch.path());
    let bytes = vec![7; 2 << 20];
    let sha256 = Blobs::open(scratch.path()).unwrap().put(&bytes).unwrap();
    let lost = PayloadBody::File { sha256: "0".repeat(64), bytes: 5 };
    let file = PayloadBody::File { sha256, bytes: bytes.len() as u64 };
    store.commit(&Batch { payloads: vec![(PayloadId(1), file), (PayloadId(2), lost)], ..Batch::default() }).unwrap();
    assert_eq!(reader.payload(PayloadId(1)).unwrap().unwrap(), bytes);
    assert!(matches!(reader.payload(PayloadId(2)), Err(StoreError::Io { .. })));
}

/// The plans of hot queries neither scan nor sort, which would make a long queue slow.
#[test]
fn the_hot_queries_are_searches_in_their_index() {
    let scratch = Scratch::new();
    drop(open(scratch.path()));
    let conn = Connection::open(scratch.path().join("kapelle.db")).unwrap();
    let plan = |sql: &str| -> String {
        let mut query = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = query.query_map([], |row| row.get::<_, String>(3)).unwrap();
        lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    };
    let hot = [
        (
            "SELECT * FROM task INDEXED BY task_open WHERE state = 1 AND state < 10 AND tenant = 1 AND queue = 1 \
             AND worker = 1 AND requires = 7 AND (rank, id) > (4, 5) ORDER BY rank, id LIMIT 6",
            "SEARCH task USING INDEX task_open (state=? AND tenant=? AND queue=? AND worker=? AND requires=? AND rank>?)",
        ),
        (
            "SELECT tenant, queue, worker, requires FROM task INDEXED BY task_open WHERE state = 1 AND state < 10 \
             AND tenant = 1 AND queue = 2 AND worker = 3 AND requires > 4 ORDER BY requires LIMIT 1",
            "SEARCH task USING COVERING INDEX task_open (state=? AND tenant=? AND queue=? AND worker=? AND requires>?)",
        ),
        (
            "SELECT tenant, queue, worker, requires FROM task INDEXED BY task_open WHERE state = 1 AND state < 10 \
             AND tenant = 1 AND queue = 2 AND worker > 3 ORDER BY worker, requires LIMIT 1",
            "SEARCH task USING COVERING INDEX task_open (state=? AND tenant=? AND queue=? AND worker>?)",
        ),
        (
            "SELECT 1, queue, worker, count(*), requires, min(id) FROM task INDEXED BY task_open \
             WHERE state = 1 AND state < 10 AND tenant = 1 GROUP BY queue, worker, requires",
            "SEARCH task USING COVERING INDEX task_open (state=? AND tenant=?)",
        ),
        (
            "SELECT id FROM task WHERE due_at <= 1 ORDER BY due_at, id LIMIT 2",
            "SEARCH task USING COVERING INDEX task_due (due_at<?)",
        ),
        (
            "SELECT * FROM task INDEXED BY task_held WHERE state = 4 AND reason = 1 ORDER BY rank, id LIMIT 2",
            "SEARCH task USING INDEX task_held (reason=?)",
        ),
        (
            "SELECT id FROM run INDEXED BY run_open WHERE status < 10 AND id > 1 ORDER BY id LIMIT 2",
            "SEARCH run USING INDEX run_open (id>?)",
        ),
        ("SELECT 1 FROM task WHERE input_id = 1", "SEARCH task USING COVERING INDEX task_input (input_id=?)"),
        (
            "SELECT id FROM task WHERE run = 1 AND id > 2 ORDER BY id LIMIT 3",
            "SEARCH task USING COVERING INDEX task_step (run=?); USE TEMP B-TREE FOR ORDER BY",
        ),
    ];
    for (sql, expected) in hot {
        assert_eq!(plan(sql), expected, "{sql}");
    }
}

#[test]
fn names_are_kept_once() {
    let scratch = Scratch::new();
    let (mut store, _) = open(scratch.path());
    for id in 1..50 {
        let task = kapelle_core::task::Task { queue: Name::new(["a", "b"][id as usize % 2]), ..task(id) };
        let tasks = vec![TaskWrite { task: &task, expected: None }];
        store.commit(&Batch { tasks, ..Batch::default() }).unwrap();
    }
    drop(store);
    let conn = Connection::open(scratch.path().join("kapelle.db")).unwrap();
    let names: i64 = conn.query_row("SELECT count(*) FROM name", [], |row| row.get(0)).unwrap();
    assert_eq!(names, 3);
}
