#!/usr/bin/env python3
"""Writes the small samples in encodings other than UTF-8. Run it in this folder; it needs nothing but Python 3."""

from pathlib import Path

FRENCH = """Compte rendu de la réunion du comité

Le comité s'est réuni à la médiathèque de Sainte-Énimie. La présidente a présenté les comptes de l'année : les
dépenses s'élèvent à 48 300 €, soit 2 % de moins que prévu. Le café littéraire du jeudi a été très apprécié, et
l'équipe souhaite l'étendre à l'été prochain. Les travaux de la façade commenceront en août.
"""

GERMAN = """Protokoll der Jahresversammlung

Die Bücherei öffnet künftig auch am Samstag. Für die größeren Räume im Obergeschoss fehlen noch Möbel; die Mittel
dafür wurden bewilligt. Über die Nutzung der Küche gab es ein längeres Gespräch. Müller übernimmt die Führung durch
das Gebäude, Schäfer die Verträge mit den Händlern.
"""

JAPANESE = """図書館年次報告書

本年度の来館者数は昨年より七パーセント増えました。子ども向けの本の貸し出しが特に伸びています。
日曜日の開館は多くの家族に喜ばれました。来年は移動図書館の車両を新しくする予定です。
"""


def main() -> None:
    Path("note-windows-1252.txt").write_bytes(FRENCH.replace("\n", "\r\n").encode("cp1252"))
    Path("note-utf-16.txt").write_bytes(GERMAN.encode("utf-16"))
    Path("note-shift-jis.txt").write_bytes(JAPANESE.encode("shift_jis"))


if __name__ == "__main__":
    main()
