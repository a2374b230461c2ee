//! Files of prompt workers: any text is read or refused with a line that exists.
#![no_main]

use kapelle_fuzz::stack;
use kapelle_workers::PromptDefinition;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: stack::report_overflow(), |bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    match PromptDefinition::parse("worker.yaml", bytes) {
        Ok(definition) => {
            assert!(!definition.spec().name.as_str().is_empty() && definition.spec().slots >= 1);
            let _ = (definition.alias(), definition.offline());
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() as u32;
            for problem in &problems.problems {
                assert!(!problem.message.is_empty());
                assert!(problem.line <= lines, "line {} of {lines}: {problems}", problem.line);
            }
        }
    }
});
