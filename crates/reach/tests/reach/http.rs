//! `http` against a real server.

use kapelle_core::Category;
use serde_json::{Value, json};

use crate::{
    place::{CANARY, Place, attempt, run},
    server::Server,
};

fn file(settings: &str) -> String {
    format!("kind: http\nname: call\nsettings: {settings}\n")
}

fn allowed(server: &Server, more: &str) -> String {
    file(&format!("{{ private: ['127.0.0.1:{}'], {more} }}", server.port))
}

#[tokio::test]
async fn a_request_carries_what_was_given_and_the_answer_comes_back() {
    let (place, server) = (Place::new(), Server::start().await);
    let worker = place.worker(&allowed(&server, "headers: { Authorization: 'Bearer ${secret:token}' }")).unwrap();
    let output = run(&worker, json!({ "url": server.url("/json"), "query": { "q": "a b" } })).await.unwrap();
    assert_eq!((&output["status"], &output["json"]), (&json!(200), &json!({ "a": 1 })));
    let seen = server.seen().remove(0).to_lowercase();
    assert!(
        seen.starts_with("get /json?q=a+b ") && seen.contains(&format!("authorization: bearer {CANARY}")),
        "{seen}"
    );

    // A server that answers with the secret does not bring it into the store, and a reference of an input stays text.
    let input = json!({ "url": server.url("/echo"), "method": "PUT", "text": "${secret:token}" });
    let output = run(&worker, input).await.unwrap();
    let text = output["text"].as_str().unwrap();
    assert!(text.contains("[secret token]") && text.ends_with("${secret:token}"), "{text}");
    assert!(!output.to_string().contains(CANARY));
}

#[tokio::test]
async fn private_addresses_are_refused_directly_and_behind_redirects() {
    let (place, server, other) = (Place::new(), Server::start().await, Server::start().await);
    let open = place.worker(&file("{ hosts: any, insecure: true }")).unwrap();
    for url in [
        server.url("/json"),
        format!("http://localhost:{}/json", server.port),
        "http://localhost/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[::ffff:127.0.0.1]/".to_owned(),
    ] {
        let error = run(&open, json!({ "url": url })).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (Category::InvalidInput, false), "{url}: {error}");
        assert!(error.message.contains("url: "), "{url}: {error}");
    }
    assert!(server.seen().is_empty());

    let worker = place.worker(&allowed(&server, "hosts: [any], insecure: true")).unwrap();
    for target in [
        other.url("/json"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://localhost/".to_owned(),
        "http://2130706433/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
    ] {
        for route in ["/to", "/keep"] {
            let error = run(&worker, json!({ "url": server.url(&format!("{route}?{target}")) })).await.unwrap_err();
            assert_eq!((error.category, error.retryable), (Category::InvalidInput, false), "{target}: {error}");
        }
    }
    assert!(other.seen().is_empty());
    let error = run(&worker, json!({ "url": server.url("/loop") })).await.unwrap_err();
    assert!(error.message.contains("more than 5 redirects"), "{error}");
}

#[tokio::test]
async fn a_secret_does_not_follow_a_redirect_to_another_host() {
    let (place, first, second) = (Place::new(), Server::start().await, Server::start().await);
    let hosts = format!("private: ['127.0.0.1:{}', '127.0.0.1:{}']", first.port, second.port);
    let worker = place.worker(&file(&format!("{{ {hosts}, headers: {{ X-Key: '${{secret:token}}' }} }}"))).unwrap();
    let input = json!({ "url": first.url(&format!("/to?{}", second.url("/json"))), "headers": { "Cookie": "c=1" } });
    let output = run(&worker, input).await.unwrap();
    assert_eq!((&output["redirects"], &output["url"]), (&json!(1), &json!(second.url("/json"))));
    assert!(first.seen()[0].contains(CANARY));
    assert!(!second.seen()[0].contains(CANARY) && !second.seen()[0].contains("c=1"));
}

#[tokio::test]
async fn statuses_decide_about_retries() {
    let (place, server) = (Place::new(), Server::start().await);
    let worker = place.worker(&allowed(&server, "")).unwrap();
    for (status, category, again) in [
        (429, Category::RateLimited, true),
        (503, Category::Unavailable, true),
        (500, Category::Unavailable, true),
        (501, Category::Unavailable, false),
        (401, Category::Unavailable, false),
        (404, Category::InvalidInput, false),
        (400, Category::InvalidInput, false),
    ] {
        let error = run(&worker, json!({ "url": server.url(&format!("/{status}")) })).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (category, again), "{error}");
        assert_eq!(error.retry_after.map(|wait| wait.0), again.then_some(7_000), "{error}");
        assert!(error.message.contains(&format!("HTTP {status} of http://127.0.0.1")), "{error}");
    }
    let output = run(&worker, json!({ "url": server.url("/404"), "accept": [404] })).await.unwrap();
    assert_eq!((&output["status"], &output["text"]), (&json!(404), &json!("body")));
}

#[tokio::test]
async fn time_and_size_are_limited() {
    let (place, server) = (Place::new(), Server::start().await);
    let worker = place.worker(&allowed(&server, "timeout: 200ms, max_bytes: 1000")).unwrap();
    let error = run(&worker, json!({ "url": server.url("/hang") })).await.unwrap_err();
    assert!(error.category == Category::Timeout && error.message.contains("raise `timeout`"), "{error}");
    let error = run(&worker, json!({ "url": server.url("/big") })).await.unwrap_err();
    assert!(error.category == Category::InvalidInput && error.message.contains("raise `max_bytes`"), "{error}");
}

#[tokio::test]
async fn a_post_whose_outcome_is_unknown_is_not_sent_again() {
    let (place, server) = (Place::new(), Server::start().await);
    let text = allowed(&server, "");
    let worker = place.worker(&text).unwrap();
    let input = json!({ "url": server.url("/hang"), "method": "POST", "json": { "pay": 5 } });
    // The process dies while the service works: the attempt is dropped, and another process takes the next one.
    tokio::select! {
        done = attempt(&worker, "task_9", 1, input.clone()) => panic!("{done:?}"),
        () = server.hung.notified() => {}
    }
    let restarted = place.worker(&text).unwrap();
    let error = attempt(&restarted, "task_9", 2, input).await.unwrap_err();
    assert!(!error.retryable && error.message.contains("is unknown, so it is not sent again"), "{error}");
    assert_eq!(server.seen().len(), 1);
    assert!(server.seen()[0].to_lowercase().contains("idempotency-key: task_9"));

    // A connection that broke after the request leaves the outcome unknown, too.
    let error =
        attempt(&worker, "task_10", 1, json!({ "url": server.url("/cut"), "method": "POST" })).await.unwrap_err();
    assert!(!error.retryable && error.message.contains("unknown"), "{error}");
    // A refused one may be sent again, and a finished one is answered from its record.
    for (task, path, times) in [("task_11", "/503", 2), ("task_12", "/json", 1)] {
        let before = server.seen().len();
        for number in [1, 2] {
            let _ = attempt(&worker, task, number, json!({ "url": server.url(path), "method": "POST" })).await;
        }
        assert_eq!(server.seen().len() - before, times, "{path}");
    }
}

#[tokio::test]
async fn bad_input_and_missing_secrets_say_what_to_do() {
    let (place, server) = (Place::new(), Server::start().await);
    let worker = place.worker(&allowed(&server, "")).unwrap();
    for (input, part) in [
        (json!({}), "\"url\" is a required property"),
        (json!({ "url": server.url("/"), "methd": "GET" }), "'methd'"),
        (json!({ "url": "ftp://127.0.0.1/" }), "url: the scheme `ftp`"),
        (json!({ "url": "http://u:p@127.0.0.1/" }), "url: it holds a user name"),
        (json!({ "url": "https://elsewhere.example/" }), "is not among `hosts`"),
    ] {
        let error = run(&worker, input.clone()).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (Category::InvalidInput, false), "{input}: {error}");
        assert!(error.message.contains(part), "{input}: {error}");
    }
    let worker = place.worker(&allowed(&server, "headers: { X: '${secret:unset}' }")).unwrap();
    let error = run(&worker, json!({ "url": server.url("/json") })).await.unwrap_err();
    assert!(error.message.contains("secret `unset`: the variable UNSET is not set") && !error.retryable, "{error}");
    assert!(server.seen().is_empty());
    // A port on which nothing listens.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let worker = place.worker(&file(&format!("{{ private: ['127.0.0.1:{closed}'] }}"))).unwrap();
    let error = run(&worker, json!({ "url": format!("http://127.0.0.1:{closed}/") })).await.unwrap_err();
    assert_eq!((error.category, error.retryable), (Category::Unavailable, true), "{error}");
}

#[test]
fn wrong_settings_are_placed() {
    let place = Place::new();
    for (settings, part) in [
        ("{}", "w.yaml:3:11: settings.hosts: no host can be reached"),
        ("{ hosts: ['http://x'] }", "w.yaml:3:21: settings.hosts[0]: `http://x` is not a host"),
        (
            "{ hosts: any, headers: { K: '${secret:token}' } }",
            "settings.headers.K: a secret would go to hosts that are not named",
        ),
        ("{ hosts: a, headers: { K: '${secret:nobody}' } }", "settings.headers.K: unknown secret `nobody`"),
        ("{ hosts: a, private: any }", "settings.private: `any` would allow every private address"),
        ("{ hosts: a, timeout: soon }", "settings.timeout: `soon` is not a duration"),
    ] {
        let error = place.worker(&file(settings)).err().unwrap();
        assert!(error.contains(part), "{settings}: {error}");
    }
    let worker = place.worker(&file("{ hosts: any }")).unwrap();
    let effects: Vec<Value> = worker.spec().effects.iter().map(|effect| json!(effect)).collect();
    assert_eq!(effects, [json!("network")]);
}
