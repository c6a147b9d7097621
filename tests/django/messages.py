"""The catalogues of `paytechuz_django`, brought up to date with the code: `make messages`.

Every text that `_` marks is extracted anew, merged into each language's django.po, where a person translates it, and
compiled into the django.mo that Django reads. Neither is ever wrong for long: tests/django/test_messages.py compares
the three.
"""

from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

PACKAGE: Final = Path(__file__).parents[2] / "paytechuz_django"
LANGUAGES: Final = ("en", "ru", "uz")
CONTEXT: Final = "paytechuz"
"""What `_` in paytechuz_django/texts.py gives to every text."""


def extracted(package: Path = PACKAGE) -> Catalog:
    """Give every text that is marked, and where."""
    catalog = Catalog()
    for file, line, text, comments, _ in extract_from_dir(package, keywords={"_": None}):
        catalog.add(text, locations=[(file, line)], auto_comments=comments, context=CONTEXT)
    return catalog


def folder(language: str) -> Path:
    """Give where a language's catalogue is."""
    return PACKAGE / "locale" / language / "LC_MESSAGES"


def read(language: str) -> Catalog:
    """Read a language's texts."""
    with (folder(language) / "django.po").open("rb") as file:
        return read_po(file, locale=language)


def texts(catalog: Catalog) -> dict[str, Message]:
    """Give a catalogue's texts, without its header."""
    return {str(message.id): message for message in catalog if message.id}


def main() -> None:
    """Update and compile all of them; say what is left to translate."""
    template = extracted()
    for language in LANGUAGES:
        catalog = read(language)
        # Only texts and their places may change: a date would differ at each run.
        template.creation_date = catalog.creation_date
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        with (folder(language) / "django.po").open("wb") as file:
            write_po(file, catalog, width=120, include_lineno=False)
        with (folder(language) / "django.mo").open("wb") as file:
            write_mo(file, catalog)
        missing = [text for text, message in texts(catalog).items() if language != "en" and not message.string]
        print(f"{language}: {len(texts(catalog))} texts", *[f"  not translated: {text}" for text in missing], sep="\n")


if __name__ == "__main__":
    main()
