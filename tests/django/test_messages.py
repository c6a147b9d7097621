"""The texts of the Django adapter: what the code says, what is translated and what Django reads are the same."""

import re
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.utils import translation

from paytechuz_django.texts import _
from tests.django.messages import CONTEXT, LANGUAGES, extracted, folder, read, texts

PLACEHOLDER = re.compile(r"{\w*}")
FIX = "run `make messages` and translate what it lists"


def faults(language: str, catalog: Catalog, template: Catalog) -> list[str]:
    """Say what is wrong with a language's catalogue, against what the code says."""
    there, wanted = texts(catalog), texts(template)
    found = [f"missing: {text}" for text in wanted.keys() - there.keys()]
    found += [f"in no code: {text}" for text in there.keys() - wanted.keys()]
    for text, message in there.items():
        words = str(message.string or "")
        if message.context != CONTEXT:
            found.append(f"in another context: {text}")
        if message.fuzzy:
            found.append(f"fuzzy: {text}")
        if not words.strip() and language != "en":  # English is what the code says
            found.append(f"not translated: {text}")
        if words and sorted(PLACEHOLDER.findall(words)) != sorted(PLACEHOLDER.findall(text)):
            found.append(f"other placeholders: {text}")
        if words and (words[-1] in ".:") is not (text[-1] in ".:"):
            found.append(f"another end: {text}")
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_the_code_is_translated_and_no_other(language: str) -> None:
    assert faults(language, read(language), extracted()) == [], FIX


@pytest.mark.parametrize("language", LANGUAGES)
def test_django_reads_what_was_translated(language: str) -> None:
    with (folder(language) / "django.mo").open("rb") as file:
        compiled = texts(read_mo(file))
    written = {text: message.string for text, message in texts(read(language)).items() if message.string}
    assert {text: message.string for text, message in compiled.items()} == written, FIX
    assert all(message.context == CONTEXT for message in compiled.values())


def test_uzbek_is_written_as_in_the_answers_to_payme() -> None:
    # In Latin script, with the letters oʻ and gʻ as the core writes them, and no straight apostrophe.
    words = "".join(str(message.string) for message in texts(read("uz")).values())
    assert not re.search(r"[а-яё'`ʻʼ]", words, re.IGNORECASE)
    assert "so‘m" in words


def test_a_text_speaks_the_readers_language() -> None:
    for language, words in {"en": "Paid", "ru": "Оплачен", "uz": "To‘langan", "de": "Paid"}.items():
        with translation.override(language):
            assert str(_("Paid")) == words


PO = """
msgid ""
msgstr "Content-Type: text/plain; charset=utf-8\\n"

msgctxt "paytechuz"
msgid "reason {code}"
msgstr "причина {code}"
"""


def template() -> Catalog:
    catalog = Catalog()
    catalog.add("reason {code}", context=CONTEXT)
    return catalog


@pytest.mark.parametrize(
    ("right", "broken", "fault"),
    [
        ("причина {code}", "причина {cod}", "other placeholders: reason {code}"),
        ("причина {code}", "причина", "other placeholders: reason {code}"),
        ("причина {code}", "причина {code}.", "another end: reason {code}"),
        ("причина {code}", "", "not translated: reason {code}"),
        ('msgctxt "paytechuz"', "#, fuzzy", "fuzzy: reason {code}"),
        ('msgctxt "paytechuz"\n', "", "in another context: reason {code}"),
        ("reason {code}", "reason {code}!", "missing: reason {code}"),
        ("reason {code}", "reason {code}!", "in no code: reason {code}!"),
    ],
)
def test_a_broken_catalogue_is_noticed(right: str, broken: str, fault: str) -> None:
    assert faults("ru", catalog_of(PO), template()) == []
    assert fault in faults("ru", catalog_of(PO.replace(right, broken)), template())


def catalog_of(text: str) -> Catalog:
    """Read a catalogue."""
    return read_po(BytesIO(text.encode()), locale="ru")


def test_a_new_text_in_the_code_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text('_("never heard of")')
    assert "missing: never heard of" in faults("ru", read("ru"), extracted(tmp_path))
