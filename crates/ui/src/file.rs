//! Lookup of an embedded file by its path below `/ui/`.

use include_dir::{Dir, include_dir};

static CONSOLE: Dir<'_> = include_dir!("$OUT_DIR/dist");

/// The page that every path of the console shows: the router in the page reads the path.
const PAGE: &str = "index.html";
/// The folder of files whose names change with their content.
const HASHED: &str = "assets/";

/// An embedded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Its bytes, as they are sent.
    pub bytes: &'static [u8],
    /// Media type, with the character set of text.
    pub media_type: &'static str,
    /// Whether the bytes are compressed with gzip.
    pub gzip: bool,
    /// Whether its name changes with its content, so that a browser may keep it for good.
    pub is_immutable: bool,
}

/// Returns the file at a path below `/ui/`: the page itself for a path that names a view, compressed if the client takes
/// that. `None` for a file that does not exist below `assets/`, which is not a view.
#[must_use]
pub fn find(path: &str, takes_gzip: bool) -> Option<File> {
    find_in(&CONSOLE, path, takes_gzip)
}

fn find_in(folder: &'static Dir<'static>, path: &str, takes_gzip: bool) -> Option<File> {
    let bytes = |path: &str| folder.get_file(path).map(include_dir::File::contents);
    let is_page = path.is_empty() || bytes(path).is_none();
    if is_page && path.starts_with(HASHED) {
        return None;
    }
    let path = if is_page { PAGE } else { path };
    let media_type = media_type(path);
    let is_immutable = path.starts_with(HASHED);
    if let Some(bytes) = bytes(&format!("{path}.gz")).filter(|_| takes_gzip) {
        return Some(File { bytes, media_type, gzip: true, is_immutable });
    }
    Some(File { bytes: bytes(path)?, media_type, gzip: false, is_immutable })
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use include_dir::DirEntry;

    use super::*;

    static SAMPLE: Dir<'_> = Dir::new(
        "",
        &[
            DirEntry::File(include_dir::File::new("index.html", b"<page>")),
            DirEntry::Dir(Dir::new(
                "assets",
                &[
                    DirEntry::File(include_dir::File::new("assets/main-1a2b.js", b"plain")),
                    DirEntry::File(include_dir::File::new("assets/main-1a2b.js.gz", b"packed")),
                ],
            )),
        ],
    );

    #[test]
    fn a_view_is_the_page_and_a_missing_asset_is_nothing() {
        for path in ["", "runs/run_7", "index.html", "..", "../Cargo.toml"] {
            let page = find_in(&SAMPLE, path, true).unwrap();
            assert_eq!((page.bytes, page.is_immutable, page.gzip), (b"<page>".as_slice(), false, false), "{path}");
        }
        assert_eq!(find_in(&SAMPLE, "assets/old-9.js", true), None);
    }

    #[test]
    fn an_asset_is_sent_packed_to_clients_that_take_it() {
        let packed = find_in(&SAMPLE, "assets/main-1a2b.js", true).unwrap();
        assert_eq!((packed.bytes, packed.gzip, packed.is_immutable), (b"packed".as_slice(), true, true));
        assert_eq!(packed.media_type, "text/javascript; charset=utf-8");
        let plain = find_in(&SAMPLE, "assets/main-1a2b.js", false).unwrap();
        assert_eq!((plain.bytes, plain.gzip), (b"plain".as_slice(), false));
    }

    #[test]
    fn the_embedded_console_has_its_page() {
        assert!(!find("", false).unwrap().bytes.is_empty());
    }
}
