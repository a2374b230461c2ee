//! Copies the built console to the output folder, from which it is embedded; without it a page that says how to make it.
//!
//! Node is never started here: `make ui` builds the console, and a build without Node goes on.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Bytes of the whole console that are embedded at most.
const MOST: u64 = 16 << 20;

fn main() -> io::Result<()> {
    let variable = |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name.to_owned()));
    let built = variable("CARGO_MANIFEST_DIR")?.join("../../ui/dist");
    let out = variable("OUT_DIR")?.join("dist");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/absent.html");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    if !built.join("index.html").is_file() {
        // A path that does not exist would be rebuilt each time: `make ui` touches this file.
        fs::copy("src/absent.html", out.join("index.html"))?;
        return Ok(());
    }
    println!("cargo:rerun-if-changed={}", built.display());
    let bytes = copy(&built, &out)?;
    if bytes > MOST {
        let told =
            format!("ui/dist: {bytes} bytes; expected at most {MOST}; build it with `make ui`, without source maps");
        return Err(io::Error::other(told));
    }
    Ok(())
}

/// Copies a folder without source maps and hidden files. Returns the bytes.
fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            fs::create_dir_all(&target)?;
            bytes += copy(&path, &target)?;
        } else if path.extension().is_none_or(|ending| ending != "map") {
            println!("cargo:rerun-if-changed={}", path.display());
            bytes += fs::copy(&path, &target)?;
        }
    }
    Ok(bytes)
}
