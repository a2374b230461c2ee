//! Workflow files: any bytes are read or refused with lines that exist.
#![no_main]

use kapelle_core::definition::{Definition, Problems, STEPS_MAX, graph};
use kapelle_fuzz::stack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: stack::report_overflow(), |bytes: &[u8]| {
    match Definition::parse(bytes, "flow.yaml") {
        Ok(definition) => accepted(&definition),
        Err(problems) => refused(&problems, &String::from_utf8_lossy(bytes)),
    }
});

fn accepted(definition: &Definition) {
    assert!((1..=STEPS_MAX).contains(&definition.step_count()));
    for block in &definition.blocks {
        let levels = graph::levels(block);
        assert_eq!(levels.iter().map(Vec::len).sum::<usize>(), block.steps.len(), "a step has no level");
    }
    assert!(graph::to_text(definition).starts_with(definition.name.as_str()));
    assert!(graph::to_mermaid(definition).starts_with("flowchart"));
}

fn refused(problems: &Problems, source: &str) {
    assert!((1..=Problems::MAX).contains(&problems.problems.len()));
    // YAML ends lines at a lone carriage return as well.
    let lines = source.split(['\n', '\r']).count();
    for problem in &problems.problems {
        assert!(!problem.message.is_empty());
        assert!(problem.line as usize <= lines, "line {} of {lines}: {}", problem.line, problem.message);
        assert_eq!(problem.line == 0, problem.column == 0, "{}", problem.message);
    }
    let shown = problems.render(source);
    assert!(shown.starts_with("error: ") && !problems.to_string().is_empty());
    // At most a hundred problems, each with one line of at most 120 characters: what is shown stays readable.
    assert!(shown.len() <= 4 * source.len() + problems.problems.len() * 4_096, "{} bytes are shown", shown.len());
}
