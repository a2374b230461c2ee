use crate::place::Place;

#[test]
fn a_starter_project_runs() {
    let place = Place::new();
    let said = place.kapelle(&["init", "demo"]);
    assert!(said.code == 0 && said.err.contains("cd demo && kapelle run hello"), "{said:?}");
    let mut command = place.command(&["run", "hello", "--input", "name=Ada"]);
    let output = command.current_dir(place.path("demo")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("# Hello, Ada"), "{text}");
    let said = place.kapelle(&["workflows", "validate", "demo/workflows/hello.yaml"]);
    assert!(said.err.contains("hello") || said.code == 0, "{said:?}");
}

#[test]
fn nothing_is_overwritten() {
    let place = Place::new();
    place.file("kapelle.yaml", "ageing: 1s\n");
    place.kapelle(&["init"]).refused(5, &["kapelle.yaml is there already", "nothing was written"]);
    assert!(!place.path("workflows").exists());
}
