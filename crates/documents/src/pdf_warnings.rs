//! Warnings for a reader of the text of a PDF, gathered by page.

use std::collections::BTreeMap;

/// The most pages that are named one by one.
const NAMED_MAX: usize = 20;

/// The pages with something missing, by what is missing.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    lost: Vec<(u32, String)>,
    parts: BTreeMap<String, Vec<u32>>,
    fonts: Vec<u32>,
    unknown: BTreeMap<u32, usize>,
    images: Vec<u32>,
}

impl Warnings {
    /// Reports a page that gave nothing.
    pub(super) fn lost(&mut self, page: u32, why: &str) {
        self.lost.push((page, why.to_owned()));
    }

    /// Reports a part of a page that gave nothing.
    pub(super) fn part(&mut self, page: u32, why: &str) {
        let pages = self.parts.entry(why.to_owned()).or_default();
        if pages.last() != Some(&page) {
            pages.push(page);
        }
    }

    /// Reports a font of a page that cannot be read.
    pub(super) fn font(&mut self, page: u32) {
        if self.fonts.last() != Some(&page) {
            self.fonts.push(page);
        }
    }

    /// Reports glyphs of a page whose letters are unknown.
    pub(super) fn unknown(&mut self, page: u32, count: usize) {
        self.unknown.insert(page, count);
    }

    /// A page holds images and no text.
    pub(super) fn image_only(&mut self, page: u32) {
        self.images.push(page);
    }

    /// Returns the number of pages that gave nothing.
    pub(super) fn lost_pages(&self) -> usize {
        self.lost.len()
    }

    /// Returns why the first page was lost, when all `read` pages were, and whether `reason` is why all of them were;
    /// `None` otherwise.
    pub(super) fn every_page_lost(&self, read: usize, reason: &str) -> Option<(String, bool)> {
        let (page, why) = self.lost.first().filter(|_| self.lost.len() >= read)?;
        Some((format!("page {page}: {why}"), self.lost.iter().all(|(_, why)| why == reason)))
    }

    /// The warnings as sentences, those about the document last.
    pub(super) fn finish(self, document: Vec<String>) -> Vec<String> {
        let mut out: Vec<String> =
            self.lost.iter().take(NAMED_MAX).map(|(page, why)| format!("page {page} was left out: {why}")).collect();
        if self.lost.len() > NAMED_MAX {
            out.push(format!("{} more pages were left out", self.lost.len() - NAMED_MAX));
        }
        out.extend(self.parts.iter().map(|(why, on)| format!("{}: {why}", pages(on))));
        if !self.fonts.is_empty() {
            out.push(format!("{}: a font cannot be read, so text in it may be missing or wrong", pages(&self.fonts)));
        }
        if !self.unknown.is_empty() {
            let on: Vec<u32> = self.unknown.keys().copied().collect();
            let count: usize = self.unknown.values().sum();
            out.push(format!(
                "{}: {count} glyphs whose letters the file does not tell are shown as U+FFFD",
                pages(&on)
            ));
        }
        if !self.images.is_empty() {
            out.push(format!("{}: no text but images; probably a scan", pages(&self.images)));
        }
        out.extend(document);
        out
    }
}

/// `page 3` or `pages 1-4, 9`.
fn pages(on: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &page in on {
        match runs.last_mut() {
            Some((_, last)) if page == *last + 1 => *last = page,
            Some((_, last)) if page == *last => {}
            _ => runs.push((page, page)),
        }
    }
    let more = if runs.len() > NAMED_MAX { " and others" } else { "" };
    let named: Vec<String> = runs
        .iter()
        .take(NAMED_MAX)
        .map(|&(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    let word = if on.len() == 1 { "page" } else { "pages" };
    format!("{word} {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_in_runs() {
        assert_eq!(pages(&[3]), "page 3");
        assert_eq!(pages(&[1, 2, 3, 7, 9, 10]), "pages 1-3, 7, 9-10");
    }

    #[test]
    fn every_kind_of_loss_is_said_once() {
        let mut warnings = Warnings::default();
        warnings.lost(2, "it is broken");
        warnings.font(3);
        warnings.font(3);
        warnings.unknown(4, 2);
        warnings.unknown(5, 3);
        warnings.image_only(6);
        assert_eq!(warnings.every_page_lost(1, "other"), Some(("page 2: it is broken".to_owned(), false)));
        assert_eq!(warnings.every_page_lost(1, "it is broken"), Some(("page 2: it is broken".to_owned(), true)));
        assert_eq!(warnings.every_page_lost(2, "other"), None);
        assert_eq!(
            warnings.finish(vec!["it is a form".to_owned()]),
            [
                "page 2 was left out: it is broken",
                "page 3: a font cannot be read, so text in it may be missing or wrong",
                "pages 4-5: 5 glyphs whose letters the file does not tell are shown as U+FFFD",
                "page 6: no text but images; probably a scan",
                "it is a form",
            ]
        );
    }
}
