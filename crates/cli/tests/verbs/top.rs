use crate::{
    place::{Place, TEXT},
    serve::Served,
};

#[test]
fn it_prints_one_frame_where_there_is_no_terminal() {
    let place = Place::plain();
    place.kapelle(&["top"]).refused(69, &["no server", "kapelle serve"]);
    let served = Served::start(&place);
    assert_eq!(place.kapelle(&["run", "plain.yaml", "--input", &format!("text={TEXT}")]).code, 0);
    let said = place.kapelle(&["top"]);
    assert_eq!(said.code, 0, "{said:?}");
    for part in [&served.address, "ok", "QUEUE", "default", "WORKER", "keywords", "log", "2 tasks done, 0 failed"] {
        assert!(said.out.contains(part), "`{part}` is not in: {}", said.out);
    }
    assert!(!said.out.contains('\x1b'), "a pipe gets no colours: {}", said.out);
    assert_eq!(place.kapelle(&["top", "--once"]).out.lines().count(), said.out.lines().count());
    let json = place.kapelle(&["top", "--json"]).json();
    assert_eq!((&json["health"]["status"], &json["queues"][0]["name"]), (&"ok".into(), &"default".into()));
    let url = format!("http://{}", served.address);
    let wrong = place.with(&[("KAPELLE_TOKEN", "kap_wrong")], &["top", "--server", &url]);
    wrong.refused(4, &[]);
    place.kapelle(&["top", "--every", "0"]).refused(2, &["--every"]);
    place.kapelle(&["top", "--server", "http://127.0.0.1:1"]).refused(69, &["127.0.0.1:1"]);
}
