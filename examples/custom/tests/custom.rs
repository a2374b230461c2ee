//! The balancer and the layer at work.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kapelle::{
    Kapelle, WorkerSpec, function,
    serde_json::{Value, json},
};
use kapelle_example_custom::{Stamp, Sticky};

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_and_a_layer_of_ones_own() {
    let folder = std::env::temp_dir().join(format!("kapelle-example-custom-{}", std::process::id()));
    let kapelle = Kapelle::builder(&folder)
        .environment(|_| None)
        .balancer("sticky", || Sticky::new(1_000))
        .layer(Stamp { forbidden: "nobody".to_owned() })
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
