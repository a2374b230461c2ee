//! Processes from their start to their end.

use crate::place::*;

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_is_tried_again_and_then_left_alone_until_it_is_asked_for() {
    let mut place = Place::new("crash");
    let settings = "mode: daemon\nrestart: { tries: 2, delay: 10ms, multiplier: 1 }";
    place.script("bad", settings, "echo trying >&2\nexit 3");
    place.script("once", "mode: daemon", "echo done");
    let fleet = place.start().await;
    place.is("bad", "crashed").await;
    let status = place.status("bad");
    let process = &status.processes[0];
    assert_eq!((process.restarts, process.failures), (2, 3));
    assert_eq!(process.last_exit.as_ref().unwrap().code, Some(3));
    assert_eq!(place.lines("bad").iter().filter(|line| *line == "trying").count(), 3);
    assert!(place.lines("bad").last().unwrap().contains("3 failures in a row, no further restart"));
    let alarms = || place.told.lock().unwrap().iter().filter(|told| **told == ("bad".to_owned(), "crashed")).count();
    until(|| alarms() == 1).await;
    place.is("once", "finished").await;
    assert_eq!((fleet.counts().crashed, fleet.counts().running), (1, 0));
    assert!(
        fleet.restart(&status.id, "a test")
            && !fleet.restart("worker_0", "")
            && !fleet.restart(&format!("{}.9", status.id), "")
    );
    // A restart on request gives it its two tries again; it fails again, and that is reported once more.
    until(|| place.status("bad").processes[0].restarts == 4 && alarms() == 2).await;
    assert_eq!(fleet.restart_all(""), 2);
    end(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_a_line_or_an_answer_over_http_within_its_time() {
    let mut place = Place::new("ready");
    place.script("line", "mode: daemon\nready: { line: now listening }", &format!("echo now listening at 1\n{LOOP}"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    place.script("http", &format!("mode: daemon\nready: {{ http: 'http://127.0.0.1:{port}/up' }}"), LOOP);
    place.script("never", "mode: daemon\nready: { line: up }\nstart_timeout: 100ms\nrestart: never", LOOP);
    let fleet = place.start().await;
    place.is("line", "running").await;
    place.is("never", "crashed").await;
    assert_eq!(place.status("never").processes[0].last_exit.as_ref().unwrap().word(), "not_ready");
    assert_eq!(place.status("http").state, "starting");
    let answer = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request).await;
            assert!(request.starts_with(b"GET /up HTTP/1.1\r\n"));
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    place.is("http", "running").await;
    answer.abort();
    end(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_all_in_good_order_and_those_who_will_not_by_force() {
    let mut place = Place::new("stop");
    place.script("polite", "mode: daemon", "trap 'echo bye; exit 0' TERM\necho up\nwhile :; do read -r x; done");
    place.script("deaf", "mode: daemon\nstop_timeout: 200ms", &format!("trap '' TERM\necho up\n{LOOP}"));
    let fleet = place.start().await;
    place.says("polite", "up").await;
    place.says("deaf", "up").await;
    let logs = ["polite", "deaf"].map(|name| fleet.log(&place.status(name).id).unwrap());
    end(&fleet).await;
    let said = logs.map(|log| log.tail(9).0.iter().map(|line| line.text.clone()).collect::<Vec<_>>().join("\n"));
    assert!(said[0].contains("bye\nstopped: exit code 0"), "{said:?}");
    assert!(said[1].contains("stopped: signal 9"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_with_fixed_times_waits_for_them_and_shows_the_next() {
    let mut place = Place::new("nightly");
    // The clock of this place stands at 2023-11-14 22:13:20.
    place.script("nightly", "mode: daemon\nschedule: '30 3 * * *'", "echo at work");
    place.script("often", "mode: daemon\nschedule: 1s", "echo at work");
    let fleet = place.start().await;
    place.is("nightly", "waiting").await;
    let process = &place.status("nightly").processes[0];
    let (wanted, found) = (1_700_019_000_000, process.next_start_ms.unwrap());
    assert!((wanted - 60_000..=wanted).contains(&found), "{found}");
    assert_eq!((process.restarts, process.pid), (0, None));
    assert!(place.lines("nightly")[0].starts_with("scheduled start in "), "{:?}", place.lines("nightly"));
    assert!(fleet.restart(&place.status("nightly").id, "now"), "who does not want to wait asks for it");
    place.says("nightly", "at work").await;
    place.is("nightly", "waiting").await;
    assert!((wanted - 60_000..=wanted).contains(&place.status("nightly").processes[0].next_start_ms.unwrap()));
    until(|| place.lines("often").iter().filter(|line| *line == "at work").count() >= 2).await;
    end(&fleet).await;
}
