//! `health_check` against real services.

use serde_json::json;

use crate::{
    place::{Place, run},
    server::Server,
};

#[tokio::test]
async fn services_and_the_server_itself_are_checked() {
    let (place, server) = (Place::new(), Server::start().await);
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let text = format!(
        "kind: health_check\nname: health\nsettings:\n  server: true\n  timeout: 1s\n  targets:\n\
         \x20   - {{ name: good, url: '{}' }}\n    - {{ name: bad, url: '{}', status: 204 }}\n\
         \x20   - {{ name: port, tcp: '127.0.0.1:{}' }}\n    - {{ name: closed, tcp: '127.0.0.1:{closed}' }}\n",
        server.url("/json"),
        server.url("/500"),
        server.port,
    );
    let worker = place.worker(&text).unwrap();
    let output = run(&worker, json!({})).await.unwrap();
    let checks: Vec<_> =
        output["checks"].as_array().unwrap().iter().map(|c| (c["name"].as_str().unwrap(), c["ok"] == true)).collect();
    assert_eq!(checks, [("good", true), ("bad", false), ("port", true), ("closed", false), ("server", false)]);
    assert_eq!((&output["ok"], &output["checks"][1]["reason"]), (&json!(false), &json!("HTTP 500, expected 204")));
    assert_eq!(output["checks"][4]["reason"], "disk: full");
    let output = run(&worker, json!({ "targets": ["good"], "fail": true })).await.unwrap();
    assert_eq!(output["ok"], true);
    let error = run(&worker, json!({ "fail": true })).await.unwrap_err();
    assert!(error.retryable && error.message.contains("not well: bad, closed, server"), "{error}");
    let error = run(&worker, json!({ "targets": ["x"] })).await.unwrap_err();
    assert!(error.message.contains("targets: `x` is unknown; expected some of good"), "{error}");
}

#[test]
fn wrong_settings_are_placed() {
    let place = Place::new();
    for (settings, part) in [
        ("{}", "settings.targets: nothing is checked"),
        ("{ targets: [{ name: a }] }", "settings.targets[0]: it needs `url` or `tcp`"),
        ("{ targets: [{ name: a, tcp: 'x' }] }", "w.yaml:3:39: settings.targets[0].tcp: `x` is not host and port"),
        ("{ targets: [{ name: a, url: 'x' }] }", "settings.targets[0].url: `x` is not an address"),
        ("{ targets: [{ name: a, tcp: 'x:1' }, { name: a, tcp: 'x:1' }] }", "two targets are called `a`"),
    ] {
        let error = place.worker(&format!("kind: health_check\nname: h\nsettings: {settings}\n")).err().unwrap();
        assert!(error.contains(part), "{settings}: {error}");
    }
}
