//! Secrets removed from what scripts write.
//!
//! Known values are removed from answers, errors, progress and logs: as they are and as a script would print them, in
//! JSON, in a URL, as hex digits, and in base64 at any offset of the encoded text. In lines, the parts of a value that
//! was cut at the end of a line are removed too. Text that only looks like a key is removed from logs and errors; from
//! an answer only if it has the exact form of a secret of Kapelle, because other text may be the requested answer.

use std::{collections::BTreeSet, sync::Arc};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::Value;

/// The text that replaces a secret.
const INSTEAD: &str = "[redacted]";
/// Prefixes of keys and tokens, with the minimum number of characters that follow.
const PATTERNS: [(&str, usize); 5] = [("sk-", 16), ("kap_", 16), ("Bearer ", 16), ("ghp_", 20), ("AKIA", 16)];
/// Prefixes of Kapelle's secrets: tokens of the gateway, the token of a folder, keys and tickets.
const OWN: [&str; 2] = ["kap_", kapelle_gateway::access::PREFIX];
/// The path in front of a link that answers an approval.
const LINK: &str = "/approve/";
/// Hex digits of the shortest secret of Kapelle.
const OWN_DIGITS: usize = 64;
/// Minimum length for searching parts and encodings of a value; a shorter value is searched whole and as it is, because
/// its parts could be anything.
const LONG: usize = 16;
/// Minimum length of a recognised part of a value at the beginning or end of a line.
const PART: usize = 10;
/// Minimum length of the part at the beginning of a line after a line that ended with a part.
const REST: usize = 3;
/// Minimum length of a recognised part that fills a whole line.
const PIECE: usize = 6;

/// Removes known values and what looks like a key.
#[derive(Debug, Clone, Default)]
pub(super) struct Redactor(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    values: Vec<String>,
    /// Search automaton for all forms of the values; `None` without values, or with too many.
    forms: Option<AhoCorasick>,
    /// Values that may be cut at the end of a line: long values, and their base64 forms.
    long: Vec<String>,
}

impl Redactor {
    /// Makes a redactor for these values.
    pub(super) fn of(mut values: Vec<String>) -> Redactor {
        values.sort();
        values.dedup();
        let forms: BTreeSet<String> = values.iter().flat_map(|value| forms(value)).collect();
        let mut build = AhoCorasick::builder();
        // The longest first: one value may begin like another.
        build.match_kind(MatchKind::LeftmostLongest);
        let forms = if forms.is_empty() { None } else { build.build(&forms).ok() };
        let cut = |value: &String| {
            let coded = |text: String| STANDARD_NO_PAD.encode(text);
            [value.clone(), coded(value.clone()), coded(format!("{value}\n"))]
        };
        let long = values.iter().filter(|value| value.len() >= LONG).flat_map(cut).collect();
        Redactor(Arc::new(Known { values, forms, long }))
    }

    /// Returns a redactor that knows this value too.
    pub(super) fn and(&self, secret: Option<&str>) -> Redactor {
        match secret {
            None => self.clone(),
            Some(secret) => Redactor::of(self.0.values.iter().cloned().chain([secret.to_owned()]).collect()),
        }
    }

    /// Removes known values and secrets of Kapelle from an answer.
    pub(super) fn clean_answer(&self, answer: Value) -> Value {
        match answer {
            Value::String(text) => Value::String(self.clean_text(text)),
            Value::Array(items) => items.into_iter().map(|item| self.clean_answer(item)).collect(),
            Value::Object(fields) => {
                let clean = |(name, value)| (self.clean_text(name), self.clean_answer(value));
                Value::Object(fields.into_iter().map(clean).collect())
            }
            plain => plain,
        }
    }

    fn clean_text(&self, text: String) -> String {
        let text = self.without_known(text);
        let text = if text.contains('\n') && !self.0.long.is_empty() { self.without_cut(&text) } else { text };
        let text = OWN.iter().fold(text, |text, begins| {
            if text.contains(begins) { without(&text, begins, OWN_DIGITS, |c| c.is_ascii_hexdigit()) } else { text }
        });
        without_links(text)
    }

    fn without_known(&self, text: String) -> String {
        match &self.0.forms {
            Some(forms) if forms.is_match(&text) => {
                let mut clean = String::with_capacity(text.len());
                forms.replace_all_with(&text, &mut clean, |_, _, clean| {
                    clean.push_str(INSTEAD);
                    true
                });
                clean
            }
            _ => text,
        }
    }

    /// Removes the parts of values that were cut at line ends.
    fn without_cut(&self, text: &str) -> String {
        let mut least = PART;
        let clean = |line: &str| {
            let clean = self.without_parts(line, least);
            // After a recognised part, a shorter rest counts too.
            least = if clean.trim_end().ends_with(INSTEAD) { REST } else { PART };
            clean
        };
        text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
    }

    /// Removes from a line the parts of values that began on the line before, or end on the next.
    fn without_parts(&self, line: &str, least: usize) -> String {
        let mut line = line.to_owned();
        for value in &self.0.long {
            let bare = line.trim();
            if bare.len() >= PIECE && value.contains(bare) {
                return INSTEAD.to_owned();
            }
            let most = value.len().min(line.len());
            let ends = |&part: &usize| value.is_char_boundary(part) && line.trim_end().ends_with(&value[..part]);
            if let Some(part) = (PART..most).rev().find(ends) {
                let keep = line.trim_end().len() - part;
                line.replace_range(keep.., INSTEAD);
            }
            let most = value.len().min(line.len());
            let begins = |&part: &usize| {
                let from = value.len() - part;
                value.is_char_boundary(from) && line.trim_start().starts_with(&value[from..])
            };
            if let Some(part) = (least..most).rev().find(begins) {
                let from = line.len() - line.trim_start().len();
                line.replace_range(from..from + part, INSTEAD);
            }
        }
        line
    }

    /// Removes the secrets from lines.
    pub(super) fn clean(&self, text: &str) -> String {
        let text = without_links(self.without_known(text.to_owned()));
        let mut text = match self.0.long.is_empty() {
            true => text,
            false => self.without_cut(&text),
        };
        for (begins, least) in PATTERNS {
            if text.contains(begins) {
                text = without(&text, begins, least, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            }
        }
        text
    }
}

/// Returns the forms in which a value may be printed.
fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    let json = serde_json::to_string(value).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    forms.extend([json.replace('/', "\\/"), json]);
    let percent = |keeps: fn(&u8) -> bool, small: bool| {
        let mut text = String::new();
        for byte in value.as_bytes() {
            match (keeps(byte), small) {
                (true, _) => text.push(char::from(*byte)),
                (false, true) => text.push_str(&format!("%{byte:02x}")),
                (false, false) => text.push_str(&format!("%{byte:02X}")),
            }
        }
        text
    };
    let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let of_script = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(byte);
    let with_slash = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(byte);
    for keeps in [unreserved as fn(&u8) -> bool, of_script, with_slash] {
        for text in [percent(keeps, false), percent(keeps, true)] {
            forms.extend([text.replace("%20", "+"), text]);
        }
    }
    let escaped: String = value
        .encode_utf16()
        .map(|unit| if unit < 128 { String::from(char::from(unit as u8)) } else { format!("\\u{unit:04x}") })
        .collect();
    forms.push(escaped);
    if value.len() >= LONG {
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        forms.extend([hex.to_uppercase(), hex]);
        forms.extend(base64(value));
    }
    forms.retain(|form| !form.is_empty());
    forms
}

/// Returns the base64 forms of a value at every offset, without the characters that depend on the text before and after
/// it.
fn base64(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let padded = [vec![0; before], value.as_bytes().to_vec()].concat();
        let coded = STANDARD_NO_PAD.encode(&padded);
        let from = (before * 8).div_ceil(6);
        let to = padded.len() * 8 / 6;
        let middle = coded.get(from..to).unwrap_or_default();
        forms.extend([middle.to_owned(), middle.replace('+', "-").replace('/', "_")]);
    }
    // A value that is encoded alone is complete to its last character.
    let coded = STANDARD_NO_PAD.encode(value);
    forms.extend([coded.replace('+', "-").replace('/', "_"), format!("{coded}=="), format!("{coded}="), coded]);
    forms
}

/// Removes links that answer an approval: `/approve/TENANT.TASK.UNTIL.MAC`, with a MAC of 32 hex digits.
fn without_links(text: String) -> String {
    if !text.contains(LINK) {
        return text;
    }
    let mut clean = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(LINK) {
        let (before, link) = rest.split_at(at + LINK.len());
        let end = link.find(|c: char| !(c.is_ascii_hexdigit() || c == '.')).unwrap_or(link.len());
        let is_link = link[..end].trim_end_matches('.').rsplit_once('.').is_some_and(|(_, mac)| mac.len() == 32);
        clean.push_str(before);
        clean.push_str(if is_link { INSTEAD } else { &link[..end] });
        rest = &link[end..];
    }
    clean.push_str(rest);
    clean
}

/// Removes the words that begin with `begins`, followed by at least `least` characters of a kind.
fn without(text: &str, begins: &str, least: usize, goes_on: impl Fn(char) -> bool) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(begins) {
        let after = &rest[at + begins.len()..];
        let long = after.find(|c: char| !goes_on(c)).unwrap_or(after.len());
        clean.push_str(&rest[..at]);
        if long >= least {
            clean.push_str(INSTEAD);
        } else {
            clean.push_str(&rest[at..at + begins.len() + long]);
        }
        rest = &after[long..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "kap_0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

    #[test]
    fn known_values_and_what_looks_like_a_key_go() {
        let redactor = Redactor::of(vec!["hunter2!".to_owned(), "hunter2!!".to_owned()]);
        assert_eq!(redactor.clean("a hunter2!! b hunter2!"), "a [redacted] b [redacted]");
        assert_eq!(redactor.clean("key=sk-abcdefghijklmnop1234 ok"), "key=[redacted] ok");
        assert_eq!(redactor.clean("Authorization: Bearer abcdefghijklmnopqrst"), "Authorization: [redacted]");
        let told = redactor.and(Some("sk-own-own-own-own-own")).clean_answer(json!({
            "a": ["hunter2!!", 7, { "hunter2!": "sk-own-own-own-own-own" }], "b": "sk-abcdefghijklmnop1234",
        }));
        let wanted = json!({
            "a": ["[redacted]", 7, { "[redacted]": "[redacted]" }], "b": "sk-abcdefghijklmnop1234",
        });
        assert_eq!(told, wanted);
        for plain in ["sk-short", "task-list-of-things", "é ß", "a kapelle_worker"] {
            assert_eq!(redactor.clean(plain), plain);
        }
    }

    #[test]
    fn a_secret_of_kapelle_is_never_an_answer_also_when_it_is_not_known() {
        let nothing = Redactor::default();
        for begins in ["kap_", kapelle_gateway::access::PREFIX] {
            let secret = format!("{begins}{}", "0123456789abcdef".repeat(if begins == "kap_" { 4 } else { 5 }));
            let told = nothing.clean_answer(json!({ "text": format!("it is {secret}."), secret: 1 }));
            assert_eq!(told, json!({ "text": "it is [redacted].", "[redacted]": 1 }), "{begins}");
        }
        let link = format!("see http://127.0.0.1:7863/approve/1.7.1790000000000.{}, soon", "a1".repeat(16));
        let told = "see http://127.0.0.1:7863/approve/[redacted], soon";
        assert_eq!(nothing.clean_answer(json!(link.clone())), json!(told));
        assert_eq!(nothing.clean(&link), told);
        for plain in [
            "/approve/ is a page",
            "/approve/1.7",
            "kap_ is a prefix",
            "kap_d436",
            "kapelle_worker",
            "sk-kapelle-",
            "mishkap_0123456789",
        ] {
            assert_eq!(nothing.clean_answer(json!(plain)), json!(plain));
        }
    }

    #[test]
    fn a_known_value_goes_in_every_form_a_script_would_print() {
        let odd = "p/ss+w\"ör d&=x?y";
        for value in [TOKEN, "sk-proj-Ab+/9Zq77_-Kd0aa11bb22", odd] {
            let redactor = Redactor::of(vec![value.to_owned()]);
            let coded = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
            let url = |text: String| base64::engine::general_purpose::URL_SAFE.encode(text);
            let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
            let mut printed = vec![value.to_owned(), json!(value).to_string(), hex.to_uppercase(), hex];
            for before in ["", "a", "ab", "user:", "{\"token\":\""] {
                printed.extend(["", "\n", "z", "\"}"].map(|after| coded(format!("{before}{value}{after}"))));
                printed.extend(["", "\n"].map(|after| url(format!("{before}{value}{after}"))));
            }
            printed.push("https://x/?k=".to_owned() + &forms(value)[6]);
            for text in printed {
                let clean = redactor.clean_answer(json!(text.clone()));
                assert!(clean.as_str().unwrap().contains(INSTEAD), "{text} -> {clean}");
                assert!(redactor.clean(&text).contains(INSTEAD), "{text}");
            }
        }
    }

    #[test]
    fn a_value_that_was_cut_into_lines_goes_in_parts() {
        let redactor = Redactor::of(vec![TOKEN.to_owned()]);
        for width in [12, 20, 30, 33, 60, 66] {
            for text in [TOKEN.to_owned(), STANDARD_NO_PAD.encode(format!("{TOKEN}\n"))] {
                let lines: Vec<&str> =
                    (0..text.len()).step_by(width).map(|at| &text[at..text.len().min(at + width)]).collect();
                let logged: Vec<String> = lines.iter().map(|line| redactor.clean(line)).collect();
                let left: String = logged.concat().replace(INSTEAD, "");
                assert!(left.len() < PIECE, "{width}: {logged:?}");
                let answer = redactor.clean_answer(json!(format!("it is {}!", lines.join("\n"))));
                let left = answer.as_str().unwrap().replace(INSTEAD, "").replace('\n', "");
                assert!(left.len() < "it is !".len() + PIECE, "{width}: {answer}");
            }
        }
        assert_eq!(redactor.clean("the token kap_ begins"), "the token kap_ begins");
    }
}
