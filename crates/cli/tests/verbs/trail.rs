//! The audit trail of a real server, changed behind its back.

use std::process::Stdio;

use rusqlite::Connection;

use crate::place::{Place, ended};

/// Makes a folder in which a server has written entries, and has drained.
fn audited(entries: usize) -> Place {
    let place = Place::new();
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0", "-v"]);
    let log = std::fs::File::create(place.path("server.log")).unwrap();
    let mut server = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut line = String::new();
    let mut lines = std::io::BufReader::new(server.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
    for number in 0..entries {
        let said = place.kapelle(&["keys", "create", &format!("key{number}"), "--role", "viewer"]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    place.run("kill", &["-TERM", &server.id().to_string()]);
    ended(&mut server);
    place
}

fn sql(place: &Place, text: &str) {
    Connection::open(place.path(".kapelle/kapelle.db")).unwrap().execute_batch(text).unwrap();
}

#[test]
fn a_trail_that_was_cut_edited_or_put_back_is_told() {
    let place = audited(6);
    let whole = place.kapelle(&["audit", "verify"]);
    assert!(whole.code == 0 && whole.out.contains("6 entries") && whole.err.contains("entry 6"), "{whole:?}");
    let from_log = place.kapelle(&["audit", "verify", "--heads", "server.log"]);
    assert_eq!(from_log.code, 0, "{from_log:?}");
    sql(&place, "PRAGMA wal_checkpoint(TRUNCATE)");
    let copy = std::fs::read(place.path(".kapelle/kapelle.db")).unwrap();
    let restore = || {
        for name in ["kapelle.db-wal", "kapelle.db-shm"] {
            let _ = std::fs::remove_file(place.path(".kapelle").join(name));
        }
        std::fs::write(place.path(".kapelle/kapelle.db"), &copy).unwrap();
    };

    sql(&place, "DELETE FROM audit WHERE seq > 4");
    place.kapelle(&["audit", "verify"]).refused(1, &["entries 5 to 6 are missing", "cut off", "session.log line"]);
    // Without the lines beside the database, the log of the process has the heads.
    let session = std::fs::read_to_string(place.path(".kapelle/session.log")).unwrap();
    let without: String =
        session.lines().filter(|line| !line.contains("audit_head")).map(|line| format!("{line}\n")).collect();
    std::fs::write(place.path(".kapelle/session.log"), without).unwrap();
    let unknown = place.kapelle(&["audit", "verify"]);
    assert!(unknown.code == 0 && unknown.err.contains("would go unnoticed"), "{unknown:?}");
    place.kapelle(&["audit", "verify", "--heads", "server.log"]).refused(1, &["entries 5 to 6 are missing"]);
    std::fs::write(place.path(".kapelle/session.log"), &session).unwrap();

    restore();
    sql(&place, "UPDATE audit SET actor = 'somebody' WHERE seq = 2");
    place.kapelle(&["audit", "verify"]).refused(1, &["entry 2 was changed"]);
    restore();
    sql(&place, "DELETE FROM audit WHERE seq = 3");
    place.kapelle(&["audit", "verify"]).refused(1, &["entry 3 is missing"]);
    restore();
    sql(&place, "DELETE FROM audit");
    place.kapelle(&["audit", "verify"]).refused(1, &["entries 1 to 6 are missing"]);
    restore();
    // A forged head.
    let forged = session.replace("\"head\":\"6:", "\"head\":\"5:");
    std::fs::write(place.path(".kapelle/session.log"), forged).unwrap();
    place.kapelle(&["audit", "verify"]).refused(1, &["the line was changed"]);
    std::fs::write(place.path(".kapelle/session.log"), &session).unwrap();
    assert_eq!(place.kapelle(&["audit", "verify"]).code, 0);
    place.kapelle(&["audit", "verify", "--heads", "nowhere"]).refused(3, &["nowhere"]);
}
