#!/usr/bin/env python3
"""Writes the sample documents from the texts in source/.

    python3 samples/make_documents.py

annual-report.pdf     a report of more than twenty pages, with headings, tables and page numbers
service-review.docx   a review of two or three pages

Only the standard library is used, and the same texts give the same bytes every time. ticket-policy.html is written by
hand. Marks in the texts: "# " chapter, "## " section, "! " title, "- " and "1. " list items, "| a | b |" table rows.
"""

import zipfile
import zlib
from pathlib import Path
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
STAMP = (2026, 3, 2, 9, 0, 0)

# Advance widths of Helvetica and Helvetica-Bold for the characters from blank to tilde, in thousandths of the size.
REGULAR = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
]
BOLD = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584,
]

PAGE_WIDTH, PAGE_HEIGHT = 595, 842
LEFT, RIGHT, TOP, BOTTOM = 85, 510, 760, 90
SIZE, LEADING = 12, 18


def width(text, size, bold=False):
    table = BOLD if bold else REGULAR
    return sum(table[ord(letter) - 32] for letter in text) * size / 1000


def blocks(name):
    """The paragraphs of a text, each with its kind."""
    kinds = {"# ": "chapter", "## ": "section", "! ": "title", "- ": "item"}
    for block in (HERE / "source" / name).read_text(encoding="ascii").strip().split("\n\n"):
        for mark, kind in kinds.items():
            if block.startswith(mark) and kind != "item":
                yield kind, block[len(mark):]
                break
        else:
            if block.startswith("| "):
                yield "table", [[cell.strip() for cell in row.strip("|").split(" | ")] for row in block.split("\n")]
            elif block.startswith("- ") or block[:3] == "1. ":
                yield "list", block.split("\n")
            else:
                yield "text", block


class Report:
    """Lays text out on pages; each page is a list of drawing operations."""

    def __init__(self):
        self.pages = []
        self.contents = []

    def new_page(self):
        self.pages.append([])
        self.y = TOP

    def room(self, height):
        if self.y - height < BOTTOM:
            self.new_page()

    def put(self, x, text, size=SIZE, bold=False, spacing=0.0):
        text = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        font = "F2" if bold else "F1"
        self.pages[-1].append(f"BT /{font} {size} Tf {spacing:.3f} Tw 1 0 0 1 {x:.2f} {self.y:.2f} Tm ({text}) Tj ET")

    def lines(self, text, size, bold=False):
        """Breaks at blanks, and after the hyphen of a compound word."""
        line = ""
        for word in text.split():
            first, hyphen, second = word.partition("-")
            halves = [first + "-", second] if hyphen and len(first) > 2 and len(second) > 2 else [word]
            for at, part in enumerate(halves):
                joined = line + (" " if line and at == 0 else "") + part
                if line and width(joined, size, bold) > RIGHT - LEFT:
                    yield line, False
                    line = part
                else:
                    line = joined
        yield line, True

    def paragraph(self, text):
        lines = list(self.lines(text, SIZE))
        for at, (line, last) in enumerate(lines):
            # No single line of a paragraph at the foot of a page.
            self.room(2 * LEADING if at == 0 and len(lines) > 1 else LEADING)
            blanks = line.count(" ")
            loose = 0 if last or not blanks else (RIGHT - LEFT - width(line, SIZE)) / blanks
            self.put(LEFT, line, spacing=loose)
            self.y -= LEADING
        self.y -= 9

    def heading(self, text, size, before):
        self.room(before + 4 * LEADING)
        self.y -= before
        for line, _ in self.lines(text, size, bold=True):
            self.put(LEFT, line, size, bold=True)
            self.y -= size * 1.5
        self.y -= 4

    def table(self, rows):
        columns = len(rows[0])
        first = 210 if columns > 2 else 290
        starts = [LEFT] + [LEFT + first + (RIGHT - LEFT - first) * at / (columns - 1) for at in range(columns - 1)]
        self.room(len(rows) * LEADING if len(rows) < 20 else LEADING)
        for at, row in enumerate(rows):
            self.room(LEADING)
            for x, cell in zip(starts, row):
                self.put(x, cell, 11, bold=at == 0 or row[0] == "Total")
            self.y -= LEADING
        self.y -= 9

    def chapter(self, text):
        self.new_page()
        self.contents.append((text, len(self.pages)))
        self.heading(text, 20, 0)

    def number_pages(self):
        for number, page in enumerate(self.pages, 1):
            if number > 1:
                page.append(f"BT /F1 9 Tf 0 Tw 1 0 0 1 {LEFT} 50 Tm (Tarn Valley Library Network   Annual report) Tj ET")
                page.append(f"BT /F1 9 Tf 0 Tw 1 0 0 1 {RIGHT - 12} 50 Tm ({number}) Tj ET")


def lay_out(name, title, subtitle):
    report = Report()
    report.new_page()
    report.y = 520
    report.put(LEFT, title, 28, bold=True)
    report.y -= 40
    report.put(LEFT, subtitle, 14)
    report.new_page()
    for kind, block in blocks(name):
        if kind == "chapter":
            report.chapter(block)
        elif kind == "section":
            report.heading(block, 14, 10)
        elif kind == "table":
            report.table(block)
        else:
            report.paragraph(block)
    body, report.pages = report.pages, [report.pages[0], []]
    report.y = TOP
    report.heading("Contents", 20, 0)
    for text, number in report.contents:
        report.put(LEFT, text)
        report.put(RIGHT - width(str(number), SIZE), str(number))
        report.y -= LEADING + 4
    report.pages += body[2:]
    report.number_pages()
    return report.pages


def write_pdf(path, pages, title, author):
    """A PDF 1.4 file: catalog, page tree, two fonts, information, then a page and its content for each page."""
    objects = {1: b"<< /Type /Catalog /Pages 2 0 R >>"}
    kids = " ".join(f"{6 + 2 * at} 0 R" for at in range(len(pages)))
    objects[2] = f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>".encode()
    for number, font in ((3, "Helvetica"), (4, "Helvetica-Bold")):
        objects[number] = f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>".encode()
    date = "D:%04d%02d%02d%02d%02d%02dZ" % STAMP
    objects[5] = f"<< /Title ({title}) /Author ({author}) /CreationDate ({date}) >>".encode()
    for at, page in enumerate(pages):
        content = zlib.compress("\n".join(page).encode("ascii"), 9)
        objects[6 + 2 * at] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {PAGE_WIDTH} {PAGE_HEIGHT}] /Contents {7 + 2 * at} 0 R"
            " /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>"
        ).encode()
        objects[7 + 2 * at] = (
            f"<< /Length {len(content)} /Filter /FlateDecode >>\nstream\n".encode() + content + b"\nendstream"
        )
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number in range(1, len(objects) + 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + objects[number] + b"\nendobj\n"
    xref = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, xref)
    path.write_bytes(out)


WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def word_paragraph(text, style=None, numbered=False):
    properties = f'<w:pStyle w:val="{style}"/>' if style else ""
    if numbered:
        properties += '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
    properties = f"<w:pPr>{properties}</w:pPr>" if properties else ""
    return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def word_table(rows):
    cell = "<w:tc><w:tcPr><w:tcW w:w=\"3000\" w:type=\"dxa\"/></w:tcPr>{}</w:tc>"
    body = "".join("<w:tr>" + "".join(cell.format(word_paragraph(text)) for text in row) + "</w:tr>" for row in rows)
    return f'<w:tbl><w:tblPr><w:tblW w:w="0" w:type="auto"/></w:tblPr>{body}</w:tbl>'


def word_body(name):
    for kind, block in blocks(name):
        if kind == "title":
            yield word_paragraph(block, "Title")
        elif kind == "chapter":
            yield word_paragraph(block, "Heading1")
        elif kind == "table":
            yield word_table(block)
        elif kind == "list":
            yield from (word_paragraph(line.split(" ", 1)[1], "ListParagraph", numbered=True) for line in block)
        else:
            yield word_paragraph(block)


def write_docx(path, name, title, author):
    style = '<w:style w:type="paragraph" w:styleId="{}"><w:name w:val="{}"/><w:rPr><w:b/><w:sz w:val="{}"/></w:rPr></w:style>'
    styles = style.format("Title", "Title", 40) + style.format("Heading1", "heading 1", 28)
    types = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{types}.document.main+xml"/>'
        f'<Override PartName="/word/styles.xml" ContentType="{types}.styles+xml"/>'
        f'<Override PartName="/word/numbering.xml" ContentType="{types}.numbering+xml"/>'
        '<Override PartName="/docProps/core.xml" '
        'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{relation}/officeDocument" Target="word/document.xml"/>'
        f'<Relationship Id="r2" Type="{package}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
        "</Relationships>",
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{relation}/styles" Target="styles.xml"/>'
        f'<Relationship Id="r2" Type="{relation}/numbering" Target="numbering.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{"".join(word_body(name))}</w:body></w:document>',
        "word/styles.xml": f'<w:styles xmlns:w="{WORD}">{styles}</w:styles>',
        "word/numbering.xml": f'<w:numbering xmlns:w="{WORD}"><w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0">'
        '<w:numFmt w:val="bullet"/><w:lvlText w:val="-"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>',
        "docProps/core.xml": '<cp:coreProperties xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:dcterms="http://purl.org/dc/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xmlns:cp="{package}/metadata/core-properties"><dc:title>{escape(title)}</dc:title>'
        f"<dc:creator>{escape(author)}</dc:creator>"
        f'<dcterms:created xsi:type="dcterms:W3CDTF">{"%04d-%02d-%02dT%02d:%02d:%02dZ" % STAMP}</dcterms:created>'
        "</cp:coreProperties>",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for part, text in parts.items():
            info = zipfile.ZipInfo(part, STAMP)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, HEAD + text, compresslevel=9)


def main():
    title = "Tarn Valley Library Network: Annual report"
    pages = lay_out("annual-report.txt", "Annual report", "Tarn Valley Library Network")
    write_pdf(HERE / "annual-report.pdf", pages, title, "Tarn Valley Library Network")
    write_docx(
        HERE / "service-review.docx",
        "service-review.txt",
        "Service review: the help desk in its second year",
        "Operations team",
    )
    print(f"annual-report.pdf: {len(pages)} pages")


if __name__ == "__main__":
    main()
