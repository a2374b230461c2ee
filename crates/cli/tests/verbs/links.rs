//! Links of a project never lead out of it, and their targets are never revealed.

use std::os::unix::fs::symlink;

use crate::place::{PLAIN, Place};

/// Makes a file outside the project, with a text that must not be revealed.
fn secret() -> (tempfile::TempDir, std::path::PathBuf, &'static str) {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("shadow");
    std::fs::write(&path, "root:canary-of-somebody:20228:0:99999:7:::\n").unwrap();
    (outside, path, "canary-of-somebody")
}

#[test]
fn a_link_out_of_the_project_is_named_and_not_followed() {
    let (_outside, path, canary) = secret();
    let place = Place::plain();
    place.file("kapelle.yaml", "");
    place.file("workflows/fine.yaml", PLAIN.replace("name: plain", "name: fine"));
    place.file("workers/kept/readme.txt", "");
    place.file("workers/script.py", "# a script\nprint(1)\n");
    place.file("shared.yaml", "kind: prompt\nname: shared\nprompt: '{{ text }}'\n");
    for (link, to) in [
        ("workers/shadow.yaml", path.as_path()),
        ("workers/script.worker.yaml", path.as_path()),
        ("workflows/shadow.yaml", path.as_path()),
        ("workers/zero.yaml", "/dev/zero".as_ref()),
        ("workers/shared.yaml", "../shared.yaml".as_ref()),
    ] {
        symlink(to, place.path(link)).unwrap();
    }
    std::fs::create_dir(place.path("workers/folder.yaml")).unwrap();
    for arguments in [
        vec!["run", "plain.yaml", "--input", "text=x"],
        vec!["workers", "list"],
        vec!["workflows", "list"],
        vec!["doctor"],
        vec!["run", "shadow"],
    ] {
        let said = place.kapelle(&arguments);
        assert!(!said.err.contains(canary) && !said.out.contains(canary), "{arguments:?}: {said:?}");
        if arguments[0] == "run" && arguments[1] == "plain.yaml" {
            assert_eq!(said.code, 0, "{said:?}");
            for part in ["workers/shadow.yaml", "workflows/shadow.yaml is a link out of", "zero.yaml", "is a folder"] {
                assert!(said.err.contains(part), "{part}: {}", said.err);
            }
        }
        if arguments[0] == "workers" {
            assert!(said.out.contains("shared"), "a link within the project is followed: {said:?}");
        }
        if arguments[0] == "workflows" {
            assert!(said.out.contains("fine") && !said.out.contains("shadow"), "{said:?}");
        }
    }
}

#[test]
fn files_that_a_project_names_itself_are_within_it() {
    let (outside, path, canary) = secret();
    let place = Place::new();
    place.file("kapelle.yaml", "");
    place.file("samples/inside.txt", "The reading room needs light.");
    symlink(&path, place.path("samples/link.txt")).unwrap();
    let workflow = |default: &str| {
        format!(
            "name: reads\ninputs: {{ type: object, properties: {{ document: {{ type: object, format: file, default: \
             '@{default}' }} }} }}\nsteps:\n  words: {{ worker: extract_text, with: {{ document: '${{{{ \
             inputs.document }}}}' }} }}\noutputs: {{ text: '${{{{ steps.words.output.text }}}}' }}\n"
        )
    };
    for default in [path.display().to_string(), "../samples/link.txt".to_owned()] {
        place.file("workflows/reads.yaml", workflow(&default));
        let said = place.kapelle(&["run", "workflows/reads.yaml"]);
        said.refused(2, &["is a link out of"]);
        assert!(!said.err.contains(canary), "{said:?}");
    }
    place.file("workflows/reads.yaml", workflow("../samples/inside.txt"));
    let said = place.kapelle(&["run", "workflows/reads.yaml"]);
    assert!(said.code == 0 && said.out.contains("reading room"), "{said:?}");
    // A folder for --each holds files of others: those that lead out of it are left out.
    let said = place.kapelle(&["run", "workflows/reads.yaml", "--each", "document=samples", "--json"]);
    assert!(said.code == 0 && !said.out.contains(canary), "{said:?}");
    drop(outside);
}
