//! Form fields and notes that state a value without an appearance; viewers draw these themselves.

use hayro_interpret::{
    TransformExt,
    hayro_syntax::{
        Pdf,
        object::{Array, Dict, Name, Object, Rect, Stream, String as Bytes},
        page::Page as SourcePage,
    },
    kurbo::Point,
};

use super::{
    pdf::catalog,
    pdf_info::text_string,
    pdf_page::{Glyph, Page},
};

/// The deepest level of a field below the form; deeper ones are circular.
const DEPTH_MAX: usize = 32;

/// The font size of a field that states no size, in points.
const SIZE: f64 = 10.0;

const HIDDEN: u32 = 1 << 1;
const NO_VIEW: u32 = 1 << 5;
const PASSWORD: u32 = 1 << 13;

/// Adds the values that the page shows and the library has not drawn.
pub(super) fn draw_missing(source: &SourcePage<'_>, pdf: &Pdf, page: &mut Page) {
    let Some(annotations) = source.raw().get::<Array<'_>>(b"Annots") else { return };
    let form = catalog(pdf).and_then(|catalog| catalog.get::<Dict<'_>>(b"AcroForm"));
    let is_stale = form.is_some_and(|form| form.get::<bool>(b"NeedAppearances").unwrap_or(false));
    let drawn = page.squeezed();
    for annotation in annotations.iter::<Dict<'_>>() {
        let flags = annotation.get::<u32>(b"F").unwrap_or(0);
        let has_appearance =
            annotation.get::<Dict<'_>>(b"AP").is_some_and(|shown| shown.get::<Object<'_>>(b"N").is_some());
        if flags & (HIDDEN | NO_VIEW) != 0 || (has_appearance && !is_stale) {
            continue;
        }
        let Some(value) = value(&annotation).filter(|value| !value.trim().is_empty()) else { continue };
        let squeezed: String = value.split_whitespace().collect();
        if has_appearance && drawn.contains(&squeezed) {
            continue;
        }
        if let Some(rect) = annotation.get::<Rect>(b"Rect") {
            draw(source, rect, &value, page);
        }
    }
}

/// Returns the text that a field or note shows; `None` when it shows no text of its own.
fn value(annotation: &Dict<'_>) -> Option<String> {
    let subtype = annotation.get::<Name<'_>>(b"Subtype")?;
    match subtype.as_str() {
        "FreeText" => annotation.get::<Bytes<'_>>(b"Contents").map(|text| text_string(text.as_bytes())),
        "Widget" => {
            let kind = inherited(annotation, b"FT")?;
            let Object::Name(kind) = kind else { return None };
            let flags = match inherited(annotation, b"Ff") {
                Some(Object::Number(flags)) => flags.as_i64(),
                _ => 0,
            };
            let is_secret = flags & i64::from(PASSWORD) != 0;
            match kind.as_str() {
                "Tx" if !is_secret => texts(&inherited(annotation, b"V")?, None),
                "Ch" => texts(&inherited(annotation, b"V")?, inherited(annotation, b"Opt").as_ref()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Returns an entry of a field, or of the nearest field above it.
fn inherited<'a>(field: &Dict<'a>, key: &[u8]) -> Option<Object<'a>> {
    let mut at = field.clone();
    for _ in 0..DEPTH_MAX {
        if let Some(found) = at.get::<Object<'a>>(key) {
            return Some(found);
        }
        at = at.get::<Dict<'a>>(b"Parent")?;
    }
    None
}

/// Returns a value as text. A choice may state its export value; then `options` holds the shown text.
fn texts(value: &Object<'_>, options: Option<&Object<'_>>) -> Option<String> {
    match value {
        Object::String(text) => Some(shown(&text_string(text.as_bytes()), options)),
        Object::Stream(long) => stream_text(long),
        Object::Array(several) => {
            let several: Vec<String> =
                several.iter::<Bytes<'_>>().map(|text| shown(&text_string(text.as_bytes()), options)).collect();
            Some(several.join("\n"))
        }
        _ => None,
    }
}

fn stream_text(long: &Stream<'_>) -> Option<String> {
    long.decoded_data().ok().map(|bytes| text_string(&bytes))
}

fn shown(value: &str, options: Option<&Object<'_>>) -> String {
    let Some(Object::Array(options)) = options else { return value.to_owned() };
    let label = options.iter::<Array<'_>>().find_map(|pair| {
        let pair: Vec<String> = pair.iter::<Bytes<'_>>().map(|text| text_string(text.as_bytes())).collect();
        (pair.first()? == value).then(|| pair.get(1).cloned())?
    });
    label.unwrap_or_else(|| value.to_owned())
}

/// Writes the lines of a value into its rectangle.
fn draw(source: &SourcePage<'_>, rect: Rect, value: &str, page: &mut Page) {
    let place = source.initial_transform(false).to_kurbo();
    let corners = [place * Point::new(rect.x0, rect.y0), place * Point::new(rect.x1, rect.y1)];
    let left = corners[0].x.min(corners[1].x);
    let (top, bottom) = (corners[0].y.max(corners[1].y), corners[0].y.min(corners[1].y));
    let lines: Vec<&str> = value.split(['\r', '\n']).filter(|line| !line.trim().is_empty()).collect();
    let size = ((top - bottom) / lines.len().max(1) as f64).clamp(1.0, SIZE);
    // One line stands in the middle of its field, several from its top.
    let first = if lines.len() == 1 { (top + bottom - size) / 2.0 } else { top - size };
    for (at, line) in lines.iter().enumerate() {
        let width = line.chars().count() as f64 * size / 2.0;
        let height = first - at as f64 * size * 1.2;
        page.break_line();
        page.glyph(&Glyph { text: line, start: left, width, height, size, direction: (1.0, 0.0) });
    }
}
