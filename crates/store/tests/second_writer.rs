//! Two processes on one folder.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;

use kapelle_store::{OpenOptions, SqliteReader, SqliteStore, StoreError};

const FOLDER: &str = "KAPELLE_TEST_SECOND_WRITER";

#[test]
fn a_second_process_is_refused_and_may_read() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return second(&PathBuf::from(folder));
    }
    let folder = std::env::temp_dir().join(format!("kapelle-second-{}", std::process::id()));
    let first = SqliteStore::open(&folder, OpenOptions::default()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the other process is this test once more")]
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let done = again.args(["--exact", "a_second_process_is_refused_and_may_read", "--nocapture"]).env(FOLDER, &folder);
    let output = done.output().unwrap();
    drop(first);
    let _ = std::fs::remove_dir_all(&folder);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("in use by process {}:", std::process::id())), "{said}");
}

fn second(folder: &std::path::Path) {
    match SqliteStore::open(folder, OpenOptions::default()) {
        Err(error @ StoreError::InUse { .. }) => println!("{error}"),
        other => panic!("{other:?}"),
    }
    SqliteReader::open_read_only(folder).unwrap().check().unwrap();
}
