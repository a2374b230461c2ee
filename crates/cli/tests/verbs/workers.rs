use crate::place::{Place, TEXT};

const OWN: &str = "kind: prompt\nname: mine\ndescription: My own\nprompt: Say {{ text }}\noffline: summary\n";

#[test]
fn shipped_and_own_workers_are_listed() {
    let place = Place::new();
    place.file("workers/mine.yaml", OWN);
    place.file("workers/bad.yaml", "kind: prompt\nname: 9\n");
    let said = place.kapelle(&["workers"]);
    assert_eq!(said.code, 0, "{said:?}");
    for part in ["extract_text", "summarizer", "fast (offline)", "mine"] {
        assert!(said.out.contains(part), "{}", said.out);
    }
    assert!(said.err.contains("bad.yaml"), "{}", said.err);
    let json = place.kapelle(&["workers", "list", "--json"]).json();
    assert!(json["workers"].as_array().unwrap().iter().any(|worker| worker["name"] == "mine"));
}

#[test]
fn a_worker_is_shown_and_tried() {
    let place = Place::new();
    let said = place.kapelle(&["workers", "show", "summarizer"]);
    assert!(
        said.out.contains("max_sentences") && said.out.contains("default 5") && said.out.contains("required"),
        "{said:?}"
    );
    let said = place.kapelle(&["workers", "test", "summarizer", "--json", "--input", &format!("text={TEXT}")]);
    assert_eq!((said.code, &said.json()["provenance"]["provider"]), (0, &"offline".into()), "{said:?}");
    place.file("a.txt", "two words");
    let said = place.kapelle(&["workers", "test", "extract_text", "--json", "--input", "document=@a.txt"]);
    assert_eq!(said.json()["output"]["words"], 2, "{said:?}");
    assert!(!place.path(".kapelle").exists(), "a try records nothing");
}

#[test]
fn what_is_wrong_is_told() {
    let place = Place::new();
    place.kapelle(&["workers", "show", "sumarizer"]).refused(3, &["did you mean `summarizer`?"]);
    place.kapelle(&["workers", "test", "summarizer", "--input", "txt=a"]).refused(2, &["did you mean `text`?"]);
    place
        .kapelle(&["workers", "test", "translator", "--input", "text=a", "--input", "language=French"])
        .refused(69, &["needs a model"]);
}
