"""Files written byte by byte: what no maker above writes, and what is broken as real files are."""

import os
import re
import zlib

TEXT = ["The library opens at nine.", "Readers find new books on the first shelf.", "Nobody pays for a lost card twice."]
TRUTH = "\n".join(TEXT)
FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"


def content(lines=TEXT):
    return ("BT /F1 12 Tf 50 780 Td 16 TL " + " ".join(f"({line}) Tj T*" for line in lines) + " ET").encode("latin-1")


def stream(data, more=""):
    return f"<< /Length {len(data)} {more} >>\nstream\n".encode() + data + b"\nendstream"


def objects_of(data=None, more="", font=FONT, resources="", page="", extra=(), catalog="", contents="4 0 R"):
    return [f"<< /Type /Catalog /Pages 2 0 R {catalog} >>".encode(), b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {contents} /Resources << /Font << /F1 5 0 R >> {resources} >> {page} >>".encode(),
            stream(content() if data is None else data, more), font.encode() if isinstance(font, str) else font, *extra]


def build(objects, head=b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n", entry=b"%010d 00000 n \n", shift=0, trailer=b"", end=b"%%EOF\n"):
    out, offsets = bytearray(head), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    at = len(out)
    out += b"xref\n0 %d\n" % (len(objects) + 1) + b"%010d 65535 f" % 0 + entry[entry.index(b"n") + 1:]
    for offset in offsets:
        out += entry % offset
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n" % (len(objects) + 1, trailer, at + shift) + end
    return bytes(out)


def xref_stream(objects, packed=(), broken=False, shift=0):
    """A file whose table is a stream, some of whose objects are in an object stream."""
    out, rows = bytearray(b"%PDF-1.5\n"), {0: (0, 0, 255)}
    inside = {number: objects[number - 1] for number in packed}
    holder = len(objects) + 1
    for number, body in enumerate(objects, 1):
        if number in inside:
            continue
        rows[number] = (1, len(out), 0)
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    if inside:
        index, bodies = "", b""
        for at, (number, body) in enumerate(inside.items()):
            index += f"{number} {len(bodies)} "
            bodies += body + b" "
            rows[number] = (2, holder, at)
        data = zlib.compress(index.encode() + bodies)
        rows[holder] = (1, len(out), 0)
        out += b"%d 0 obj\n" % holder + stream(data, f"/Type /ObjStm /N {len(inside)} /First {len(index)} /Filter /FlateDecode") + b"\nendobj\n"
    at, own = len(out), holder + 1
    rows[own] = (1, at, 0)
    table = b"".join(bytes([rows[n][0]]) + rows[n][1].to_bytes(3, "big") + bytes([rows[n][2]]) for n in sorted(rows))
    table = zlib.compress(table)
    if broken:
        table = table[:5] + b"\0\0\0" + table[8:]
    out += b"%d 0 obj\n" % own + stream(table, f"/Type /XRef /Size {own + 1} /W [1 3 1] /Index [0 {own + 1}] /Root 1 0 R /Filter /FlateDecode") + b"\nendobj\n"
    out += b"startxref\n%d\n%%%%EOF\n" % (at + shift)
    return bytes(out)


def lzw(data):
    """Clear codes before each byte's run keep every code at nine bits."""
    bits = ""
    for at, byte in enumerate(data):
        if at % 200 == 0:
            bits += format(256, "09b")
        bits += format(byte, "09b")
    bits += format(257, "09b")
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))


def ascii85(data):
    import base64
    return base64.a85encode(data, adobe=True)[2:]


def run_length(data):
    return b"".join(bytes([len(data[i:i + 128]) - 1]) + data[i:i + 128] for i in range(0, len(data), 128)) + b"\x80"


def up_predicted(data, columns=40):
    data = data + b" " * (-len(data) % columns)
    out, before = b"", bytes(columns)
    for at in range(0, len(data), columns):
        row = data[at:at + columns]
        out += b"\x02" + bytes((row[i] - before[i]) % 256 for i in range(columns))
        before = row
    return zlib.compress(out)


def differences(names):
    return f"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding << /Type /Encoding /Differences [65 {' '.join('/' + n for n in names)}] >> >>"


def composite(encoding, ordering, font="SomeFont"):
    return [f"<< /Type /Font /Subtype /Type0 /BaseFont /{font} /Encoding /{encoding} /DescendantFonts [6 0 R] >>",
            f"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /{font} /CIDSystemInfo << /Registry (Adobe) /Ordering ({ordering}) /Supplement 2 >> /FontDescriptor 7 0 R /DW 1000 >>".encode(),
            f"<< /Type /FontDescriptor /FontName /{font} /Flags 4 /FontBBox [0 0 1000 1000] /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >>".encode()]


def shown(code, size=14):
    return b"BT /F1 %d Tf 50 700 Td <" % size + code.hex().encode() + b"> Tj ET"


def broken():
    whole = build(objects_of())
    yield "startxref-off-1", build(objects_of(), shift=1), TRUTH
    yield "startxref-off-7", build(objects_of(), shift=-7), TRUTH
    yield "startxref-far", build(objects_of(), shift=100_000), TRUTH
    yield "startxref-missing", whole[:whole.rindex(b"startxref")], TRUTH
    yield "xref-missing", re.sub(rb"xref\n.*trailer", b"trailer", whole, flags=re.S), TRUTH
    yield "xref-19-bytes", build(objects_of(), entry=b"%010d 00000 n\n"), TRUTH
    yield "xref-21-bytes", build(objects_of(), entry=b"%010d 00000 n  \n"), TRUTH
    yield "xref-offsets-off", re.sub(rb"(\d{10}) 00000 n", lambda m: b"%010d 00000 n" % (int(m[1]) + 13), whole), TRUTH
    yield "xref-zero-offsets", re.sub(rb"\d{10} 00000 n", b"0000000000 00000 n", whole), TRUTH
    yield "xref-starts-at-1", whole.replace(b"xref\n0 6", b"xref\n1 6"), TRUTH
    yield "trailer-missing", re.sub(rb"trailer.*startxref", b"startxref", whole, flags=re.S), TRUTH
    yield "eof-missing", build(objects_of(), end=b""), TRUTH
    yield "end-cut", whole[:whole.index(b"xref\n") + 40], TRUTH
    yield "only-objects", whole[:whole.index(b"xref\n")], TRUTH
    for name, junk in [("bom", b"\xef\xbb\xbf"), ("newline", b"\r\n\r\n"), ("http", b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n"), ("kilobyte", b"\0" * 900)]:
        yield f"head-{name}", junk + whole, TRUTH
    for name, junk in [("newlines", b"\r\n" * 600), ("zeros", b"\0" * 3000), ("html", b"<html><body>served by</body></html>"), ("kilobytes", b"x" * 5000)]:
        yield f"tail-{name}", whole + junk, TRUTH
    yield "no-header", whole[whole.index(b"1 0 obj"):].join([b"%PDF-\n", b""]), TRUTH
    yield "length-short", whole.replace(b"/Length %d" % len(content()), b"/Length 20"), TRUTH
    yield "length-long", whole.replace(b"/Length %d" % len(content()), b"/Length 9999"), TRUTH
    yield "length-missing", whole.replace(b"/Length %d" % len(content()), b""), TRUTH
    yield "length-indirect-lost", whole.replace(b"/Length %d" % len(content()), b"/Length 99 0 R"), TRUTH
    yield "endstream-missing", whole.replace(b"\nendstream", b""), TRUTH
    yield "endobj-missing", whole.replace(b"\nendobj", b""), TRUTH
    yield "carriage-returns", build(objects_of()).replace(b"\n", b"\r"), TRUTH
    yield "crlf", build(objects_of()).replace(b"\n", b"\r\n"), TRUTH
    packed = zlib.compress(content())
    yield "flate-no-checksum", build(objects_of(packed[:-4], "/Filter /FlateDecode")), TRUTH
    yield "flate-bad-checksum", build(objects_of(packed[:-4] + b"abcd", "/Filter /FlateDecode")), TRUTH
    yield "pages-count-wrong", whole.replace(b"/Count 1", b"/Count 7"), TRUTH
    yield "page-type-missing", whole.replace(b"/Type /Page /Parent", b"/Parent"), TRUTH
    yield "mediabox-missing", whole.replace(b"/MediaBox [0 0 612 792]", b""), TRUTH
    yield "catalog-type-missing", whole.replace(b"/Type /Catalog ", b""), TRUTH
    yield "xref-stream", xref_stream(objects_of()), TRUTH
    yield "xref-stream-off", xref_stream(objects_of(), shift=3), TRUTH
    yield "xref-stream-broken", xref_stream(objects_of(), broken=True), TRUTH
    yield "object-stream", xref_stream(objects_of(), packed=(1, 2, 3, 5)), TRUTH
    yield "object-stream-xref-broken", xref_stream(objects_of(), packed=(1, 2, 3, 5), broken=True), TRUTH
    first = build(objects_of())
    update = b"4 0 obj\n" + stream(content(["changed by an update"])) + b"\nendobj\n"
    at = len(first) + len(update)
    yield "incremental", first + update + b"xref\n4 1\n%010d 00000 n \ntrailer\n<< /Size 6 /Root 1 0 R /Prev %d >>\nstartxref\n%d\n%%%%EOF\n" % (len(first), first.rindex(b"xref\n0"), at), "changed by an update"


def odd():
    data = content()
    half = data.index(b"T*")
    for name, filters, coded in [("lzw", "/LZWDecode", lzw(data)), ("ascii85", "/ASCII85Decode", ascii85(data)), ("asciihex", "/ASCIIHexDecode", data.hex().encode() + b">"),
                                 ("runlength", "/RunLengthDecode", run_length(data)), ("two-filters", "[/ASCII85Decode /FlateDecode]", ascii85(zlib.compress(data)))]:
        yield f"filter-{name}", build(objects_of(coded, f"/Filter {filters}")), TRUTH
    yield "filter-predictor", build(objects_of(up_predicted(data), "/Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 40 >>")), TRUTH
    yield "filter-short-names", build(objects_of(ascii85(zlib.compress(data)), "/Filter [/A85 /Fl]")), TRUTH
    yield "contents-array", build(objects_of(data[:half], extra=(stream(data[half:]),), contents="[4 0 R 6 0 R]")), TRUTH
    yield "quote-operators", build(objects_of(b"BT /F1 12 Tf 16 TL 50 700 Td (First line) Tj (second line) ' 1 2 (third line) \" T* (fourth line) Tj ET")), "First line second line third line fourth line"
    yield "kerned-array", build(objects_of(b"BT /F1 12 Tf 50 700 Td [(Ke) 20 (rned) -300 (wo) 15 (rds) -250 (apart)] TJ ET")), "Kerned words apart"
    yield "words-by-td", build(objects_of(b"BT /F1 12 Tf 50 700 Td (word) Tj 40 0 Td (after) Tj 40 0 Td (word) Tj ET")), "word after word"
    yield "letters-by-td", build(objects_of(b"BT /F1 12 Tf 50 700 Td (l) Tj 2.67 0 Td (e) Tj 6.67 0 Td (t) Tj 3.33 0 Td (s) Tj ET")), "lets"
    yield "inline-image", build(objects_of(b"q 10 0 0 10 0 0 cm BI /W 2 /H 2 /CS /G /BPC 8 ID EI\xff( EI Q " + data)), TRUTH
    yield "escapes", build(objects_of(b"BT /F1 12 Tf 50 700 Td (br\\(ack\\)ets \\\\ \\163l\\141sh \\\r\njoined) Tj ET")), "br(ack)ets \\ slash joined"
    yield "actual-text", build(objects_of(b"BT /F1 12 Tf 50 700 Td /Span << /ActualText (office) >> BDC (o) Tj (Xce) Tj EMC ( hours) Tj ET")), "office hours"
    yield "artifact", build(objects_of(b"BT /F1 12 Tf 50 700 Td /Artifact BMC (page 1) Tj EMC 0 -20 Td (body text) Tj ET")), "page 1 body text"
    yield "optional-hidden", build(objects_of(b"BT /F1 12 Tf 50 700 Td (shown) Tj /OC /L BDC ( hidden) Tj EMC ET", resources="/Properties << /L 6 0 R >>", extra=(b"<< /Type /OCG /Name (layer) >>",), catalog="/OCProperties << /OCGs [6 0 R] /D << /OFF [6 0 R] >> >>")), "shown"
    names = ["f_i", "uni0066006C", "u1F600", "T_h", "a.alt", "s_t.liga", "f_f_i", "uni00DF.sc", "Euro"]
    yield "glyph-names", build(objects_of(b"BT /F1 12 Tf 50 700 Td (A B C D E F G H I) Tj ET", font=differences(names))), "fi fl \U0001F600 Th a st ffi ß €"
    fancy = "<< /Type /Font /Subtype /Type1 /BaseFont /ABCDEF+Fancy /FirstChar 1 /LastChar 122 /Widths [" + "500 " * 122 + "] /Encoding /WinAnsiEncoding >>"
    yield "font-lost", build(objects_of(data, font=fancy)), TRUTH
    yield "two-columns", build(objects_of(("BT /F1 10 Tf 14 TL 50 700 Td " + " ".join(f"(left line {n} of the text) Tj T*" for n in "abc") + " ET BT /F1 10 Tf 14 TL 320 700 Td " + " ".join(f"(right line {n} of the text) Tj T*" for n in "def") + " ET").encode())), "left line a of the text left line b of the text left line c of the text right line d of the text right line e of the text right line f of the text"
    glyph = b"500 0 d0 0 0 400 400 re f"
    yield "type3", build(objects_of(b"BT /F1 12 Tf 50 700 Td (ab ba) Tj ET", font="<< /Type /Font /Subtype /Type3 /FontBBox [0 0 500 500] /FontMatrix [0.001 0 0 0.001 0 0] /CharProcs << /a 6 0 R /b 6 0 R /space 7 0 R >> /Encoding << /Type /Encoding /Differences [32 /space 97 /a /b] >> /FirstChar 32 /LastChar 98 /Widths [" + "500 " * 67 + "] >>", extra=(stream(glyph), stream(b"500 0 d0")))), "ab ba"
    mapping = b"/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <ff> endcodespacerange 2 beginbfchar <01> <00660066> <02> <0069> endbfchar 1 beginbfrange <10> <12> <0061> endbfrange endcmap end"
    yield "to-unicode", build(objects_of(b"BT /F1 12 Tf 50 700 Td <0102> Tj <20> Tj <101112> Tj ET", font=FONT.replace(">>", "/ToUnicode 6 0 R >>"), extra=(stream(mapping),))), "ffi abc"
    for encoding, codec, ordering, text in [
            ("90ms-RKSJ-H", "cp932", "Japan1", "図書館の年次報告"), ("90msp-RKSJ-H", "cp932", "Japan1", "図書館の年次報告"), ("90ms-RKSJ-V", "cp932", "Japan1", "図書館の年次報告"),
            ("EUC-H", "euc_jp", "Japan1", "図書館の年次報告"), ("UniJIS-UCS2-H", "utf-16-be", "Japan1", "図書館の年次報告"), ("UniJIS-UTF16-H", "utf-16-be", "Japan1", "図書館の年次報告"),
            ("UniJIS2004-UTF16-H", "utf-16-be", "Japan1", "図書館の年次報告"), ("UniGB-UCS2-H", "utf-16-be", "GB1", "图书馆每年发布报告"), ("UniGB-UTF16-H", "utf-16-be", "GB1", "图书馆每年发布报告"),
            ("GBK-EUC-H", "gbk", "GB1", "图书馆每年发布报告"), ("GBKp-EUC-H", "gbk", "GB1", "图书馆每年发布报告"), ("GBK2K-H", "gb18030", "GB1", "图书馆每年发布报告"), ("GB-EUC-H", "gb2312", "GB1", "图书馆每年发布报告"),
            ("ETen-B5-H", "big5", "CNS1", "圖書館每年發布報告"), ("ETenms-B5-H", "big5", "CNS1", "圖書館每年發布報告"), ("B5pc-H", "big5", "CNS1", "圖書館每年發布報告"), ("UniCNS-UCS2-H", "utf-16-be", "CNS1", "圖書館每年發布報告"), ("UniCNS-UTF16-H", "utf-16-be", "CNS1", "圖書館每年發布報告"),
            ("KSCms-UHC-H", "cp949", "Korea1", "도서관은 매년 보고서를"), ("KSC-EUC-H", "euc_kr", "Korea1", "도서관은 매년 보고서를"), ("UniKS-UCS2-H", "utf-16-be", "Korea1", "도서관은 매년 보고서를"), ("UniKS-UTF16-H", "utf-16-be", "Korea1", "도서관은 매년 보고서를")]:
        font, *more = composite(encoding, ordering)
        yield f"cmap-{encoding}", build(objects_of(shown(text.encode(codec)), font=font, extra=more)), text
    field = b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Ada Lovelace) /Rect [100 695 300 715] /DA (/F1 12 Tf) /P 3 0 R >>"
    label = b"BT /F1 12 Tf 50 700 Td (Name:) Tj ET"
    form = "/AcroForm << /Fields [6 0 R] /NeedAppearances true /DR << /Font << /F1 5 0 R >> >> >>"
    yield "field-no-appearance", build(objects_of(label, page="/Annots [6 0 R]", extra=(field,), catalog=form)), "Name: Ada Lovelace"
    look = stream(b"/Tx BMC BT /F1 12 Tf 2 4 Td (Ada Lovelace) Tj ET EMC", "/Type /XObject /Subtype /Form /BBox [0 0 200 20] /Resources << /Font << /F1 5 0 R >> >>")
    yield "field-appearance", build(objects_of(label, page="/Annots [6 0 R]", extra=(field.replace(b"/P 3 0 R", b"/AP << /N 7 0 R >>"), look))), "Name: Ada Lovelace"
    yield "field-hidden", build(objects_of(label, page="/Annots [6 0 R]", extra=(field.replace(b"/P 3 0 R", b"/F 2 /AP << /N 7 0 R >>"), look))), "Name:"
    note = b"<< /Type /Annot /Subtype /FreeText /Contents (a note on the page) /DA (/Helv 10 Tf) /Rect [50 600 300 620] >>"
    yield "freetext-no-appearance", build(objects_of(label, page="/Annots [6 0 R]", extra=(note,))), "Name: a note on the page"


def write(folder):
    for kind, files in (("broken", broken()), ("odd", odd())):
        for name, data, truth in files:
            name = f"{kind}-{name}.pdf"
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
            yield name, truth
