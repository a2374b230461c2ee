//! A folder that is open to others is closed, and files that another user may have planted are refused.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use super::Scratch;
use crate::{OpenOptions, SqliteStore, StoreError, private};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn refused(folder: &Path) -> String {
    match SqliteStore::open(folder, OpenOptions::default()) {
        Err(error @ (StoreError::Exposed { .. } | StoreError::Io { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_that_was_open_is_closed_with_all_its_files() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("data");
    drop(SqliteStore::open(&folder, OpenOptions::default()).unwrap());
    fs::create_dir_all(folder.join("logs/workers")).unwrap();
    let files = ["kapelle.db", "kapelle.db-wal", "session.log", "session.log.1", "logs/workers/a.log", "blobs/x"];
    for name in files {
        fs::OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap();
        chmod(&folder.join(name), 0o666);
    }
    for name in ["", "blobs", "logs", "logs/workers"] {
        chmod(&folder.join(name), 0o777);
    }
    let look = private::look(&folder).unwrap();
    assert!(!look.is_closed() && look.open.len() == 9, "{look:?}");
    let (store, _) = SqliteStore::open(&folder, OpenOptions::default()).unwrap();
    for name in files.iter().chain(&["lock", "kapelle.db-shm"]).filter(|name| folder.join(name).exists()) {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
    for name in ["", "blobs", "logs", "logs/workers"] {
        assert_eq!(mode(&folder.join(name)), 0o700, "{name}");
    }
    drop(store);
    assert!(private::look(&folder).unwrap().open.is_empty());
}

#[test]
fn a_folder_with_other_things_keeps_its_mode_and_they_keep_theirs() {
    let scratch = Scratch::new();
    let folder = scratch.path().join("project");
    fs::create_dir(&folder).unwrap();
    fs::create_dir(folder.join(".git")).unwrap();
    fs::write(folder.join("notes.txt"), "x").unwrap();
    for (name, bits) in [("", 0o755), (".git", 0o755), ("notes.txt", 0o644)] {
        chmod(&folder.join(name), bits);
    }
    let notes = private::prepare(&folder).unwrap();
    assert!(notes.len() == 1 && notes[0].contains("holds other files such as"), "{notes:?}");
    drop(SqliteStore::open(&folder, OpenOptions::default()).unwrap());
    let modes = ["", ".git", "notes.txt", "kapelle.db", "lock", "blobs"].map(|name| mode(&folder.join(name)));
    assert_eq!(modes, [0o755, 0o755, 0o644, 0o600, 0o600, 0o700]);
    chmod(&folder, 0o777);
    assert!(refused(&folder).contains("everybody may write to it"));
    chmod(&folder, 0o1777);
    assert!(refused(&folder).contains("everybody may make files in it"));
}

#[test]
fn what_somebody_else_put_in_place_of_a_file_is_refused() {
    let scratch = Scratch::new();
    let secret = scratch.path().join("secret");
    fs::write(&secret, "of somebody").unwrap();
    for name in ["lock", "token", "kapelle.db", "kapelle.db-wal", "session.log", "calls.taken", "address"] {
        let folder = scratch.path().join(format!("of-{name}"));
        fs::create_dir(&folder).unwrap();
        symlink(&secret, folder.join(name)).unwrap();
        assert!(refused(&folder).contains("is a link"), "{name}");
        fs::remove_file(folder.join(name)).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.join(name), rustix::fs::Mode::RUSR).unwrap();
        assert!(refused(&folder).contains("is neither a file nor a folder"), "{name}");
        fs::remove_file(folder.join(name)).unwrap();
        chmod(&folder, 0o777);
        fs::hard_link(&secret, folder.join(name)).unwrap();
        assert!(refused(&folder).contains("second name"), "{name}");
    }
    assert_eq!(fs::read(&secret).unwrap(), b"of somebody");
}

#[test]
fn a_link_of_ones_own_to_the_folder_or_to_another_disk_is_followed() {
    let scratch = Scratch::new();
    let (real, disk) = (scratch.path().join("real"), scratch.path().join("disk"));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&disk).unwrap();
    chmod(&real, 0o755);
    chmod(&disk, 0o755);
    symlink(&disk, real.join("blobs")).unwrap();
    let link = scratch.path().join("link");
    symlink(&real, &link).unwrap();
    drop(SqliteStore::open(&link, OpenOptions::default()).unwrap());
    assert_eq!([mode(&real), mode(&disk)], [0o700, 0o700]);
    if rustix::process::geteuid().is_root() {
        let other = Some(rustix::fs::Uid::from_raw(65_534));
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(rustix::fs::CWD, &link, other, None, flags).unwrap();
        assert!(refused(&link).contains("link of another user (uid 65534)"));
        fs::remove_file(real.join("lock")).unwrap();
        fs::write(real.join("lock"), "").unwrap();
        std::os::unix::fs::chown(real.join("lock"), Some(65_534), None).unwrap();
        assert!(refused(&real).contains("belongs to another user (uid 65534)"));
    }
}
