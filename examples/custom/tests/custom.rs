//! The worker, the balancer, the middleware and the strategy at work.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use kapelle::{
    Kapelle, WorkerSpec, function,
    serde_json::{Value, json},
};
use kapelle_example_custom::{PriceList, ShortestFirst, Stamp, Sticky};

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_and_a_layer_of_ones_own() {
    let folder = std::env::temp_dir().join(format!("kapelle-example-custom-{}", std::process::id()));
    let kapelle = Kapelle::builder(&folder)
        .environment(|_| None)
        .balancer("sticky", || Sticky::new(1_000))
        .middleware(Stamp { forbidden: "nobody".to_owned() })
        .open()
        .await
        .unwrap();
    let given: Arc<[AtomicUsize; 2]> = Arc::default();
    let members = (0..2).map(|number| {
        let given = Arc::clone(&given);
        function(WorkerSpec::named("member"), move |input: Value| {
            given[number].fetch_add(1, Ordering::SeqCst);
            async move { Ok(json!({ "got": input["n"] })) }
        })
    });
    kapelle.register_pool(WorkerSpec::named("pool"), "sticky", members.collect()).unwrap();
    for number in 0..20 {
        let task = kapelle.submit("pool", json!({ "n": number })).await.unwrap();
        let output = task.wait().await.unwrap().output;
        assert_eq!(output, json!({ "got": number, "stamp": format!("{}, attempt 1", task.id()) }));
    }
    assert_eq!((given[0].load(Ordering::SeqCst), given[1].load(Ordering::SeqCst)), (20, 0));
    let error = kapelle.submit("pool", json!({ "customer": "nobody" })).await.unwrap().wait().await.unwrap_err();
    assert!(error.to_string().contains("nothing is done for nobody"), "{error}");
    kapelle.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strategy_of_ones_own() {
    let folder = std::env::temp_dir().join(format!("kapelle-example-strategy-{}", std::process::id()));
    let builder = Kapelle::builder(&folder).environment(|_| None).strategy("shortest_first", Arc::new(ShortestFirst));
    let kapelle = builder.open().await.unwrap();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    kapelle
        .register("note", move |input: Value| {
            seen.lock().unwrap().push(input["name"].clone());
            async move { Ok(input) }
        })
        .unwrap();
    let flow = "name: f\nstrategy: shortest_first\nsteps:\n\
        \x20 longest: { worker: note, with: { name: longest } }\n\
        \x20 mid: { worker: note, with: { name: mid } }\n\
        \x20 a: { worker: note, with: { name: a } }\n";
    kapelle.start(flow, Value::Null).await.unwrap().wait().await.unwrap();
    assert_eq!(*order.lock().unwrap(), ["a", "mid", "longest"]);
    kapelle.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_ones_own() {
    let folder = std::env::temp_dir().join(format!("kapelle-example-worker-{}", std::process::id()));
    let kapelle = Kapelle::builder(&folder).environment(|_| None).open().await.unwrap();
    kapelle.register_worker(Arc::new(PriceList::new(BTreeMap::from([("lamp".to_owned(), 4_900)]))));
    let ask = async |input: Value| kapelle.submit("price", input).await;
    let task = ask(json!({ "article": "lamp" })).await.unwrap();
    assert_eq!(task.wait().await.unwrap().output, json!({ "cents": 4_900 }));
    let error = ask(json!({ "article": "moon" })).await.unwrap().wait().await.unwrap_err();
    assert!(error.to_string().contains("`moon` has no price"), "{error}");
    kapelle.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}
