//! The key `tenants` of worker files and of the settings of scripts.

use kapelle_core::{TenantId, Tenants};

/// Tenants of one file.
const MOST: usize = 1_000;

/// Reads `tenants: all`, or `tenants: [2, 3]`.
///
/// # Errors
/// The problem, for the person who wrote the file.
pub fn tenants(written: &[String]) -> Result<Tenants, String> {
    match written {
        [word] if word == "all" => return Ok(Tenants::All),
        [] => return Ok(Tenants::owner()),
        _ if written.len() > MOST => {
            return Err(format!("tenants: {} numbers; expected at most {MOST}, or `all`", written.len()));
        }
        _ => {}
    }
    let number = |text: &String| text.parse::<u32>().ok().filter(|number| *number > 0).map(TenantId);
    let numbers = written.iter().map(|text| number(text).ok_or(text)).collect::<Result<_, _>>();
    numbers.map(Tenants::Only).map_err(|text| {
        let shown: String = text.chars().take(40).collect();
        format!("tenants: `{shown}` is not a tenant; expected `all` or a list of numbers from 1, such as [2, 3]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_the_word_for_all_are_read_and_nothing_else() {
        let read = |words: &[&str]| tenants(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(read(&["all"]), Ok(Tenants::All));
        assert_eq!(read(&[]), Ok(Tenants::owner()));
        assert_eq!(read(&["2", "3"]), Ok(Tenants::Only(vec![TenantId(2), TenantId(3)])));
        for words in [&["everybody"][..], &["0"], &["-1"], &["2", "all"], &["4294967296"], &["1.5"]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
