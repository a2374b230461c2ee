use crate::place::Place;

#[test]
fn pages_and_completions_are_made() {
    let place = Place::new();
    let said = place.kapelle(&["man"]);
    assert!(said.code == 0 && said.out.contains(".TH kapelle 1"), "{said:?}");
    assert_eq!(place.kapelle(&["man", "--out", "man", "-q"]).code, 0);
    assert!(place.path("man/kapelle-run.1").is_file() && !place.path("man/kapelle-__extract.1").exists());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = place.kapelle(&["completions", shell]);
        assert!(said.code == 0 && said.out.contains("kapelle"), "{shell}");
    }
    place.kapelle(&["completions", "cmd"]).refused(2, &["bash"]);
}
