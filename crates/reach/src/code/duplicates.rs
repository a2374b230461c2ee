//! Blocks of lines that stand in several places.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use super::lines::Finding;

/// Lines of a block, without empty ones.
const BLOCK: usize = 10;
/// Characters of a block at least: braces alone are no block.
const LEAST: usize = 200;
/// Blocks that are remembered.
const KNOWN_MAX: usize = 500_000;

/// Blocks that were seen, by their digests.
#[derive(Default)]
pub(super) struct Blocks {
    known: HashMap<u64, (usize, usize)>,
    files: Vec<String>,
}

impl Blocks {
    /// Adds a file. Returns a finding for each run of lines that was seen before.
    pub(super) fn add(&mut self, name: &str, lines: &[&str]) -> Vec<Finding> {
        let file = self.files.len();
        self.files.push(name.to_owned());
        let written: Vec<(usize, &str)> =
            lines.iter().enumerate().map(|(at, line)| (at, line.trim())).filter(|(_, line)| !line.is_empty()).collect();
        let mut found = Vec::new();
        let mut after = 0;
        for (at, block) in written.windows(BLOCK).enumerate() {
            if block.iter().map(|(_, line)| line.len()).sum::<usize>() < LEAST {
                continue;
            }
            let mut hasher = DefaultHasher::new();
            block.iter().for_each(|(_, line)| line.hash(&mut hasher));
            let (first, digest) = (block.first().map_or(0, |(line, _)| *line), hasher.finish());
            match self.known.get(&digest) {
                // Overlapping blocks are one finding, and a block within the file must be elsewhere.
                Some((other, line)) if at >= after && (*other != file || line + BLOCK <= first) => {
                    let place = self.files.get(*other).map_or("", String::as_str);
                    let message = format!(
                        "at least {BLOCK} lines are equal to those at {place}:{}; put them into one place",
                        line + 1
                    );
                    found.push(Finding::new("duplicate", first + 1, message));
                    after = at + BLOCK;
                }
                Some(_) => {}
                None if self.known.len() < KNOWN_MAX => drop(self.known.insert(digest, (file, first))),
                None => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_in_two_files_is_one_finding() {
        let line = |number: usize| format!("    let value_{number} = compute_something_long({number});");
        let block: Vec<String> = (0..14).map(line).collect();
        let block: Vec<&str> = block.iter().map(String::as_str).collect();
        let mut blocks = Blocks::default();
        assert!(blocks.add("a.rs", &block).is_empty());
        let other: Vec<&str> = ["fn f() {", ""].into_iter().chain(block.iter().copied()).collect();
        let found = blocks.add("b.rs", &other);
        assert_eq!((found.len(), found[0].line), (1, 3));
        assert!(found[0].message.contains("a.rs:1"), "{found:?}");
        let braces = vec!["}"; 40];
        assert!(blocks.add("c.rs", &braces).is_empty() && blocks.add("d.rs", &braces).is_empty());
    }
}
