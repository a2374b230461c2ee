//! Text out of PDF files, page by page.
//!
//! The library below repairs broken files and reads fonts; words, lines and paragraphs are found here. Each page is
//! read separately, so that one bad page costs one page.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use hayro_interpret::{
    Context, InterpreterCache, InterpreterSettings, InterpreterWarning, RectExt, RenderContent, TransformExt,
    hayro_syntax::{
        DecryptionError, LoadPdfError, Pdf,
        object::{Array, Dict, Object, Stream},
        page::Page as SourcePage,
    },
    interpret_page,
    kurbo::Rect,
};

use super::{
    model::{ExtractError, Extracted, Format, Options, PageOffset},
    pdf_fields,
    pdf_fonts::{Fonts, cmaps},
    pdf_glyphs::Glyphs,
    pdf_info,
    pdf_layout::Layout,
    pdf_page::Page,
    pdf_repair::close_streams,
    pdf_warnings::Warnings,
    sink::Sink,
};

/// The most pages of a document.
const PAGES_MAX: usize = 100_000;

/// The reason for a page that is left out though it may be sound.
const UNSUPPORTED: &str = "its content is packed in a way that is not supported";

/// Reads a PDF file. If the file loses pages, reads it again after repairing what can be repaired.
pub(super) fn extract(bytes: &[u8], options: &Options) -> Result<Extracted, ExtractError> {
    let first = attempt(bytes, options);
    let lost = match &first {
        Ok((_, 0)) => return first.map(|(extracted, _)| extracted),
        Ok((_, lost)) => *lost,
        Err(ExtractError::Damaged(_)) => usize::MAX,
        Err(_) => return first.map(|(extracted, _)| extracted),
    };
    let second = close_streams(bytes).map(|repaired| attempt(&repaired, options));
    match second {
        Some(Ok((extracted, still))) if still < lost => Ok(extracted),
        _ => first.map(|(extracted, _)| extracted),
    }
}

/// Reads a PDF file as it is. Returns the number of lost pages as well.
fn attempt(bytes: &[u8], options: &Options) -> Result<(Extracted, usize), ExtractError> {
    let pdf = guarded(|| load(bytes))??;
    let pages = guarded(|| pdf.pages().len())?;
    if pages > PAGES_MAX {
        return Err(ExtractError::TooLarge(format!("it has more than {PAGES_MAX} pages")));
    }
    let count = u32::try_from(pages).unwrap_or(u32::MAX);
    if count == 0 {
        return Err(ExtractError::Damaged("it has no pages".to_owned()));
    }
    let (first, last) = options.pages.unwrap_or((1, count));
    if first > count {
        return Err(ExtractError::NoSuchPages(format!("it has {count}, and page {first} was asked for")));
    }
    let wanted = last.min(count) - first + 1;
    let read = wanted.min(options.max_pages);
    let mut sink = Sink::new(options.max_output_bytes);
    let mut pages_read = Vec::new();
    let mut warnings = Warnings::default();
    let mut reader = PageReader::new(&pdf);
    let mut layout = Layout::default();
    for number in first..first + read {
        if sink.is_full() {
            break;
        }
        sink.paragraph();
        pages_read.push(PageOffset { page: number, offset: sink.next_offset() });
        if let Some(page) = reader.read(number, options.max_output_bytes, &mut warnings) {
            layout.write(page, &mut sink);
        }
    }
    let lost = warnings.lost_pages();
    if let Some((why, unsupported)) = warnings.every_page_lost(pages_read.len(), UNSUPPORTED) {
        let why = format!("no page can be read ({why})");
        return Err(if unsupported { ExtractError::Unsupported(why) } else { ExtractError::Damaged(why) });
    }
    let (text, full) = sink.finish();
    let mut extracted = Extracted::of(Format::Pdf, text, full || read < wanted);
    extracted.pages = count;
    extracted.page_offsets = pages_read;
    extracted.metadata = guarded(|| pdf_info::metadata(&pdf)).unwrap_or_default();
    extracted.title = extracted.metadata.remove("title");
    extracted.warnings = warnings.finish(guarded(|| pdf_info::beyond_pages(&pdf)).unwrap_or_default());
    if extracted.words == 0 && names_encryption(bytes) && !is_decrypted(bytes) {
        return Err(ExtractError::Encrypted);
    }
    if extracted.words == 0 && extracted.warnings.is_empty() {
        extracted.warnings.push("its pages hold no text".to_owned());
    }
    Ok((extracted, lost))
}

/// Runs library code that may panic; a panic is the file's fault.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, ExtractError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| ExtractError::Damaged(last_words(panic.as_ref())))
}

/// Returns the message of a panic, shortened.
pub(super) fn last_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let words: String = text.unwrap_or("no reason given").chars().take(200).collect();
    format!("its structure is broken ({words})")
}

fn load(bytes: &[u8]) -> Result<Pdf, ExtractError> {
    Pdf::new(bytes.to_vec()).map_err(|error| match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => ExtractError::Encrypted,
        LoadPdfError::Decryption(DecryptionError::UnsupportedAlgorithm) => ExtractError::Unsupported(
            "it is encrypted by a method that is not supported: save a copy without encryption".to_owned(),
        ),
        LoadPdfError::Decryption(_) => ExtractError::Damaged("its encryption is broken".to_owned()),
        // The repair of a broken file does not report that the file needed a password.
        LoadPdfError::Invalid if names_encryption(bytes) => ExtractError::Encrypted,
        LoadPdfError::Invalid => ExtractError::Damaged("it has no pages that can be found".to_owned()),
    })
}

/// Says whether the file declares that it is encrypted.
fn names_encryption(bytes: &[u8]) -> bool {
    let says = |mark: &[u8]| memchr::memmem::find(bytes, mark).is_some();
    says(b"/Encrypt ") || says(b"/Encrypt<")
}

/// Says whether the library noticed the encryption of a file, in which case it refuses an unknown password. It does not
/// notice when it had to repair the file and lost the place that declares it.
fn is_decrypted(bytes: &[u8]) -> bool {
    matches!(Pdf::new_with_password(bytes.to_vec(), "\u{1}no password\u{1}"), Err(LoadPdfError::Decryption(_)))
}

/// Reads the pages of one document.
struct PageReader<'a> {
    pdf: &'a Pdf,
    cache: InterpreterCache<'a>,
    settings: InterpreterSettings,
    /// Warnings of the library while it read the latest page.
    complaints: Arc<Mutex<Vec<InterpreterWarning>>>,
    fonts: Fonts<'a>,
}

impl<'a> PageReader<'a> {
    fn new(pdf: &'a Pdf) -> PageReader<'a> {
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&complaints);
        let settings = InterpreterSettings {
            warning_sink: Arc::new(move |warning| {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
            }),
            cmap_resolver: cmaps(),
            ..InterpreterSettings::default()
        };
        PageReader { pdf, cache: InterpreterCache::new(), settings, complaints, fonts: Fonts::new(pdf) }
    }

    /// Returns the lines of a page. `None` when the page cannot be read; then the warnings say so.
    fn read(&mut self, number: u32, limit: usize, warnings: &mut Warnings) -> Option<Page> {
        let pdf = self.pdf;
        let outcome = guarded(|| {
            let page = pdf.pages().get(number as usize - 1)?;
            Some(self.page(page, number, limit, warnings))
        });
        match outcome {
            Ok(Some(page)) => Some(page),
            Ok(None) => {
                warnings.lost(number, "it cannot be found");
                None
            }
            Err(error) => {
                // The library's cache may hold half-finished work.
                self.cache = InterpreterCache::new();
                warnings.lost(number, error.to_string().trim_start_matches("is damaged: "));
                None
            }
        }
    }

    fn page(&mut self, source: &SourcePage<'a>, number: u32, limit: usize, warnings: &mut Warnings) -> Page {
        let Contents { all, broken, unsupported } = contents(source);
        let mut page = Page::new(limit);
        let mut glyphs = self.interpret(source, RenderContent::PAGE, &mut page);
        if broken > 0 && broken == all {
            warnings.lost(number, if unsupported { UNSUPPORTED } else { "its content cannot be decoded" });
        } else if broken > 0 {
            warnings.part(number, &format!("{broken} of the {all} parts of its content cannot be decoded"));
        }
        let mut notes = Page::new(limit.saturating_sub(page.length()));
        let more = self.interpret(source, RenderContent::ANNOTATIONS, &mut notes);
        pdf_fields::draw_missing(source, self.pdf, &mut notes);
        page.place(notes);
        glyphs.unknown += more.unknown;
        glyphs.images += more.images;
        for complaint in self.complaints.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            match complaint {
                InterpreterWarning::UnsupportedFont => warnings.font(number),
                InterpreterWarning::UnresolvedAnnotationAppearance => {
                    warnings.part(number, "the appearance of a form field or note cannot be read");
                }
                _ => {}
            }
        }
        if glyphs.unknown > 0 {
            warnings.unknown(number, glyphs.unknown);
        }
        if page.is_empty() && glyphs.images > 0 {
            warnings.image_only(number);
        }
        page
    }

    /// Lets the library draw a part of a page, whose text goes to `into`. Coordinates count from the lower left corner
    /// of the page as it is shown, so that a turned page reads like any other.
    fn interpret(&mut self, source: &SourcePage<'a>, content: RenderContent, into: &mut Page) -> Counted {
        let (width, height) = source.render_dimensions();
        let bounds = Rect::new(0.0, 0.0, f64::from(width), f64::from(height));
        let initial = source.initial_transform(false).to_kurbo();
        let settings = InterpreterSettings { render_content: content, ..self.settings.clone() };
        let mut context =
            Context::new(initial, source.intersected_crop_box().to_kurbo(), &self.cache, source.xref(), settings);
        let mut device = Glyphs::new(into, &mut self.fonts, bounds);
        interpret_page(source, &mut context, &mut device);
        device.counted()
    }
}

/// Counts of what a page holds beside its known letters.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    /// Glyphs whose letter is unknown.
    pub unknown: usize,
    /// Images.
    pub images: usize,
}

/// The state of a page's streams.
struct Contents {
    all: usize,
    /// Streams that cannot be decoded.
    broken: usize,
    /// Whether the broken streams are sound as far as can be told.
    unsupported: bool,
}

fn contents(page: &SourcePage<'_>) -> Contents {
    const CONTENTS: &[u8] = b"Contents";
    let is_broken = |stream: &Stream<'_>| has_unknown_filter(stream) || stream.decoded_data().is_err();
    let streams: Vec<Stream<'_>> = match page.raw().get::<Object<'_>>(CONTENTS) {
        Some(Object::Stream(stream)) => vec![stream],
        Some(Object::Array(streams)) => streams.iter::<Stream<'_>>().collect(),
        Some(Object::Null(_)) => return Contents { all: 0, broken: 0, unsupported: false },
        _ => Vec::new(),
    };
    let listed = page.raw().get::<Array<'_>>(CONTENTS).map(|streams| streams.raw_iter().count());
    let all = listed.unwrap_or(usize::from(page.raw().contains_key(CONTENTS)));
    let sound = streams.iter().filter(|stream| !is_broken(stream)).count();
    let broken = all.saturating_sub(sound);
    Contents { all, broken, unsupported: streams.iter().filter(|stream| has_unknown_filter(stream)).count() == broken }
}

/// Says whether a stream uses a filter that the library skips.
fn has_unknown_filter(stream: &Stream<'_>) -> bool {
    let dict = stream.dict();
    let named = match dict.get::<Object<'_>>(b"Filter").or_else(|| dict.get::<Object<'_>>(b"F")) {
        Some(Object::Name(_)) => 1,
        Some(Object::Array(names)) => names.raw_iter().count(),
        _ => 0,
    };
    named > stream.filters().len()
}

/// The catalog of a document; `None` when it is missing.
pub(super) fn catalog(pdf: &Pdf) -> Option<Dict<'_>> {
    pdf.xref().get::<Dict<'_>>(pdf.xref().root_id())
}
