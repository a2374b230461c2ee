//! The name of a script's worker, derived from the name of its file.

use kapelle_core::Name;

/// The longest name.
const MOST: usize = 80;

/// Derives the worker's name from `stem`, the file's name without its ending. Every stem gives a name: letters with
/// marks lose them, other characters become `_`, and a name that does not begin with a letter gets `script_` in front.
pub(super) fn name(stem: &str) -> Name {
    if let Ok(name) = Name::parse(stem) {
        return name;
    }
    let mut name = String::with_capacity(stem.len());
    let mut lost = false;
    for letter in stem.chars() {
        match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' => name.push(letter),
            _ => match plain(letter) {
                Some(plain) => name.push_str(plain),
                None => {
                    lost |= letter.is_alphanumeric();
                    if !name.ends_with('_') {
                        name.push('_');
                    }
                }
            },
        }
    }
    let trimmed = name.trim_matches('_');
    let mut name = if trimmed.starts_with(|first: char| first.is_ascii_alphabetic()) {
        trimmed.to_owned()
    } else {
        format!("script_{trimmed}").trim_end_matches('_').to_owned()
    };
    if lost || name.len() > MOST {
        // Stems in another alphabet, or with a long end, would give one name for different files.
        let mark = format!("_{:08x}", fnv(stem));
        name.truncate(MOST - mark.len());
        name = format!("{}{mark}", name.trim_end_matches('_'));
    }
    Name::new(&name)
}

/// Returns a Latin letter without its marks.
fn plain(letter: char) -> Option<&'static str> {
    let rows = [
        ("a", "àáâãåāăą"),
        ("ae", "äæ"),
        ("c", "çćĉċč"),
        ("d", "ďđð"),
        ("e", "èéêëēĕėęě"),
        ("g", "ĝğġģ"),
        ("h", "ĥħ"),
        ("i", "ìíîïĩīĭįı"),
        ("j", "ĵ"),
        ("k", "ķ"),
        ("l", "ĺļľŀł"),
        ("n", "ñńņňŋ"),
        ("o", "òóôõōŏő"),
        ("oe", "öøœ"),
        ("r", "ŕŗř"),
        ("s", "śŝşšș"),
        ("ss", "ß"),
        ("t", "ţťŧț"),
        ("th", "þ"),
        ("u", "ùúûũūŭůűų"),
        ("ue", "ü"),
        ("w", "ŵ"),
        ("y", "ýÿŷ"),
        ("z", "źżž"),
        ("A", "ÀÁÂÃÅĀĂĄ"),
        ("Ae", "ÄÆ"),
        ("C", "ÇĆĈĊČ"),
        ("D", "ĎĐÐ"),
        ("E", "ÈÉÊËĒĔĖĘĚ"),
        ("G", "ĜĞĠĢ"),
        ("H", "ĤĦ"),
        ("I", "ÌÍÎÏĨĪĬĮİ"),
        ("J", "Ĵ"),
        ("K", "Ķ"),
        ("L", "ĹĻĽĿŁ"),
        ("N", "ÑŃŅŇŊ"),
        ("O", "ÒÓÔÕŌŎŐ"),
        ("Oe", "ÖØŒ"),
        ("R", "ŔŖŘ"),
        ("S", "ŚŜŞŠȘ"),
        ("T", "ŢŤŦȚ"),
        ("Th", "Þ"),
        ("U", "ÙÚÛŨŪŬŮŰŲ"),
        ("Ue", "Ü"),
        ("W", "Ŵ"),
        ("Y", "ÝŸŶ"),
        ("Z", "ŹŻŽ"),
        // Marks that follow their letter, as file systems of macOS write them.
        ("", "\u{300}\u{301}\u{302}\u{303}\u{304}\u{306}\u{307}\u{308}\u{30a}\u{30b}\u{30c}\u{327}\u{328}"),
    ];
    rows.into_iter().find(|(_, letters)| letters.contains(letter)).map(|(plain, _)| plain)
}

/// Returns a short hash of a text (FNV-1a).
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_name_gives_a_name() {
        for (stem, wanted) in [
            ("ingest", "ingest"),
            ("a.b-c_d", "a.b-c_d"),
            ("01_ingest", "script_01_ingest"),
            ("404", "script_404"),
            ("my worker", "my_worker"),
            ("my worker (copy)", "my_worker_copy"),
            ("übersicht", "uebersicht"),
            ("u\u{308}bersicht", "ubersicht"),
            ("Łódź", "Lodz"),
            ("a@b", "a_b"),
            ("-x", "script_-x"),
            ("@#$", "script"),
        ] {
            assert_eq!(name(stem).as_str(), wanted, "{stem}");
        }
        let long = "a".repeat(200);
        for stem in ["日本", "日本語", "ingest日", "", " ", "_", "é́", long.as_str(), "🦀"] {
            let name = name(stem);
            assert!(Name::parse(name.as_str()).is_ok(), "{stem}: {name}");
        }
        assert_ne!(name("日本"), name("語本"));
    }
}
