//! A worker host in this process, as users of the library run it.

use std::sync::{Arc, Mutex};

use kapelle_api::Client;
use kapelle_host::{Host, HostError, HostEvent};
use serde_json::json;
use tokio::sync::Notify;

use crate::place::Place;

fn client(place: &Place) -> Client {
    Client::new(&format!("http://{}", place.address()), &place.token).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_the_library_works_until_it_is_asked_to_end() {
    let place = Place::new().await;
    let worker = kapelle::function(kapelle::WorkerSpec::named("twice"), async |input: serde_json::Value| {
        Ok(json!({ "n": input["n"].as_u64().unwrap_or(0) * 2 }))
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let (heard, working) = (Arc::clone(&told), Arc::new(Notify::new()));
    let works = Arc::clone(&working);
    let host = Host::builder(client(&place)).name("library").slots(2).worker(worker).on_event(move |event| {
        heard.lock().unwrap().push(event.clone());
        works.notify_one();
    });
    let host = host.build().unwrap();
    let handle = host.handle();
    let running = tokio::spawn(host.run());
    working.notified().await;
    let id = place.submit("twice", json!({ "n": 21 })).await;
    let shown = place.get(&format!("/api/v1/tasks/{id}?wait_ms=20000")).await.json(200);
    assert_eq!((&shown["state"], &shown["output"]), (&json!("succeeded"), &json!({ "n": 42 })));
    handle.stop();
    running.await.unwrap().unwrap();
    let told = told.lock().unwrap().clone();
    assert!(matches!(told[0], HostEvent::Working { slots: 2, .. }), "{told:?}");
    assert_eq!(told.last(), Some(&HostEvent::Draining));
    // It has left: the server knows no host of that worker any more.
    let status = place.get("/workers/status").await.json(200);
    assert_eq!(status["hosts"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_released_when_a_host_is_asked_twice() {
    let place = Place::new().await;
    let (begun, begins) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let tell = Arc::clone(&begins);
    let stuck = kapelle::function(kapelle::WorkerSpec::named("stuck"), move |_input| {
        let tell = Arc::clone(&tell);
        async move {
            tell.notify_one();
            std::future::pending::<Result<serde_json::Value, kapelle::TaskError>>().await
        }
    });
    let told = Arc::clone(&begun);
    let host = Host::builder(client(&place)).worker(stuck).on_event(move |_| told.notify_one());
    let host = host.build().unwrap();
    let handle = host.handle();
    let running = tokio::spawn(host.run());
    begun.notified().await;
    let id = place.submit("stuck", json!({})).await;
    begins.notified().await;
    handle.stop();
    handle.stop();
    running.await.unwrap().unwrap();
    let shown = place.get(&format!("/api/v1/tasks/{id}")).await.json(200);
    assert_eq!((&shown["state"], &shown["attempt"]), (&json!("ready"), &json!(1)), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_workers_is_refused_before_it_asks() {
    let place = Place::new().await;
    assert!(matches!(Host::builder(client(&place)).build(), Err(HostError::NoWorkers)));
}
