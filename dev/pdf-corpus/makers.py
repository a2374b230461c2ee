"""The makers: each function writes PDF files into a folder and yields (name, truth)."""

import io
import os
import subprocess
import tempfile
import zipfile

import texts
from texts import lines, paragraphs

SANS = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
SERIF = "/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf"
NOTO = "/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc"


# ReportLab

def reportlab(folder):
    from reportlab.lib.pagesizes import A4, landscape
    from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import CIDFont, UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont
    from reportlab.pdfgen.canvas import Canvas
    from reportlab.platypus import (BaseDocTemplate, Frame, ListFlowable, PageTemplate, Paragraph, SimpleDocTemplate,
                                    Spacer, Table)

    pdfmetrics.registerFont(TTFont("DejaVu", SANS))
    styles = getSampleStyleSheet()
    plain = styles["BodyText"]
    wide = ParagraphStyle("wide", fontName="DejaVu", fontSize=10, leading=13)

    def place(name):
        return os.path.join(folder, name)

    def flow(name, story, **options):
        SimpleDocTemplate(place(name), pagesize=A4, **options).build(story)

    for at, language in enumerate(texts.LATIN1 * 3):
        name, truth = f"rl-flow-{language}-{at}.pdf", paragraphs(language, 4 + at, at)
        style = [plain, ParagraphStyle("j", parent=plain, alignment=4), ParagraphStyle("t", parent=plain, fontName="Times-Roman")][at // 3]
        flow(name, [Paragraph(p, style) for p in truth])
        yield name, "\n".join(truth)
    for at, language in enumerate(texts.EUROPE):
        name, truth = f"rl-ttf-{language}.pdf", paragraphs(language, 3, at)
        flow(name, [Paragraph(p, wide) for p in truth])
        yield name, "\n".join(truth)
    for at in range(4):
        name, truth = f"rl-columns-{at}.pdf", paragraphs("en", 6 + at, 10 + at)
        document = BaseDocTemplate(place(name), pagesize=A4)
        frames = [Frame(50, 50, 240, 740), Frame(305, 50, 240, 740)]
        document.addPageTemplates([PageTemplate(frames=frames)])
        document.build([Paragraph(p, plain) for p in truth])
        yield name, "\n".join(truth)
    for at in range(4):
        name = f"rl-table-{at}.pdf"
        words = " ".join(paragraphs("en", 4, 20 + at)).split()
        rows = [words[i:i + 4] for i in range(0, 40, 4)]
        flow(name, [Table(rows), Spacer(1, 12), Paragraph(" ".join(words[40:70]), plain)])
        yield name, " ".join(words[:70])
    for at in range(2):
        name, truth = f"rl-list-{at}.pdf", paragraphs("en", 6, 30 + at, 1)
        flow(name, [ListFlowable([Paragraph(p, plain) for p in truth], bulletType="bullet", start="•")])
        yield name, "\n".join(truth)
    for font, language in [("HeiseiMin-W3", "ja"), ("HeiseiKakuGo-W5", "ja"), ("STSong-Light", "zh"),
                           ("HYSMyeongJo-Medium", "ko"), ("HYGothic-Medium", "ko")]:
        pdfmetrics.registerFont(UnicodeCIDFont(font))
        name, truth = f"rl-cid-{font}.pdf", lines(language, 4, 40, 30)
        canvas = Canvas(place(name))
        canvas.setFont(font, 12)
        for at, line in enumerate(truth):
            canvas.drawString(50, 780 - 18 * at, line)
        canvas.save()
        yield name, "\n".join(truth)
    for font, encoding, codec, language in [
            ("HeiseiMin-W3", "90ms-RKSJ-H", "cp932", "ja"), ("HeiseiMin-W3", "90ms-RKSJ-V", "cp932", "ja"),
            ("HeiseiKakuGo-W5", "EUC-H", "euc_jp", "ja"), ("STSong-Light", "GB-EUC-H", "gb2312", "zh"),
            ("STSong-Light", "GBK-EUC-H", "gbk", "zh"), ("MSung-Light", "ETen-B5-H", "big5", "zht"),
            ("MSung-Light", "B5pc-H", "big5", "zht"), ("HYSMyeongJo-Medium", "KSC-EUC-H", "euc_kr", "ko"),
            ("HYSMyeongJo-Medium", "KSCms-UHC-H", "cp949", "ko")]:
        try:
            pdfmetrics.registerFont(CIDFont(font, encoding))
        except KeyError:
            continue
        name, truth = f"rl-{encoding}.pdf", lines(language, 3, 41, 25)
        canvas = Canvas(place(name))
        canvas.setFont(CIDFont(font, encoding).fontName, 12)
        for at, line in enumerate(truth):
            code = line.encode(codec).decode("latin-1")
            if encoding.endswith("V"):
                canvas.drawString(500 - 24 * at, 780, code)
            else:
                canvas.drawString(50, 780 - 18 * at, code)
        canvas.save()
        yield name, "\n".join(truth)

    def drawn(name, draw, truth, **options):
        canvas = Canvas(place(name), **options)
        draw(canvas)
        canvas.save()
        return name, truth

    text = lines("en", 5, 50)

    def rows(canvas, top=780, left=50):
        for at, line in enumerate(text):
            canvas.drawString(left, top - 15 * at, line)

    truth = "\n".join(text)

    def turned(canvas):
        canvas.setPageRotation(90)
        rows(canvas)

    def spaced(canvas):
        block = canvas.beginText(50, 780)
        block.setCharSpace(0.8)
        block.setWordSpace(3)
        for line in text:
            block.textLine(line)
        canvas.drawText(block)

    def invisible(canvas):
        block = canvas.beginText(50, 780)
        block.setTextRenderMode(3)
        for line in text:
            block.textLine(line)
        canvas.drawText(block)

    def outlined(canvas):
        block = canvas.beginText(50, 780)
        block.setTextRenderMode(2)
        for line in text:
            block.textLine(line)
        canvas.drawText(block)

    def stamped(canvas):
        canvas.beginForm("stamp")
        rows(canvas)
        canvas.endForm()
        canvas.doForm("stamp")

    def upright(canvas):
        canvas.rotate(90)
        rows(canvas, -50, 50)

    def raised(canvas):
        block = canvas.beginText(50, 780)
        for line in text:
            block.textOut(line)
            block.setRise(4)
            block.textOut("7")
            block.setRise(0)
            block.textLine("")
        canvas.drawText(block)

    def greek(canvas):
        canvas.setFont("Symbol", 12)
        canvas.drawString(50, 780, "αβγ Δ Σ")
        canvas.setFont("Helvetica", 12)
        canvas.drawString(50, 760, "letters of Greece")

    def form(canvas):
        rows(canvas)
        canvas.drawString(50, 500, "Name:")
        canvas.acroForm.textfield(name="name", value="Ada Lovelace", x=100, y=495, width=200, height=20)
        canvas.drawString(50, 470, "City:")
        canvas.acroForm.choice(name="city", value="Northwick", options=["Northwick", "Southam"], x=100, y=465, width=200, height=20)

    yield drawn("rl-turned.pdf", turned, truth, pagesize=landscape(A4))
    yield drawn("rl-spaced.pdf", spaced, truth)
    yield drawn("rl-invisible.pdf", invisible, truth)
    yield drawn("rl-outlined.pdf", outlined, truth)
    yield drawn("rl-form-xobject.pdf", stamped, truth)
    yield drawn("rl-upright.pdf", upright, truth)
    yield drawn("rl-rise.pdf", raised, "\n".join(line + "7" for line in text))
    yield drawn("rl-symbol.pdf", greek, "αβγ Δ Σ letters of Greece")
    yield drawn("rl-form.pdf", form, truth + "\nName: Ada Lovelace City: Northwick")
    yield drawn("rl-plain-stream.pdf", rows, truth, pageCompression=0)
    yield drawn("rl-encrypted-40.pdf", rows, truth, encrypt=StandardEncryption("", "owner", strength=40))
    yield drawn("rl-encrypted-128.pdf", rows, truth, encrypt=StandardEncryption("", "owner", strength=128))


# PyMuPDF

def pymupdf(folder):
    import pymupdf as mu

    def place(name):
        return os.path.join(folder, name)

    def page_of(text, font="helv", size=11, **options):
        document = mu.open()
        page = document.new_page()
        for at, line in enumerate(text):
            page.insert_text((50, 60 + at * 16), line, fontname=font, fontsize=size, **options)
        return document, page

    for at, (font, language) in enumerate([("helv", "en"), ("tiro", "de"), ("cour", "en"), ("china-s", "zh"), ("china-t", "zht"), ("japan", "ja"), ("korea", "ko")]):
        text = lines(language, 5, 100 + at, 30 if language in ("zh", "zht", "ja", "ko") else 60)
        document, _ = page_of(text, font)
        document.save(place(f"mu-{font}.pdf"))
        yield f"mu-{font}.pdf", "\n".join(text)
    for at, language in enumerate(texts.EUROPE):
        text = lines(language, 4, 110 + at)
        document, _ = page_of(text, "F0", fontfile=SERIF)
        document.subset_fonts()
        document.save(place(f"mu-ttf-{language}.pdf"), garbage=3, deflate=True)
        yield f"mu-ttf-{language}.pdf", "\n".join(text)
    for at, language in enumerate(["en", "de", "ru", "pl", "fr"]):
        truth = paragraphs(language, 3, 120 + at)
        document = mu.open()
        page = document.new_page()
        page.insert_htmlbox((50, 50, 550, 780), "<h1>" + truth[0][:20].rsplit(" ", 1)[0] + "</h1>" + "".join(f"<p>{p}</p>" for p in truth))
        document.subset_fonts()
        document.save(place(f"mu-html-{language}.pdf"), garbage=3, deflate=True)
        yield f"mu-html-{language}.pdf", truth[0][:20].rsplit(" ", 1)[0] + "\n" + "\n".join(truth)
    text = lines("en", 6, 130)
    truth = "\n".join(text)
    saves = {
        "plain": {}, "deflate": {"deflate": True}, "objstms": {"use_objstms": 1, "deflate": True}, "linear": {"garbage": 4},
        "ascii": {"ascii": True}, "pretty": {"pretty": True, "expand": 255},
        "rc4-40": {"encryption": mu.PDF_ENCRYPT_RC4_40, "owner_pw": "o"}, "rc4-128": {"encryption": mu.PDF_ENCRYPT_RC4_128, "owner_pw": "o"},
        "aes-128": {"encryption": mu.PDF_ENCRYPT_AES_128, "owner_pw": "o"}, "aes-256": {"encryption": mu.PDF_ENCRYPT_AES_256, "owner_pw": "o"},
        "aes-256-objstms": {"encryption": mu.PDF_ENCRYPT_AES_256, "owner_pw": "o", "use_objstms": 1},
    }
    for name, options in saves.items():
        document, _ = page_of(text)
        document.save(place(f"mu-save-{name}.pdf"), **options)
        yield f"mu-save-{name}.pdf", truth
    # Not part of the corpus: nobody reads it without its password.
    page_of(text)[0].save(place("locked.pdf"), encryption=mu.PDF_ENCRYPT_AES_256, owner_pw="owner", user_pw="secret")
    for angle in (90, 180, 270):
        document, page = page_of(text)
        page.set_rotation(angle)
        document.save(place(f"mu-rotation-{angle}.pdf"))
        yield f"mu-rotation-{angle}.pdf", truth
    for angle in (90, 180, 270):
        document = mu.open()
        page = document.new_page()
        for at, line in enumerate(text):
            page.insert_text((300 + at * 16, 420), line[:30], rotate=angle)
        document.save(place(f"mu-rotated-text-{angle}.pdf"))
        yield f"mu-rotated-text-{angle}.pdf", "\n".join(line[:30] for line in text)
    document, page = page_of(text)
    document.save(place("mu-incremental.pdf"))
    document = mu.open(place("mu-incremental.pdf"))
    document[0].insert_text((50, 400), "added by an update")
    document.saveIncr()
    yield "mu-incremental.pdf", truth + "\nadded by an update"
    document, page = page_of(text)
    page.add_freetext_annot((50, 400, 300, 430), "a note on the page")
    page.add_text_annot((400, 400), "a note that pops up")
    document.save(place("mu-freetext.pdf"))
    yield "mu-freetext.pdf", truth + "\na note on the page"
    document, page = page_of(text)
    for at, (kind, value) in enumerate([(mu.PDF_WIDGET_TYPE_TEXT, "Ada Lovelace"), (mu.PDF_WIDGET_TYPE_COMBOBOX, "Northwick"), (mu.PDF_WIDGET_TYPE_LISTBOX, "Southam")]):
        widget = mu.Widget()
        widget.field_name, widget.field_type, widget.field_value = f"field{at}", kind, value
        widget.choice_values = [value] if at else None
        widget.rect = mu.Rect(50, 400 + 40 * at, 250, 425 + 40 * at)
        page.add_widget(widget)
    document.save(place("mu-widgets.pdf"))
    yield "mu-widgets.pdf", truth + "\nAda Lovelace Northwick Southam"
    inner, _ = page_of(text)
    for depth in range(3):
        outer = mu.open()
        outer.new_page().show_pdf_page(mu.Rect(0, 0, 595, 842), inner, 0)
        inner = outer
    inner.save(place("mu-nested.pdf"), garbage=3)
    yield "mu-nested.pdf", truth
    document, page = page_of(text)
    page.insert_image(mu.Rect(0, 0, 595, 842), pixmap=mu.Pixmap(mu.csGRAY, (0, 0, 30, 40), False), overlay=True)
    document.save(place("mu-image-over-text.pdf"))
    yield "mu-image-over-text.pdf", truth
    document = mu.open()
    for number in range(12):
        document.new_page().insert_text((50, 60), f"page {number + 1} of the booklet")
    document.save(place("mu-many-pages.pdf"), use_objstms=1)
    yield "mu-many-pages.pdf", "\n".join(f"page {n + 1} of the booklet" for n in range(12))
    document, page = page_of(text)
    page.set_cropbox(mu.Rect(0, 0, 595, 90))
    document.save(place("mu-cropped.pdf"))
    yield "mu-cropped.pdf", "\n".join(text[:2])
    document = mu.open()
    page = document.new_page()
    writer = mu.TextWriter(page.rect)
    writer.fill_textbox(mu.Rect(50, 50, 250, 700), " ".join(paragraphs("en", 2, 131)), font=mu.Font(fontfile=SERIF), fontsize=10, align=3)
    writer.write_text(page)
    document.subset_fonts()
    document.save(place("mu-justified.pdf"), garbage=3, deflate=True)
    yield "mu-justified.pdf", " ".join(paragraphs("en", 2, 131))


# Cairo

def cairo(folder):
    import cairo as lib

    def surface(name, draw, size=(595, 842)):
        made = lib.PDFSurface(os.path.join(folder, name), *size)
        context = lib.Context(made)
        draw(context)
        made.finish()

    faces = [("DejaVu Sans", lib.FONT_SLANT_NORMAL, lib.FONT_WEIGHT_NORMAL), ("DejaVu Serif", lib.FONT_SLANT_NORMAL, lib.FONT_WEIGHT_NORMAL),
             ("DejaVu Sans Mono", lib.FONT_SLANT_NORMAL, lib.FONT_WEIGHT_NORMAL), ("Latin Modern Roman", lib.FONT_SLANT_NORMAL, lib.FONT_WEIGHT_NORMAL)]
    for number, (face, slant, weight) in enumerate(faces):
        for language in (texts.EUROPE if number < 2 else ("en", "de", "pl")):
            text = lines(language, 4, 200 + number)

            def draw(context):
                context.select_font_face(face, slant, weight)
                context.set_font_size(11)
                for at, line in enumerate(text):
                    context.move_to(50, 60 + 16 * at)
                    context.show_text(line)

            name = f"cairo-{face.split()[-1].lower()}-{language}.pdf"
            surface(name, draw)
            yield name, "\n".join(text)
    for language, face in [("ja", "Noto Serif CJK JP"), ("zh", "Noto Serif CJK SC"), ("ko", "Noto Serif CJK KR")]:
        text = lines(language, 3, 210, 30)

        def draw(context):
            context.select_font_face(face)
            context.set_font_size(12)
            for at, line in enumerate(text):
                context.move_to(50, 60 + 18 * at)
                context.show_text(line)

        surface(f"cairo-{language}.pdf", draw)
        yield f"cairo-{language}.pdf", "\n".join(text)
    text = lines("en", 4, 220)

    def turned(context):
        context.select_font_face("DejaVu Sans")
        context.set_font_size(11)
        for at, line in enumerate(text):
            context.save()
            context.translate(60 + 20 * at, 700)
            context.rotate(-1.5707963)
            context.move_to(0, 0)
            context.show_text(line)
            context.restore()

    def two_pages(context):
        context.select_font_face("DejaVu Serif")
        context.set_font_size(10)
        for at, line in enumerate(text):
            context.move_to(50, 60 + 15 * at)
            context.show_text(line)
        context.show_page()
        context.move_to(50, 60)
        context.show_text("second page")

    def scaled(context):
        context.select_font_face("DejaVu Sans")
        context.scale(0.5, 0.5)
        context.set_font_size(22)
        for at, line in enumerate(text):
            context.move_to(100, 120 + 32 * at)
            context.show_text(line)

    surface("cairo-turned.pdf", turned)
    yield "cairo-turned.pdf", "\n".join(text)
    surface("cairo-pages.pdf", two_pages)
    yield "cairo-pages.pdf", "\n".join(text) + "\nsecond page"
    surface("cairo-scaled.pdf", scaled)
    yield "cairo-scaled.pdf", "\n".join(text)


# LibreOffice

def libreoffice(folder):
    work = tempfile.mkdtemp()
    jobs = []

    def flat(name, body, styles="", truth=None):
        head = ('<?xml version="1.0" encoding="UTF-8"?><office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
                'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
                'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0" '
                'office:version="1.2" office:mimetype="application/vnd.oasis.opendocument.text">')
        with open(os.path.join(work, name + ".fodt"), "w", encoding="utf-8") as file:
            file.write(f"{head}<office:automatic-styles>{styles}</office:automatic-styles><office:body><office:text>{body}</office:text></office:body></office:document>")
        jobs.append((name, truth))

    def font(face):
        return (f'<style:style style:name="P" style:family="paragraph"><style:text-properties style:font-name="{face}" fo:font-family="{face}" '
                f'style:font-family-asian="{face}" fo:font-size="10pt"/></style:style>')

    for at, language in enumerate(texts.EUROPE):
        for face in ("DejaVu Serif", "Latin Modern Roman") if language in ("en", "de", "pl") else ("DejaVu Sans",):
            truth = paragraphs(language, 3, 300 + at)
            flat(f"lo-{language}-{face.split()[-1].lower()}", "".join(f'<text:p text:style-name="P">{p}</text:p>' for p in truth), font(face), "\n".join(truth))
    for language, face in [("ja", "Noto Serif CJK JP"), ("zh", "Noto Serif CJK SC"), ("ko", "Noto Serif CJK KR")]:
        truth = paragraphs(language, 1, 310, 3)
        flat(f"lo-{language}", "".join(f'<text:p text:style-name="P">{p}</text:p>' for p in truth), font(face), "\n".join(truth))
    words = " ".join(paragraphs("en", 3, 320)).split()
    cells = "".join("<table:table-row>" + "".join(f'<table:table-cell><text:p text:style-name="P">{word}</text:p></table:table-cell>' for word in words[i:i + 4]) + "</table:table-row>" for i in range(0, 32, 4))
    flat("lo-table", f'<table:table><table:table-column table:number-columns-repeated="4"/>{cells}</table:table>', font("DejaVu Sans"), " ".join(words[:32]))
    truth = paragraphs("en", 4, 330)
    flat("lo-list", "<text:list>" + "".join(f'<text:list-item><text:p text:style-name="P">{p}</text:p></text:list-item>' for p in truth) + "</text:list>", font("DejaVu Sans"), "\n".join(truth))
    note = '<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body><text:p text:style-name="P">Noted below the line.</text:p></text:note-body></text:note>'
    flat("lo-footnote", f'<text:p text:style-name="P">{truth[0]}{note}</text:p><text:p text:style-name="P">{truth[1]}</text:p>', font("DejaVu Sans"), truth[0] + "1 1 Noted below the line. " + truth[1])
    columns = '<style:style style:name="S" style:family="section"><style:section-properties><style:columns fo:column-count="2" fo:column-gap="1cm"/></style:section-properties></style:style>'
    flat("lo-columns", '<text:section text:style-name="S" text:name="s">' + "".join(f'<text:p text:style-name="P">{p}</text:p>' for p in truth) + "</text:section>", font("DejaVu Sans") + columns, "\n".join(truth))
    flat("lo-headings", "".join(f'<text:h text:outline-level="1">{p.split(".")[0]}</text:h><text:p text:style-name="P">{p}</text:p>' for p in truth), font("DejaVu Sans"), "\n".join(p.split(".")[0] + "\n" + p for p in truth))
    variants = {"": "", "-pdfa": ':{"SelectPdfVersion":{"type":"long","value":"1"}}', "-tagged": ':{"UseTaggedPDF":{"type":"boolean","value":"true"}}'}
    for suffix, options in variants.items():
        chosen = [job for job in jobs if suffix == "" or job[0] in ("lo-en-serif", "lo-de-roman", "lo-table", "lo-footnote")]
        out = tempfile.mkdtemp()
        subprocess.run(["soffice", "--headless", f"-env:UserInstallation=file://{work}/profile", "--convert-to", f"pdf:writer_pdf_Export{options}", "--outdir", out]
                       + [os.path.join(work, name + ".fodt") for name, _ in chosen], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name, truth in chosen:
            made = os.path.join(out, name + ".pdf")
            if os.path.exists(made):
                os.replace(made, os.path.join(folder, name + suffix + ".pdf"))
                yield name + suffix + ".pdf", truth


# LaTeX

def latex(folder):
    work = tempfile.mkdtemp()

    def run(name, source, engine="pdflatex"):
        with open(os.path.join(work, name + ".tex"), "w", encoding="utf-8") as file:
            file.write(source)
        subprocess.run([engine, "-interaction=nonstopmode", name + ".tex"], cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        made = os.path.join(work, name + ".pdf")
        if os.path.exists(made):
            os.replace(made, os.path.join(folder, name + ".pdf"))
            return True
        return False

    def escaped(text):
        return text.replace("’", "'").replace("&", "\\&").replace("%", "\\%")

    def article(body, options="", preamble="", compress=True):
        level = "" if compress else "\\pdfobjcompresslevel=0\\pdfcompresslevel=0"
        return f"\\documentclass[{options}]{{article}}\\usepackage[utf8]{{inputenc}}{preamble}\\pagestyle{{empty}}{level}\\begin{{document}}{body}\\end{{document}}"

    kinds = {
        "cm": ("", ""), "lm": ("", "\\usepackage[T1]{fontenc}\\usepackage{lmodern}"), "times": ("", "\\usepackage[T1]{fontenc}\\usepackage{mathptmx}"),
        "helvet": ("", "\\usepackage[T1]{fontenc}\\usepackage[scaled]{helvet}\\renewcommand\\familydefault\\sfdefault"),
        "two": ("twocolumn", "\\usepackage[T1]{fontenc}\\usepackage{lmodern}"), "small": ("10pt", "\\usepackage[T1]{fontenc}\\usepackage{lmodern}\\usepackage{microtype}"),
    }
    for kind, (options, preamble) in kinds.items():
        for language in ("en", "de", "fr"):
            truth = paragraphs(language, 2, f"latex{kind}")
            name = f"latex-{kind}-{language}"
            if run(name, article("\\sloppy\\hyphenpenalty=10000 " + "\n\n".join(map(escaped, truth)), options, preamble)):
                yield name + ".pdf", "\n".join(truth)
    truth = paragraphs("en", 5, "hyphens")
    if run("latex-hyphens", article("\\begin{minipage}{45mm}" + "\n\n".join(map(escaped, truth)) + "\\end{minipage}")):
        yield "latex-hyphens.pdf", "\n".join(truth)
    if run("latex-uncompressed", article("\\hyphenpenalty=10000\\sloppy " + "\n\n".join(map(escaped, truth)), compress=False)):
        yield "latex-uncompressed.pdf", "\n".join(truth)
    if run("latex-table", article("\\begin{tabular}{lrr} Loans & 1911 & 1968 \\\\ Visits & 804 & 811 \\\\ Readers & 52 & 57 \\end{tabular}\n\nThe table above shows three years.")):
        yield "latex-table.pdf", "Loans 1911 1968 Visits 804 811 Readers 52 57 The table above shows three years."
    if run("latex-footnote", article("A sentence\\footnote{With a note.} that goes on. \\section{Heading} Text below it.")):
        yield "latex-footnote.pdf", "A sentence1 that goes on. 1 Heading Text below it. 1 With a note."
    if run("latex-caps", article("\\textsc{Small Capitals} and \\textbf{bold}, \\emph{slanted}, \\texttt{typed} words.", "", "\\usepackage[T1]{fontenc}\\usepackage{lmodern}")):
        yield "latex-caps.pdf", "Small Capitals and bold, slanted, typed words."
    for language in ("en", "el", "ru", "pl", "tr", "cs"):
        truth = paragraphs(language, 2, "xelatex")
        body = f"\\documentclass{{article}}\\usepackage{{fontspec}}\\setmainfont{{DejaVu Serif}}\\pagestyle{{empty}}\\begin{{document}}\\sloppy\\hyphenpenalty=10000 {chr(10).join(p + chr(10) for p in truth)}\\end{{document}}"
        if run(f"xelatex-{language}", body, "xelatex"):
            yield f"xelatex-{language}.pdf", "\n".join(truth)
    for language, face in [("ja", "Noto Serif CJK JP"), ("zh", "Noto Serif CJK SC")]:
        text = lines(language, 3, "xelatex", 25)
        body = f"\\documentclass{{article}}\\usepackage{{fontspec}}\\setmainfont{{{face}}}\\pagestyle{{empty}}\\begin{{document}}" + "\n\n".join(text) + "\\end{document}"
        if run(f"xelatex-{language}", body, "xelatex"):
            yield f"xelatex-{language}.pdf", "\n".join(text)


MAKERS = {"ReportLab": reportlab, "PyMuPDF": pymupdf, "Cairo": cairo, "LibreOffice": libreoffice, "LaTeX": latex}
