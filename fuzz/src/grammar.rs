//! Expressions and prompts from bytes. Most of what comes out compiles, so that evaluation is reached.

use arbitrary::Unstructured;
use kapelle_core::expr::{filter_names, test_names};

/// Expressions are nested this deep.
const DEPTH: usize = 6;
/// Statements of one block.
const STATEMENTS: usize = 4;

const NAMES: [&str; 22] = [
    "inputs",
    "inputs.name",
    "inputs.n",
    "inputs.list",
    "inputs.empty",
    "inputs.gone",
    "steps",
    "steps.fetch.output",
    "steps.fetch.output.score",
    "steps.fetch.output.rows",
    "steps['my-step'].output",
    "vars.least",
    "vars.most",
    "vars.big",
    "vars.tiny",
    "vars",
    "item",
    "many",
    "long",
    "deep",
    "deep.a.a.a",
    "nothing",
];
const NUMBERS: [&str; 22] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "1e3",
    "1e308",
    "5e-324",
    "255",
    "0x7f",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "170141183460469231731687303715884105727",
    "-170141183460469231731687303715884105728",
    "1_000",
    "1.",
    "2147483647",
    "-2147483648",
];
const TEXTS: [&str; 12] = [
    "''",
    "' '",
    "'a'",
    "'é😀'",
    "'id'",
    "'a.a'",
    "'12'",
    "'-0.0'",
    "'9223372036854775808'",
    "'\\n\\u00e9'",
    "'}}'",
    "\"%}\"",
];
const OPERATORS: [&str; 19] =
    ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "not in", "+"];
const KEYWORDS: [&str; 8] = ["attribute", "reverse", "case_sensitive", "by", "default", "precision", "boolean", "base"];

/// One expression.
pub fn expression(choices: &mut Unstructured<'_>) -> String {
    let mut text = String::new();
    value(choices, DEPTH, &mut text);
    text
}

/// The text of a prompt.
pub fn prompt(choices: &mut Unstructured<'_>) -> String {
    let mut text = String::new();
    block(choices, 3, &mut text);
    text
}

fn below(choices: &mut Unstructured<'_>, count: usize) -> usize {
    choices.choose_index(count).unwrap_or(0)
}

fn one_of(choices: &mut Unstructured<'_>, words: &[&str], text: &mut String) {
    text.push_str(words[below(choices, words.len())]);
}

fn value(choices: &mut Unstructured<'_>, depth: usize, text: &mut String) {
    // Without bytes that are left to choose from, the first alternative ends the expression.
    let kinds = if depth == 0 || choices.is_empty() { 4 } else { 14 };
    match below(choices, kinds) {
        0 | 4 => one_of(choices, &NAMES, text),
        1 => one_of(choices, &NUMBERS, text),
        2 => one_of(choices, &TEXTS, text),
        3 => one_of(choices, &["true", "false", "none", "[]", "{}"], text),
        5 | 6 => {
            value(choices, depth - 1, text);
            text.push(' ');
            one_of(choices, &OPERATORS, text);
            text.push(' ');
            value(choices, depth - 1, text);
        }
        7 | 8 => filter(choices, depth, text),
        9 => test(choices, depth, text),
        10 => {
            let kind = below(choices, 5);
            text.push_str(["-", "not ", "(", "(-", "(not "][kind]);
            value(choices, depth - 1, text);
            text.push_str(if kind > 1 { ")" } else { "" });
        }
        11 => lookup(choices, depth, text),
        12 => collection(choices, depth, text),
        _ => {
            value(choices, depth - 1, text);
            text.push_str(" if ");
            value(choices, depth - 1, text);
            text.push_str(" else ");
            value(choices, depth - 1, text);
        }
    }
}

fn filter(choices: &mut Unstructured<'_>, depth: usize, text: &mut String) {
    value(choices, depth - 1, text);
    text.push_str(" | ");
    one_of(choices, filter_names(), text);
    if let arguments @ 1.. = below(choices, 4) {
        text.push('(');
        for _ in 0..arguments {
            match below(choices, 5) {
                0 => {
                    one_of(choices, &KEYWORDS, text);
                    text.push('=');
                }
                1 => {
                    text.push('\'');
                    let words = if below(choices, 2) == 0 { filter_names() } else { test_names() };
                    one_of(choices, words, text);
                    text.push_str("', ");
                    continue;
                }
                _ => {}
            }
            value(choices, depth - 1, text);
            text.push_str(", ");
        }
        text.push(')');
    }
}

fn test(choices: &mut Unstructured<'_>, depth: usize, text: &mut String) {
    value(choices, depth - 1, text);
    one_of(choices, &[" is ", " is not "], text);
    one_of(choices, test_names(), text);
    if below(choices, 2) == 1 {
        text.push('(');
        value(choices, depth - 1, text);
        text.push(')');
    }
}

fn lookup(choices: &mut Unstructured<'_>, depth: usize, text: &mut String) {
    value(choices, depth - 1, text);
    match below(choices, 3) {
        0 => one_of(choices, &[".a", ".name", ".output", ".0", "['id']", "[0]", "[-1]"], text),
        1 => {
            text.push('[');
            value(choices, depth - 1, text);
            text.push(']');
        }
        _ => {
            text.push('[');
            for mark in [":", ":", "]"] {
                if below(choices, 2) == 1 {
                    value(choices, depth - 1, text);
                }
                text.push_str(mark);
            }
        }
    }
}

fn collection(choices: &mut Unstructured<'_>, depth: usize, text: &mut String) {
    let kind = below(choices, 3);
    text.push_str(["[", "{", "range("][kind]);
    for index in 0..1 + below(choices, 3) {
        text.push_str(if index > 0 { ", " } else { "" });
        if kind == 1 {
            value(choices, 0, text);
            text.push_str(": ");
        }
        value(choices, depth - 1, text);
    }
    text.push_str(["]", "}", ")"][kind]);
}

fn block(choices: &mut Unstructured<'_>, depth: usize, text: &mut String) {
    for _ in 0..1 + below(choices, STATEMENTS) {
        let kinds = if depth == 0 || choices.is_empty() { 3 } else { 8 };
        let (opened, closed) = match below(choices, kinds) {
            0 => {
                one_of(choices, &["text ", "é", "\n", "{", "}}", "{# note #}", "{% raw %}{{ x }}{% endraw %}"], text);
                continue;
            }
            1 => ("{{ ", " }}"),
            2 => ("{% set x = ", " %}"),
            3 => ("{% if ", "{% endif %}"),
            4 => ("{% for x in ", "{% endfor %}"),
            5 => ("{% with x = ", "{% endwith %}"),
            6 => ("{%- for x, y in ", "{%- else -%}none{% endfor -%}"),
            _ => ("{% if ", "{% else %}other{% endif %}"),
        };
        text.push_str(opened);
        if below(choices, 4) == 3 {
            one_of(choices, &["x", "y", "loop.index", "loop.length", "loop", "x.id", "loop.cycle(1, 2)"], text);
        } else {
            value(choices, 3, text);
        }
        if closed.starts_with(' ') {
            text.push_str(closed);
        } else {
            text.push_str(" %}");
            block(choices, depth - 1, text);
            text.push_str(closed);
        }
    }
}
