//! Letters of glyphs whose font does not name them: from the fonts' own tables, and from the character collections of
//! Chinese, Japanese and Korean.

use std::{collections::HashMap, sync::Arc};

use hayro_interpret::{
    CMapResolverFn,
    font::{Glyph, OutlineFontData},
    hayro_cmap::{BfString, CMap, CMapName, load_embedded},
    hayro_syntax::{
        Pdf,
        object::{Array, Dict, Name, Object, Stream, String as Bytes},
    },
};
use skrifa::{FontRef, MetadataProvider};

/// The most fonts that are read for their letters; a book has a few dozen.
const FONTS_MAX: usize = 1_000;

/// Finder of letters for one document.
pub(super) struct Fonts<'a> {
    pdf: &'a Pdf,
    /// The letter of each glyph, by the content of the font program.
    programs: HashMap<u128, HashMap<u32, char>>,
    /// Composite fonts that do not name their letters, by font name. `None` until the first lookup.
    composite: Option<HashMap<String, Composite>>,
}

/// A font whose codes stand for characters of a known collection.
struct Composite {
    /// Code to character of the collection.
    encoding: CMap,
    /// Whether the codes are Unicode already.
    is_unicode: bool,
    /// Character of the collection to letter.
    letters: Option<CMap>,
}

impl<'a> Fonts<'a> {
    /// Makes the finder; fonts are read on demand.
    pub(super) fn new(pdf: &'a Pdf) -> Fonts<'a> {
        Fonts { pdf, programs: HashMap::new(), composite: None }
    }

    /// Returns the letters of a glyph; `None` when the file does not tell them.
    pub(super) fn letters(&mut self, glyph: &Glyph<'_>) -> Option<String> {
        match glyph {
            // The glyphs of bitmap fonts often have codes instead of names.
            Glyph::Type3(drawn) => u8::try_from(drawn.char_code())
                .ok()
                .filter(u8::is_ascii_graphic)
                .map(|byte| char::from(byte).to_string()),
            Glyph::Outline(outline) => {
                let font = outline.font_data()?;
                self.collected(&font, outline.char_code())
                    .or_else(|| self.program(&font).get(&outline.glyph_id().to_u32()).map(char::to_string))
            }
        }
    }

    fn collected(&mut self, font: &OutlineFontData, code: u32) -> Option<String> {
        let pdf = self.pdf;
        let composite = self.composite.get_or_insert_with(|| composite_fonts(pdf));
        composite.get(font.postscript_name.as_ref()?)?.letters(code)
    }

    fn program(&mut self, font: &OutlineFontData) -> &HashMap<u32, char> {
        if self.programs.len() > FONTS_MAX {
            self.programs.clear();
        }
        self.programs.entry(font.cache_key).or_insert_with(|| {
            let Ok(program) = FontRef::new((*font.data).as_ref()) else { return HashMap::new() };
            let mut letters = HashMap::new();
            for (code, glyph) in program.charmap().mappings() {
                // Symbol fonts have their codes in the private range.
                let code = if (0xf020..=0xf07e).contains(&code) { code - 0xf000 } else { code };
                if let Some(letter) = char::from_u32(code).filter(|letter| !letter.is_control()) {
                    letters.entry(glyph.to_u32()).or_insert(letter);
                }
            }
            letters
        })
    }
}

impl Composite {
    fn of(font: &Dict<'_>) -> Option<Composite> {
        let name = font.get::<Name<'_>>(b"Encoding");
        let encoding = match &name {
            Some(name) => resolve(CMapName::from_bytes(name.as_ref())).and_then(parse),
            None => font.get::<Stream<'_>>(b"Encoding").and_then(|map| parse(&map.decoded_data().ok()?)),
        }?;
        let inner = font.get::<Array<'_>>(b"DescendantFonts")?.iter::<Dict<'_>>().next()?;
        let ordering = inner.get::<Dict<'_>>(b"CIDSystemInfo").and_then(|info| info.get::<Bytes<'_>>(b"Ordering"));
        let collection = match ordering.as_ref().map(|ordering| ordering.as_bytes()) {
            Some(b"Japan1") => Some(CMapName::AdobeJapan1Ucs2),
            Some(b"GB1") => Some(CMapName::AdobeGb1Ucs2),
            Some(b"CNS1") => Some(CMapName::AdobeCns1Ucs2),
            Some(b"Korea1" | b"KR") => Some(CMapName::AdobeKorea1Ucs2),
            _ => None,
        };
        let is_unicode = name.is_some_and(|name| name.as_str().starts_with("Uni"));
        Some(Composite { encoding, is_unicode, letters: collection.and_then(load_embedded).and_then(parse) })
    }

    fn letters(&self, code: u32) -> Option<String> {
        if self.is_unicode {
            return unicode(code).map(String::from);
        }
        let cid = (1..=4).find_map(|length| self.encoding.lookup_cid_code(code, length))?;
        let letters = self.letters.as_ref()?;
        match letters.lookup_bf_string(cid) {
            Some(BfString::Char(letter)) => Some(letter.to_string()),
            Some(BfString::String(letters)) => Some(letters),
            None => (1..=4)
                .find_map(|length| letters.lookup_cid_code(cid, length))
                .and_then(char::from_u32)
                .map(String::from),
        }
    }
}

/// Decodes a code of an encoding in UCS-2 or UTF-16.
fn unicode(code: u32) -> Option<char> {
    let (high, low) = (u16::try_from(code >> 16).ok()?, u16::try_from(code & 0xffff).ok()?);
    let units = if high == 0 { vec![low] } else { vec![high, low] };
    char::decode_utf16(units).next()?.ok()
}

/// Returns the composite fonts of a document that do not name their letters, by name without the mark of a subset.
fn composite_fonts(pdf: &Pdf) -> HashMap<String, Composite> {
    let mut found = HashMap::new();
    for object in pdf.objects() {
        let Object::Dict(font) = object else { continue };
        let is_composite = font.get::<Name<'_>>(b"Subtype").is_some_and(|subtype| subtype.as_str() == "Type0");
        if !is_composite || font.contains_key(b"ToUnicode") || found.len() >= FONTS_MAX {
            continue;
        }
        if let Some(name) = font.get::<Name<'_>>(b"BaseFont")
            && let Some(composite) = Composite::of(&font)
        {
            found.insert(without_mark(name.as_str()).to_owned(), composite);
        }
    }
    found
}

/// Returns the name of a font without the six letters and the plus that mark a subset.
fn without_mark(name: &str) -> &str {
    match name.split_once('+') {
        Some((mark, rest)) if mark.len() == 6 && mark.bytes().all(|byte| byte.is_ascii_uppercase()) => rest,
        _ => name,
    }
}

fn parse(map: impl AsRef<[u8]>) -> Option<CMap> {
    CMap::parse(map.as_ref(), resolve)
}

/// The predefined encodings, with the later editions of those in UTF-16 read as the first one.
pub(super) fn cmaps() -> CMapResolverFn {
    Arc::new(resolve)
}

fn resolve(name: CMapName<'_>) -> Option<&'static [u8]> {
    load_embedded(name).or_else(|| match name {
        CMapName::Custom(b"UniJIS2004-UTF16-H" | b"UniJISX0213-UTF16-H" | b"UniJISPro-UTF16-H") => {
            load_embedded(CMapName::UniJisUtf16H)
        }
        CMapName::Custom(b"UniJIS2004-UTF16-V" | b"UniJISX0213-UTF16-V" | b"UniJISPro-UTF16-V") => {
            load_embedded(CMapName::UniJisUtf16V)
        }
        CMapName::Custom(b"UniJISPro-UCS2-HW-V" | b"UniJISPro-UCS2-V") => load_embedded(CMapName::UniJisUcs2V),
        _ => None,
    })
}
