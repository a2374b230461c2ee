//! Expressions, fields and prompts. An input whose first byte is a control character is spelled out by a grammar;
//! every other is taken as it stands.
#![no_main]

use arbitrary::Unstructured;
use kapelle_fuzz::{grammar, oracle, stack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: stack::report_overflow(), |bytes: &[u8]| {
    match bytes.split_first() {
        Some((first, rest)) if *first < 9 => {
            let mut choices = Unstructured::new(rest);
            let expression = grammar::expression(&mut choices);
            oracle::expression(&expression);
            oracle::prompt(&format!("{{{{ {expression} }}}}"));
            oracle::prompt(&grammar::prompt(&mut choices));
        }
        _ => {
            let text = String::from_utf8_lossy(bytes);
            oracle::expression(&text);
            oracle::template(&text);
            oracle::prompt(&text);
        }
    }
});
