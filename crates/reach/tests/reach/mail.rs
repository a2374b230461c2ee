//! `email_dispatcher` with a mail server of this process. `dev/mail` has a real one, with TLS and kills.

use std::sync::Arc;

use kapelle_core::{
    Category,
    worker::{Effect, FileSource, TaskContext, Worker},
};
use kapelle_testkit::smtp::{Answer, SmtpDouble, Turn};
use serde_json::{Value, json};

use crate::place::{CANARY, Place, attempt, run};

/// Makes a worker for a server on the loopback.
fn worker(place: &Place, port: u16, more: &str) -> Arc<dyn Worker> {
    place.worker(&file(&format!("host: 127.0.0.1, port: {port}, tls: none, timeout: 5s, {more}"))).unwrap()
}

fn file(settings: &str) -> String {
    format!(
        "kind: email_dispatcher\nname: mailer\nsettings: {{ from: 'Kapelle <kapelle@example.com>', recipients: ['*@example.com', boss@example.org], {settings} }}\n"
    )
}

async fn server(turns: &[(&'static str, Answer, usize)]) -> SmtpDouble {
    let turns = turns.iter().map(|(line, answer, times)| Turn { line, answer: *answer, times: *times });
    SmtpDouble::start(turns.collect()).await.unwrap()
}

fn mail(text: &str) -> Value {
    json!({ "to": "Ada <ada@example.com>", "subject": "Hello", "text": text })
}

struct OneFile(std::path::PathBuf);

impl FileSource for OneFile {
    fn path(&self, sha256: &str) -> Option<std::path::PathBuf> {
        sha256.starts_with("aa").then(|| self.0.clone())
    }
}

#[tokio::test]
async fn a_mail_has_its_recipients_parts_and_attachments() {
    let (place, server) = (Place::new(), server(&[]).await);
    std::fs::write(place.path().join("blob"), "from the store").unwrap();
    let login = "username: robot, password: '${secret:token}', templates: { report: { subject: 'Report of {{ day }}', text: 'Dear {{ who }}', html: '<p>{{ who }}</p>' } }";
    let worker = worker(&place, server.address.port(), login);
    assert_eq!(worker.spec().effects, [Effect::Mail]);
    let input = json!({
        "to": ["Ada <ada@example.com>"], "cc": "boss@example.org", "bcc": "eve@example.com", "reply_to": "help@elsewhere.example",
        "template": "report", "values": { "day": "Monday é", "who": "<b>Ada</b>" },
        "attachments": [
            { "file": { "$file": format!("sha256:{}", "a".repeat(64)), "name": "a \"b\".txt", "media_type": "text/plain" } },
            { "name": "x.csv", "text": "1;2", "media_type": "text/csv" },
        ],
    });
    let files = Arc::new(OneFile(place.path().join("blob")));
    let context = TaskContext { files, ..TaskContext::detached("task_1") };
    let output = worker.execute(&context, input).await.unwrap().value;
    assert_eq!((&output["recipients"], &output["answer"]), (&json!(3), &json!("taken")));
    let [taken] = server.taken().try_into().unwrap();
    assert_eq!(taken.from, "kapelle@example.com");
    assert_eq!(taken.to, ["ada@example.com", "boss@example.org", "eve@example.com"]);
    for part in [
        "Subject: Report of Monday =?utf-8?b?w6k=?=",
        "Date: Tue, 01 Dec 2026 00:00:00 +0000",
        "Cc: boss@example.org",
        "Reply-To: help@elsewhere.example",
        "Dear <b>Ada</b>",
        "<p>&lt;b&gt;Ada&lt;/b&gt;</p>",
        "from the store",
        "filename=\"x.csv\"",
        output["message_id"].as_str().unwrap(),
    ] {
        assert!(taken.text.contains(part), "{part}: {}", taken.text);
    }
    assert!(!taken.text.contains("eve@") && !taken.text.contains(CANARY), "{}", taken.text);
    assert!(server.lines().iter().any(|line| line.starts_with("AUTH PLAIN ")));
}

#[tokio::test]
async fn one_mail_goes_out_for_a_key() {
    let (place, server) = (Place::new(), server(&[]).await);
    let worker = worker(&place, server.address.port(), "");
    let keyed = |text: &str| json!({ "to": "ada@example.com", "subject": "s", "text": text, "key": "invoice 7" });
    let first = attempt(&worker, "task_1", 1, keyed("a")).await.unwrap();
    // A retry of the task, and another task with the key.
    assert_eq!(attempt(&worker, "task_1", 2, keyed("a")).await.unwrap(), first);
    assert_eq!(attempt(&worker, "task_2", 1, keyed("a")).await.unwrap(), first);
    let error = attempt(&worker, "task_3", 1, keyed("b")).await.unwrap_err();
    assert!(error.message.contains("key: task_1 used it for another mail") && !error.retryable, "{error}");
    assert_eq!(server.taken().len(), 1);
    // A key that looks like a task is not that task.
    let input = json!({ "to": "ada@example.com", "subject": "s", "text": "a", "key": "task_9" });
    attempt(&worker, "task_4", 1, input).await.unwrap();
    attempt(&worker, "task_9", 1, mail("a")).await.unwrap();
    assert_eq!(server.taken().len(), 3);
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_in_the_mail_is_not_repeated() {
    let (place, server) = (Place::new(), server(&[(".", Answer::Hang, 1)]).await);
    let worker = worker(&place, server.address.port(), "");
    // The process ends after the content was sent and before the answer.
    tokio::select! {
        _ = attempt(&worker, "task_1", 1, mail("a")) => panic!("the server hangs"),
        () = server.hangs() => {}
    }
    for number in [2, 3] {
        let error = attempt(&worker, "task_1", number, mail("a")).await.unwrap_err();
        assert!(error.message.contains("whether it arrived is unknown") && !error.retryable, "{error}");
    }
    assert_eq!(server.lines().iter().filter(|line| line.as_str() == "DATA").count(), 1);
    // The connection breaks there.
    let broken = self::server(&[(".", Answer::Break, 1)]).await;
    let worker = self::worker(&place, broken.address.port(), "");
    let error = attempt(&worker, "task_2", 1, mail("a")).await.unwrap_err();
    assert!(error.message.contains("whether the mail was sent is unknown") && !error.retryable, "{error}");
    assert!(attempt(&worker, "task_2", 2, mail("a")).await.is_err());
    assert_eq!(broken.lines().iter().filter(|line| line.as_str() == "DATA").count(), 1);
}

#[tokio::test]
async fn a_crash_before_the_content_is_only_another_attempt() {
    let (place, server) = (Place::new(), server(&[("RCPT", Answer::Hang, 1)]).await);
    let worker = worker(&place, server.address.port(), "");
    tokio::select! {
        _ = attempt(&worker, "task_1", 1, mail("a")) => panic!("the server hangs"),
        () = server.hangs() => {}
    }
    attempt(&worker, "task_1", 2, mail("a")).await.unwrap();
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn refusals_have_their_category_and_send_nothing() {
    let later = Answer::Line("451 come again");
    let never = Answer::Line("550 unknown");
    for (line, answer, category, again, part) in [
        ("MAIL", later, Category::Unavailable, true, "from: 127.0.0.1:"),
        ("RCPT", later, Category::Unavailable, true, "to: ada@example.com: 127.0.0.1:"),
        ("RCPT", never, Category::InvalidInput, false, "to: ada@example.com: 127.0.0.1:"),
        ("MAIL", never, Category::Unavailable, false, "correct `from`"),
        ("AUTH", Answer::Line("535 wrong"), Category::Unavailable, false, "correct `username` and `password`"),
        ("EHLO", Answer::Break, Category::Unavailable, true, "host: 127.0.0.1:"),
        ("DATA", later, Category::Unavailable, true, "does not take it now"),
        (".", later, Category::Unavailable, true, "does not take it now"),
        (".", Answer::Line("554 spam"), Category::InvalidInput, false, "nothing was sent"),
    ] {
        let (place, server) = (Place::new(), server(&[(line, answer, 1)]).await);
        let worker = worker(&place, server.address.port(), "username: robot, password: '${secret:token}'");
        let error = attempt(&worker, "task_1", 1, mail("a")).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (category, again), "{line}: {error}");
        assert!(error.message.contains(part) && !error.message.contains(CANARY), "{line}: {error}");
        assert_eq!(server.taken().len(), 0, "{line}");
        // It certainly was not sent, so the next attempt sends it.
        attempt(&worker, "task_1", 2, mail("a")).await.unwrap();
        assert_eq!(server.taken().len(), 1, "{line}");
    }
}

#[tokio::test]
async fn no_input_adds_a_header_or_a_recipient() {
    let (place, server) = (Place::new(), server(&[]).await);
    let worker = worker(&place, server.address.port(), "templates: { t: { subject: '{{ s }}', text: x } }");
    let attached = |name: &str| json!({ "to": "ada@example.com", "subject": "s", "text": "t", "attachments": [{ "name": name, "text": "x" }] });
    for (input, part) in [
        (
            json!({ "to": "ada@example.com\r\nBcc: eve@example.com", "subject": "s", "text": "t" }),
            "to: `ada@example.com??Bcc",
        ),
        (json!({ "to": "ada@example.com>\nX: y", "subject": "s", "text": "t" }), "to: "),
        (
            json!({ "to": "ada@example.com", "subject": "s\r\nBcc: eve@example.com", "text": "t" }),
            "subject: it holds a line break",
        ),
        (
            json!({ "to": "ada@example.com", "template": "t", "values": { "s": "s\nBcc: x" } }),
            "subject: it holds a line break",
        ),
        (json!({ "to": "ada@example.com", "template": "t", "subject": "s" }), "subject: the template has one"),
        (json!({ "to": "ada@example.com", "template": "gone" }), "template: the worker's file has no `gone`; it has t"),
        (json!({ "to": "ada@example.com, eve@evil.example", "subject": "s", "text": "t" }), "to: "),
        (
            json!({ "to": "eve@evil.example", "subject": "s", "text": "t" }),
            "to: eve@evil.example is not among `recipients`",
        ),
        (
            json!({ "to": "ada@example.com", "bcc": ["eve@sub.example.com"], "subject": "s", "text": "t" }),
            "bcc: eve@sub",
        ),
        (json!({ "to": "ada@example.com", "subject": "s" }), "a mail needs one of them"),
        (json!({ "to": "ada@example.com", "text": "t" }), "subject: it is empty"),
        (json!({ "subject": "s", "text": "t" }), "\"to\" is a required property"),
        (json!({ "to": "ada@example.com", "subject": "s", "text": "t", "from": "x@y.z" }), "'from'"),
        (attached("../../etc/passwd"), "is not a plain name"),
        (attached("a\r\nX-Evil: 1"), "attachments[0].name: it holds a line break"),
        (attached(".bashrc"), "is not a plain name"),
        (attached(""), "is not a plain name"),
        (
            json!({ "to": "ada@example.com", "subject": "s", "text": "t", "attachments": [{ "file": { "$file": "sha256:../x" } }] }),
            "attachments[0].file: not a file",
        ),
        (
            json!({ "to": "ada@example.com", "subject": "s", "text": "t", "attachments": [{ "file": { "$file": format!("sha256:{}", "b".repeat(64)) } }] }),
            "is not in the store",
        ),
        (
            json!({ "to": "ada@example.com", "subject": "s", "text": "x".repeat(11 << 20) }),
            "`max_bytes` of the settings",
        ),
    ] {
        let error = run(&worker, input.clone()).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (Category::InvalidInput, false), "{part}: {error}");
        assert!(error.message.contains(part), "{part}: {error}");
    }
    assert!(server.lines().is_empty());
    let body =
        json!({ "to": "ada@example.com", "subject": "s", "text": "a\r\n.\r\nMAIL FROM:<eve@example.com>\r\n.b" });
    run(&worker, body).await.unwrap();
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn bad_settings_and_absent_servers_say_what_to_do() {
    let place = Place::new();
    for (settings, part) in [
        ("host: smtp.example.com, tls: none", "settings.tls: mail and login could be read on the way"),
        ("host: 'smtp.example.com/x'", "settings.host: `smtp.example.com/x` is not a host"),
        ("host: smtp.example.com, username: a", "settings.username: a login needs `password`, too"),
        (
            "host: smtp.example.com, username: a, password: plain",
            "settings.password: a password is not written into a file",
        ),
        ("host: smtp.example.com, username: a, password: '${secret:gone}'", "unknown secret `gone`"),
        ("host: smtp.example.com, templates: { t: { subject: '{{ x', text: y } }", "settings.templates.t.subject: "),
        ("host: smtp.example.com, templates: { t: { subject: x } }", "settings.templates.t: it has no text"),
    ] {
        let error = place.worker(&file(settings)).err().unwrap();
        assert!(error.contains(part), "{settings}: {error}");
    }
    let error = place.worker("kind: email_dispatcher\nname: m\nsettings: { host: a, from: nobody, recipients: [b] }\n");
    let error = error.err().unwrap();
    assert!(
        error.contains("settings.from: not an address") && error.contains("settings.recipients[0]: `b` is not"),
        "{error}"
    );

    // Nobody listens at the port of a server that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = run(&worker(&place, port, ""), mail("a")).await.unwrap_err();
    assert!(error.message.contains(&format!("host: 127.0.0.1:{port} cannot be reached")) && error.retryable, "{error}");
    let server = server(&[]).await;
    let port = server.address.port();
    let unset = worker(&place, port, "username: a, password: '${secret:unset}'");
    let error = run(&unset, mail("a")).await.unwrap_err();
    assert!(error.message.contains("secret `unset`: the variable UNSET is not set") && !error.retryable, "{error}");
    let plain = place.worker(&file(&format!("host: 127.0.0.1, port: {port}"))).unwrap();
    let error = run(&plain, mail("a")).await.unwrap_err();
    assert!(error.message.contains("offers no STARTTLS, so nothing was sent") && !error.retryable, "{error}");
    assert!(server.taken().is_empty());
}
