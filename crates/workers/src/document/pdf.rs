//! Text out of PDF files, page by page.
//!
//! The library below panics on many broken files. Each page is read by itself, so that one bad page costs one page.

use std::{
    collections::{BTreeMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use pdf_extract::{Dictionary, Document, Object, ObjectId};

use super::{
    model::{ExtractError, Extracted, Format, Options, PageOffset},
    pdf_layout::Layout,
    pdf_page::Page,
    sink::Sink,
};

/// A document has at most this many pages.
const PAGES_MAX: usize = 100_000;

/// A page tree is at most this deep; deeper ones run in circles.
const DEPTH_MAX: usize = 64;

/// US letter, for a page that does not say how large it is. Text does not depend on it.
const PAPER: [i64; 4] = [0, 0, 612, 792];

/// Reads a PDF file.
pub(super) fn extract(bytes: &[u8], options: &Options) -> Result<Extracted, ExtractError> {
    let mut document = guarded(|| load(bytes))??;
    let pages = page_tree(&mut document)?;
    let count = u32::try_from(pages.len()).unwrap_or(u32::MAX);
    let (first, last) = options.pages.unwrap_or((1, count));
    if first > count {
        return Err(ExtractError::NoSuchPages(format!("it has {count}, and page {first} was asked for")));
    }
    let wanted = last.min(count) - first + 1;
    let read = wanted.min(options.max_pages);
    let mut sink = Sink::new(options.max_output_bytes);
    let mut pages_read = Vec::new();
    let mut bad: Vec<(u32, String)> = Vec::new();
    let mut layout = Layout::default();
    for number in first..first + read {
        if sink.is_full() {
            break;
        }
        sink.paragraph();
        pages_read.push(PageOffset { page: number, offset: sink.next_offset() });
        match read_page(&mut document, pages[number as usize - 1], options.max_output_bytes) {
            Ok(page) => layout.write(page, &mut sink),
            Err(why) => bad.push((number, why)),
        }
    }
    if let Some((number, why)) = bad.first()
        && bad.len() == pages_read.len()
    {
        return Err(ExtractError::Damaged(format!("no page can be read (page {number}: {why})")));
    }
    let (text, full) = sink.finish();
    let mut extracted = Extracted::of(Format::Pdf, text, full || read < wanted);
    extracted.pages = count;
    extracted.page_offsets = pages_read;
    extracted.warnings =
        bad.iter().take(20).map(|(number, why)| format!("page {number} was left out: {why}")).collect();
    if extracted.words == 0 && bad.is_empty() {
        extracted.warnings.push("the pages hold no text; they are probably scanned images".to_owned());
    }
    extracted.metadata = guarded(|| metadata(&document)).unwrap_or_default();
    extracted.title = extracted.metadata.remove("title");
    Ok(extracted)
}

/// Runs library code that may panic; a panic is the file's fault.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, ExtractError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| ExtractError::Damaged(last_words(panic.as_ref())))
}

/// What a panic said, in short.
pub(super) fn last_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let words: String = text.unwrap_or("no reason given").chars().take(200).collect();
    format!("its structure is broken ({words})")
}

fn load(bytes: &[u8]) -> Result<Document, ExtractError> {
    let document = Document::load_mem(bytes).map_err(|error| match error {
        pdf_extract::Error::InvalidPassword => ExtractError::Encrypted,
        error => ExtractError::Damaged(format!("it cannot be read as a PDF ({error})")),
    })?;
    // A file with an empty user password opens for everybody and is no longer marked here.
    if document.trailer.get(b"Encrypt").is_ok() && !document.was_encrypted() {
        return Err(ExtractError::Encrypted);
    }
    Ok(document)
}

/// The pages in order. Loops and repeated nodes are left out, and every page gets a size.
fn page_tree(document: &mut Document) -> Result<Vec<ObjectId>, ExtractError> {
    let damaged = |why: &str| ExtractError::Damaged(why.to_owned());
    let root = document.catalog().and_then(|catalog| catalog.get(b"Pages")).and_then(Object::as_reference);
    let mut pending = vec![root.map_err(|_| damaged("it has no list of pages; the file was probably cut off"))?];
    let mut seen = HashSet::new();
    let mut pages = Vec::new();
    while let Some(id) = pending.pop() {
        let Ok(node) = document.get_dictionary(id) else { continue };
        if !seen.insert(id) {
            continue;
        }
        if let Some(kids) = node.get(b"Kids").ok().and_then(|kids| document.dereference(kids).ok()?.1.as_array().ok()) {
            pending.extend(kids.iter().rev().filter_map(|kid| kid.as_reference().ok()));
            continue;
        }
        if pages.len() == PAGES_MAX {
            return Err(ExtractError::TooLarge(format!("it has more than {PAGES_MAX} pages")));
        }
        pages.push(id);
    }
    if pages.is_empty() {
        return Err(damaged("it has no pages"));
    }
    for &page in &pages {
        let sized = is_sized(document, page).ok_or_else(|| damaged("its list of pages runs in circles"))?;
        if !sized && let Ok(page) = document.get_object_mut(page).and_then(Object::as_dict_mut) {
            page.set("MediaBox", PAPER.map(Object::Integer).to_vec());
        }
    }
    Ok(pages)
}

/// Whether a page or one above it states a size; `None` when the way up does not end.
fn is_sized(document: &Document, page: ObjectId) -> Option<bool> {
    let mut at = page;
    let mut sized = false;
    for _ in 0..DEPTH_MAX {
        let Ok(node) = document.get_dictionary(at) else { return Some(sized) };
        sized = sized || node.has(b"MediaBox");
        match node.get(b"Parent").and_then(Object::as_reference) {
            Ok(parent) => at = parent,
            Err(_) => return Some(sized),
        }
    }
    None
}

fn read_page(document: &mut Document, id: ObjectId, limit: usize) -> Result<Page, String> {
    show_only(document, id).map_err(|error| error.to_string())?;
    let document = &*document;
    let mut page = Page::new(limit);
    let outcome = guarded(|| pdf_extract::output_doc_page(document, &mut page, 1));
    match outcome {
        // A page that holds more than may be kept is as good as one that was read.
        Ok(Ok(())) | Ok(Err(_)) if page.is_full() => Ok(page),
        Ok(Ok(())) => Ok(page),
        Ok(Err(error)) => Err(error.to_string()),
        Err(ExtractError::Damaged(why)) => Err(why),
        Err(error) => Err(error.to_string()),
    }
}

/// Makes this the only page of the document: the library walks the whole page tree for each page it is asked for,
/// which would cost the square of the number of pages.
fn show_only(document: &mut Document, page: ObjectId) -> Result<(), pdf_extract::Error> {
    const ONLY: ObjectId = (u32::MAX, 0);
    let node = Dictionary::from_iter([
        ("Type", Object::Name(b"Pages".to_vec())),
        ("Count", Object::Integer(1)),
        ("Kids", Object::Array(vec![Object::Reference(page)])),
    ]);
    document.objects.insert(ONLY, Object::Dictionary(node));
    document.catalog_mut()?.set("Pages", Object::Reference(ONLY));
    Ok(())
}

/// What the file says about itself.
fn metadata(document: &Document) -> BTreeMap<String, String> {
    let known: [(&[u8], &str); 8] = [
        (b"Title", "title"),
        (b"Author", "author"),
        (b"Subject", "subject"),
        (b"Keywords", "keywords"),
        (b"Creator", "application"),
        (b"Producer", "producer"),
        (b"CreationDate", "created"),
        (b"ModDate", "modified"),
    ];
    let info = document.trailer.get(b"Info").and_then(|info| document.dereference(info)).and_then(|(_, i)| i.as_dict());
    let Ok(info) = info else { return BTreeMap::new() };
    let read = |key: &[u8]| {
        let (_, value) = document.dereference(info.get(key).ok()?).ok()?;
        let value = pdf_extract::decode_text_string(value).ok()?;
        let value: String = value.chars().filter(|c| !c.is_control()).take(1_000).collect();
        (!value.trim().is_empty()).then(|| value.trim().to_owned())
    };
    known.iter().filter_map(|(key, name)| Some(((*name).to_owned(), read(key)?))).collect()
}
