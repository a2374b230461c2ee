//! Files of the data folder are for one user, whatever the mode and mask were before.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
};

use super::place::{PLAIN, Place, TEXT, ended};

/// Returns the files and folders below a folder that another user may read, write or enter.
fn open(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).chain([folder.clone()]) {
            let about = fs::symlink_metadata(&path).unwrap();
            found.extend((about.mode() & 0o077 != 0).then(|| (path.clone(), about.mode() & 0o777)));
            if about.is_dir() && path != folder {
                folders.push(path);
            }
        }
    }
    found
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Returns the command in a shell whose umask is 000.
fn loose(place: &Place, arguments: &[&str]) -> std::process::Command {
    let kapelle = place.command(arguments);
    #[expect(clippy::disallowed_methods, reason = "the binary under test is started here")]
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(kapelle.get_program()).args(arguments);
    command.current_dir(place.path(".")).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("HOME", place.path(".")).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

#[test]
fn a_folder_that_was_there_is_closed_and_so_is_every_file_whatever_the_mask() {
    let place = Place::plain();
    place.file("big.txt", TEXT.repeat(20_000));
    place.file("workers/maker.worker.yaml", "mode: task\n");
    place.file("workers/maker.py", "import json, sys\nopen('made', 'w').write('x')\nprint(json.dumps('made'))\n");
    let data = place.path("dq");
    fs::create_dir(&data).unwrap();
    chmod(&data, 0o755);
    for arguments in [
        vec!["run", "plain.yaml", "--data", "dq", "--input", "text=@big.txt", "--out", "results"],
        vec!["submit", "maker", "--data", "dq", "--wait"],
        vec!["audit", "verify", "--data", "dq"],
    ] {
        let said = loose(&place, &arguments).output().unwrap();
        assert!(said.status.success(), "{arguments:?}: {said:?}");
        assert_eq!(open(&data), [], "after {arguments:?}");
    }
    assert_eq!(open(&place.path("results")), [], "what is written for a run is as private as the folder");
    assert_eq!(fs::metadata(place.path("workers/made")).unwrap().mode() & 0o777, 0o666, "scripts keep the user's mask");
    // A server makes further files: the token, its address, its logs.
    let mut server = loose(&place, &["serve", "--data", "dq", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut lines = std::io::BufReader::new(server.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
    assert!(line.contains("listening"), "{line}");
    assert_eq!(open(&data), []);
    for name in ["kapelle.db", "kapelle.db-wal", "kapelle.db-shm", "lock", "token", "address", "session.log"] {
        assert!(data.join(name).exists(), "{name}");
    }
    place.run("kill", &["-TERM", &server.id().to_string()]);
    ended(&mut server);
    assert_eq!(open(&data), []);
    // Files that were opened to others later are closed by the next start, and `doctor` reports them before.
    for path in ["", "blobs", "kapelle.db", "token", "session.log"] {
        chmod(&data.join(path), if data.join(path).is_dir() { 0o777 } else { 0o666 });
    }
    let doctor = place.kapelle(&["doctor", "--data", "dq"]);
    let line = doctor.out.lines().find(|line| line.contains("permissions")).unwrap();
    assert!(line.contains("mode 0777") && line.contains("readable by others"), "{line}");
    let said = loose(&place, &["run", "plain.yaml", "--data", "dq", "--input", "text=x"]).output().unwrap();
    assert!(String::from_utf8_lossy(&said.stderr).contains("could be read by others"), "{said:?}");
    assert_eq!(open(&data), []);
    let doctor = place.kapelle(&["doctor", "--data", "dq"]).out;
    assert!(doctor.lines().any(|line| line.contains("permissions") && line.contains("mode 0700")), "{doctor}");
}

#[test]
fn a_new_project_is_written_with_the_mask_of_the_user() {
    let place = Place::new();
    assert!(loose(&place, &["init", "shared"]).output().unwrap().status.success());
    assert_eq!(fs::metadata(place.path("shared/kapelle.yaml")).unwrap().mode() & 0o666, 0o666);
}

#[test]
fn another_user_can_neither_read_nor_hold_the_folder() {
    let place = Place::plain();
    if !rustix_root(&place) || !place.has("setpriv") || !place.has("flock") {
        println!("skipped: 1 check of a second user needs root, setpriv and flock");
        return;
    }
    chmod(&place.path("."), 0o755);
    let data = place.path("dq");
    fs::create_dir(&data).unwrap();
    chmod(&data, 0o755);
    assert_eq!(place.kapelle(&["run", "plain.yaml", "--data", "dq", "--input", "text=x"]).code, 0);
    let as_other = |words: &[&str]| {
        #[expect(clippy::disallowed_methods, reason = "a test is another user by a program of the machine")]
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(words).current_dir(place.path("."));
        command.stdin(Stdio::null());
        command
    };
    for file in ["kapelle.db", "session.log", "lock"] {
        let read = as_other(&["cat", &format!("dq/{file}")]).output().unwrap();
        assert!(!read.status.success(), "{file}: {read:?}");
    }
    assert!(!as_other(&["flock", "-n", "dq/lock", "true"]).output().unwrap().status.success());
    // A process that had opened the lock while the folder was open still holds it: that process is named, and not the
    // number in the file.
    chmod(&data, 0o755);
    chmod(&data.join("lock"), 0o644);
    let old = fs::read_to_string(data.join("lock")).unwrap();
    let mut stranger = as_other(&["sh", "-c", "exec 9<dq/lock; flock -x 9; echo held; read end"]);
    let mut stranger = stranger.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(stranger.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut String::new()).unwrap();
    for arguments in
        [["run", "plain.yaml", "--data", "dq", "--input", "text=x"].as_slice(), &["queues", "list", "--data", "dq"]]
    {
        let said = place.kapelle(arguments);
        if arguments[0] == "run" {
            said.refused(5, &["of another user (uid 65534)"]);
        }
        assert!(!said.err.contains(&format!("process {}", old.trim())), "{said:?}");
    }
    let doctor = place.kapelle(&["doctor", "--data", "dq"]).out;
    assert!(doctor.contains("of another user (uid 65534)"), "{doctor}");
    // It ends when its input ends.
    drop(stranger.stdin.take());
    ended(&mut stranger);
}

fn rustix_root(place: &Place) -> bool {
    fs::metadata(place.path(".")).unwrap().uid() == 0
}

#[test]
fn links_in_the_place_of_files_are_not_followed() {
    let place = Place::plain();
    let secret = place.file("elsewhere", "of somebody");
    for name in ["lock", "token", "kapelle.db", "session.log", "calls.taken", "audit.key"] {
        let data = place.path(&format!("of-{name}"));
        fs::create_dir(&data).unwrap();
        symlink(&secret, data.join(name)).unwrap();
        let said = place.kapelle(&["run", "plain.yaml", "--data", data.to_str().unwrap(), "--input", "text=x"]);
        said.refused(1, &["is a link"]);
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "of somebody");
    assert!(PLAIN.contains("plain"));
}
