"""Texts in several languages, written for these files, and cut into the pieces that a document needs."""

import random

TEXTS = {
    "en": """The library opens at nine in the morning. Readers find new books on the first shelf beside the door.
Difficult files flow through five offices before the official staff affirm them. A reader who waits for an answer is told
when it will come. Nobody pays for a lost card twice. The annual report lists 1,911,400 loans and costs of 42.50 per
reader. Fifty efficient officers shuffled the final affidavit. Maps, scores and letters are kept in the cellar; visitors
ask for them at the desk. The reading room closes when the last visitor has left. Our branch in Northwick was flooded in
spring and opened again in autumn. Volunteers carried 3,800 volumes up two flights of stairs.""",
    "de": """Die Bibliothek öffnet um neun Uhr. Größe und Maß stimmen überein, sagt Jürgen. Übermäßig viele Bücher stehen
im Keller. Wer eine Auskunft wünscht, fragt am Schalter. Die Gebühren für das Jahr betragen 25,50 Euro. Schüler und
Studenten zahlen weniger. Im Frühjahr wurde die Zweigstelle überflutet und im Herbst wieder geöffnet. Freiwillige trugen
die Bände über zwei Treppen.""",
    "fr": """La bibliothèque ouvre à neuf heures. L’été a été très agréable à Genève, où le café est près de l’église.
Les lecteurs reçoivent une réponse dans la journée. Le nouveau règlement a été accepté à l’unanimité. Cœur, œuvre et sœur
s’écrivent avec une ligature. Les frais s’élèvent à 12,80 euros par année.""",
    "pl": """Biblioteka jest otwarta od dziewiątej rano. Czytelnicy znajdą nowe książki na pierwszej półce. Źródła, mapy
i listy są przechowywane w piwnicy. Każdy może zapytać o drogę. Łódź i Gdańsk mają własne zbiory. Wiosną filia została
zalana, a jesienią znów otwarta.""",
    "cs": """Knihovna otevírá v devět hodin. Příliš žluťoučký kůň úpěl ďábelské ódy. Čtenáři najdou nové knihy na první
polici. Mapy a dopisy jsou uloženy ve sklepě. Na jaře byla pobočka zaplavena a na podzim znovu otevřena.""",
    "tr": """Kütüphane sabah dokuzda açılır. Okuyucular yeni kitapları ilk rafta bulur. Işık, ağaç ve çiçek güzel
sözcüklerdir. İstanbul ve Iğdır şubeleri ilkbaharda kapandı. Şimdi her şey yolunda.""",
    "el": """Η βιβλιοθήκη ανοίγει στις εννέα το πρωί. Οι αναγνώστες βρίσκουν νέα βιβλία στο πρώτο ράφι. Οι χάρτες και οι
επιστολές φυλάσσονται στο υπόγειο. Κανείς δεν πληρώνει δύο φορές.""",
    "ru": """Библиотека открывается в девять часов утра. Читатели находят новые книги на первой полке. Карты и письма
хранятся в подвале. Весной филиал был затоплен, а осенью снова открыт. Никто не платит дважды.""",
    "ja": """図書館は朝九時に開きます。新しい本は入口の棚にあります。地図と手紙は地下室に保管されています。
来館者数は昨年より増えました。カタログはコンピューターで検索できます。""",
    "zh": """图书馆早上九点开门。读者可以在门口的书架上找到新书。地图和信件保存在地下室。今年的读者比去年多。
目录可以用计算机查询。""",
    "zht": """圖書館早上九點開門。讀者可以在門口的書架上找到新書。地圖和信件保存在地下室。今年的讀者比去年多。
目錄可以用電腦查詢。""",
    "ko": """도서관은 아침 아홉 시에 문을 엽니다. 독자는 문 옆의 책장에서 새 책을 찾습니다. 지도와 편지는 지하실에
보관됩니다. 올해는 독자가 더 많았습니다.""",
}
CJK = {"ja", "zh", "zht"}
LATIN1 = ("en", "de", "fr")
EUROPE = ("en", "de", "fr", "pl", "cs", "tr", "el", "ru")


def sentences(language):
    text = TEXTS[language]
    if language in CJK:
        return [part + "。" for part in text.replace("\n", "").split("。") if part.strip()]
    text = " ".join(text.split())
    return [part.strip() + "." for part in text.split(". ") if part.strip()]


def paragraphs(language, count, seed, length=4):
    """Paragraphs of a few sentences each, the same for the same seed."""
    draw = random.Random(f"{language} {seed}")
    joint = "" if language in CJK else " "
    return [joint.join(draw.choices(sentences(language), k=length)).replace("..", ".") for _ in range(count)]


def lines(language, count, seed, width=60):
    """Lines of at most this many characters."""
    out, line = [], ""
    for paragraph in paragraphs(language, count, seed):
        pieces = list(paragraph) if language in CJK else paragraph.split()
        joint = "" if language in CJK else " "
        for piece in pieces:
            if line and len(line) + len(joint) + len(piece) > width:
                out.append(line)
                line = piece
            else:
                line = line + joint + piece if line else piece
    out.append(line)
    return out[:count * 3]
