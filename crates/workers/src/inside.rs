//! Files of a project: read only when they are inside it, after every link was followed.
//!
//! A project that was cloned may hold a link to a file of the user, such as a key. Its first line would then stand in
//! an error, or its text in a prompt.

use std::{fs, io::Read, path::Path};

/// Returns the folder of a file; a bare name is in the working directory.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the folder that a file of `workers/` or `workflows/` must be in: the one above, which is the project.
#[must_use]
pub fn project_of(folder: &Path) -> &Path {
    folder_of(folder)
}

/// Checks that a file is inside the folder and a regular file. Nothing of its content is revealed.
///
/// # Errors
/// The reason, without the name of the file.
pub fn check(root: &Path, file: &Path) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let real = file.canonicalize().map_err(cannot)?;
    let root = root.canonicalize().map_err(cannot)?;
    if !real.starts_with(&root) {
        return Err(format!(
            "is a link out of {}, which is not followed: put a copy of the file in its place",
            root.display()
        ));
    }
    let about = fs::metadata(&real).map_err(cannot)?;
    if about.is_dir() {
        return Err("is a folder, and a file is expected: give it another name".to_owned());
    }
    if !about.is_file() {
        return Err("is not a regular file: remove it".to_owned());
    }
    Ok(())
}

/// Reads at most `most` bytes of a file in a folder.
///
/// # Errors
/// The reason, without the name of the file.
pub fn read(root: &Path, file: &Path, most: u64) -> Result<Vec<u8>, String> {
    check(root, file)?;
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(|error| format!("cannot be read: {error}"))?;
    opened.take(most).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(bytes)
}

/// Returns the files of a folder that are left out because they lead out of the project, with the reason.
#[must_use]
pub fn left_out(folder: &Path) -> Vec<String> {
    let root = project_of(folder);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut told: Vec<String> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .filter_map(|entry| Some(format!("{} {}", entry.path().display(), check(root, &entry.path()).err()?)))
        .collect();
    told.sort();
    told
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_within_the_project_are_followed_and_no_others() {
        let place = std::env::temp_dir().join(format!("kapelle-inside-{}", std::process::id()));
        let workers = place.join("project/workers");
        fs::create_dir_all(workers.join("x.yaml")).unwrap();
        fs::write(place.join("secret"), "root:*:1").unwrap();
        fs::write(place.join("project/shared.yaml"), "fine").unwrap();
        symlink(place.join("secret"), workers.join("out.yaml")).unwrap();
        symlink("../../secret", workers.join("up.yaml")).unwrap();
        symlink("../shared.yaml", workers.join("in.yaml")).unwrap();
        symlink("/dev/zero", workers.join("zero.yaml")).unwrap();
        symlink("loop.yaml", workers.join("loop.yaml")).unwrap();
        symlink(&place, workers.join("folder")).unwrap();
        let root = project_of(&workers);
        assert_eq!(read(root, &workers.join("in.yaml"), 2).unwrap(), b"fi");
        for (name, part) in [
            ("out.yaml", "is a link out of"),
            ("up.yaml", "is a link out of"),
            ("folder/secret", "is a link out of"),
            ("../../secret", "is a link out of"),
            ("zero.yaml", "is a link out of"),
            ("loop.yaml", "cannot be read"),
            ("x.yaml", "is a folder"),
            ("none.yaml", "cannot be read"),
        ] {
            let why = read(root, &workers.join(name), 100).unwrap_err();
            assert!(why.contains(part) && !why.contains("root:"), "{name}: {why}");
        }
        assert_eq!(left_out(&workers).len(), 5);
        fs::remove_dir_all(&place).unwrap();
    }
}
