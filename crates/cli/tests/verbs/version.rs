use crate::place::Place;

#[test]
fn the_version_for_people_and_machines() {
    let place = Place::new();
    assert!(place.kapelle(&["version"]).out.starts_with(concat!("kapelle ", env!("CARGO_PKG_VERSION"))));
    let json = place.kapelle(&["version", "--json"]).json();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert!(json["sqlite"].as_str().unwrap().starts_with("3."));
    assert_eq!(place.kapelle(&["--version"]).code, 0);
}
