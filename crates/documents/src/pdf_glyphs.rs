//! The device that a page is drawn on: it keeps the letters and their positions, and ignores everything else.

use hayro_interpret::{
    BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, SoftMask,
    font::{Glyph as Shape, GlyphRun, PositionedGlyph},
    hayro_cmap::{BfString, WritingMode},
    hayro_syntax::object::{Dict, String as Bytes},
    kurbo::{Affine, BezPath, Point, Rect},
};

use super::{
    pdf::Counted,
    pdf_direction::without_shapes,
    pdf_fonts::Fonts,
    pdf_info::text_string,
    pdf_page::{Glyph, Page},
};

/// Units of glyph coordinates per font size.
const UNITS: f64 = 1_000.0;

/// The longest replacement text, in bytes; a longer one is taken for a mistake, and the glyphs count.
const ACTUAL_MAX: usize = 10_000;

/// Marked content that is open.
enum Span {
    /// Content whose glyphs are its text.
    Drawn,
    /// Content that states its own text, which replaces all of its glyphs.
    Stated { text: String, written: bool },
}

/// Collects the glyphs of a page.
pub(super) struct Glyphs<'p, 'a> {
    page: &'p mut Page,
    fonts: &'p mut Fonts<'a>,
    /// The visible area of the page; text outside it is ignored.
    bounds: Rect,
    spans: Vec<Span>,
    /// The latest run, which may be drawn a second time as an outline.
    latest: Option<(Affine, usize)>,
    counted: Counted,
}

impl<'p, 'a> Glyphs<'p, 'a> {
    /// Makes a device that writes to `page` the text within `bounds`.
    pub(super) fn new(page: &'p mut Page, fonts: &'p mut Fonts<'a>, bounds: Rect) -> Glyphs<'p, 'a> {
        Glyphs { page, fonts, bounds, spans: Vec::new(), latest: None, counted: Counted::default() }
    }

    /// Returns the counts of what was drawn beside the letters.
    pub(super) fn counted(self) -> Counted {
        self.counted
    }

    fn glyph(&mut self, glyph: &PositionedGlyph<'a>, mut placed: Placed, next: Option<&Placed>) {
        // A font need not state the width of a glyph; then the glyph reaches to the next one.
        if placed.glyph.width == 0.0
            && let Some(next) = next
        {
            placed.glyph.width = (next.glyph.start - placed.glyph.start).clamp(0.0, placed.size);
        }
        if !self.bounds.inflate(placed.size, placed.size).contains(placed.origin) {
            return;
        }
        let stated = self.spans.iter_mut().rev().find_map(|span| match span {
            Span::Stated { text, written } => Some((text, written)),
            Span::Drawn => None,
        });
        let text = match stated {
            // The further glyphs of the span only make it wider.
            Some((_, true)) => String::new(),
            Some((text, written)) => {
                *written = true;
                text.clone()
            }
            None => self.letters(glyph),
        };
        self.page.glyph(&Glyph { text: &text, ..placed.glyph });
    }

    fn letters(&mut self, glyph: &PositionedGlyph<'a>) -> String {
        let told = match glyph.as_unicode() {
            Some(BfString::Char(letter)) => Some(letter.to_string()),
            Some(BfString::String(letters)) => Some(letters),
            None => None,
        };
        let is_known = |letters: &String| !letters.chars().all(|c| c == '\0' || c == char::REPLACEMENT_CHARACTER);
        let known = told.filter(is_known).or_else(|| self.fonts.letters(glyph));
        match known {
            Some(letters) => without_shapes(letters.replace('\u{f0b7}', "•")),
            None => {
                self.counted.unknown += 1;
                char::REPLACEMENT_CHARACTER.to_string()
            }
        }
    }
}

/// Says whether the glyphs of a run are fitted to the widths that the file states, because another font replaces one
/// that is not in the file: then they differ in their proportions.
fn is_stretched(run: &GlyphRun<'_, '_>) -> bool {
    let proportion = |glyph: &PositionedGlyph<'_>| {
        let [a, b, c, d, ..] = glyph.transform().as_coeffs();
        a.hypot(b) / c.hypot(d)
    };
    let mut proportions = run.glyphs().iter().map(proportion);
    let Some(first) = proportions.next() else { return false };
    run.glyphs().len() == 1 || proportions.any(|other| (other - first).abs() > 0.005 * first)
}

/// A glyph and its position along and across its own line.
struct Placed {
    glyph: Glyph<'static>,
    origin: Point,
    size: f64,
}

impl Placed {
    /// Returns `None` for a glyph with impossible coordinates. The glyphs of a `stretched` run are drawn wider or
    /// narrower than they count.
    fn of(glyph: &Shape<'_>, place: Affine, vertical: bool, stretched: bool) -> Option<Placed> {
        let [a, b, c, d, x, y] = place.as_coeffs();
        let (across, upright) = (a.hypot(b), c.hypot(d));
        let is_sane = |length: f64| length.is_finite() && length > 0.0;
        if !(is_sane(across) && is_sane(upright) && x.is_finite() && y.is_finite()) {
            return None;
        }
        let size = upright * UNITS;
        let advance = match glyph {
            Shape::Outline(outline) => outline.advance_width(),
            Shape::Type3(drawn) => drawn.advance_width(),
        };
        let (direction, width) = if vertical {
            ((-c / upright, -d / upright), size)
        } else {
            (
                (a / across, b / across),
                f64::from(advance.unwrap_or(0.0)).max(0.0) * if stretched { upright } else { across },
            )
        };
        let glyph = Glyph {
            text: "",
            start: x * direction.0 + y * direction.1,
            width,
            height: y * direction.0 - x * direction.1,
            size,
            direction,
        };
        Some(Placed { glyph, origin: Point::new(x, y), size })
    }
}

impl<'a> Device<'a> for Glyphs<'_, 'a> {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, mode: &DrawMode) {
        let Some(first) = run.glyphs().first() else { return };
        let signature = (props.transform * first.transform(), run.glyphs().len());
        // Text that is filled and outlined is drawn twice at the same place.
        if matches!(mode, DrawMode::Stroke(_)) && self.latest == Some(signature) {
            return;
        }
        self.latest = Some(signature);
        let vertical = matches!(run.writing_mode(), WritingMode::Vertical);
        let stretched = is_stretched(run);
        let place =
            |glyph: &PositionedGlyph<'a>| Placed::of(glyph, props.transform * glyph.transform(), vertical, stretched);
        let mut next = place(first);
        for (at, glyph) in run.glyphs().iter().enumerate() {
            if self.page.is_full() {
                return;
            }
            let here = next.take();
            next = run.glyphs().get(at + 1).and_then(place);
            if let Some(here) = here {
                self.glyph(glyph, here, next.as_ref());
            }
        }
    }

    fn begin_marked_content(&mut self, _tag: &[u8], properties: Option<&Dict<'_>>) {
        let stated = properties.and_then(|properties| properties.get::<Bytes<'_>>(b"ActualText"));
        let stated = stated.filter(|text| text.as_bytes().len() <= ACTUAL_MAX);
        self.spans.push(match stated {
            Some(text) => Span::Stated { text: text_string(text.as_bytes()), written: false },
            None => Span::Drawn,
        });
    }

    fn end_marked_content(&mut self) {
        self.spans.pop();
    }

    fn draw_image(&mut self, _image: Image<'a, '_>, _props: ImageDrawProps<'a>) {
        self.counted.images += 1;
    }

    fn draw_path(&mut self, _path: &BezPath, _props: DrawProps<'a>, _mode: &DrawMode) {}

    fn push_clip_path(&mut self, _path: &ClipPath) {}

    fn push_transparency_group(&mut self, _opacity: f32, _mask: Option<SoftMask<'a>>, _mode: BlendMode) {}

    fn pop_clip(&mut self) {}

    fn pop_transparency_group(&mut self) {}
}
