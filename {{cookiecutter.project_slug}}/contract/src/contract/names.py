"""The name of a column: what a header becomes, wherever a table is read.

People head their columns `Sepal.Length`, `% paid` or `Größe (cm)`; code, JSON and the database have
`sepal_length`, `percent_paid` and `grosse_cm`.
"""

import keyword
import re
import unicodedata
from collections.abc import Iterable, Sequence

LONGEST = 40
"""Characters in a name, at most."""

LIBRARIES = """
    construct copy dict from_orm json metadata model_computed_fields model_config model_construct
    model_copy model_extra model_fields model_fields_set model_json_schema
    model_parametrized_name model_post_init model_rebuild parse_file parse_obj parse_raw registry
    schema schema_json self type_annotation_map update_forward_refs validate
"""
"""Attributes of pydantic's and SQLAlchemy's classes, and arguments of their functions."""
POSTGRESQL = "cmax cmin ctid tableoid xmax xmin"
"""Columns that every table of PostgreSQL has."""
BESIDE = """
    bool created_at datetime float id int mapped_column now probabilities recorded_at
    rejected_column rejected_line rejected_reason row str type types
"""
"""What stands beside the team's own names in code, tables, the public API and predictions."""
RESERVED = frozenset(
    [*map(str.lower, keyword.kwlist), *f"{LIBRARIES} {POSTGRESQL} {BESIDE}".split()]
)
"""Names that are in use. Words of SQL are not among them: SQLAlchemy quotes them."""

SIGNS = {"%": " percent ", "#": " number ", "&": " and ", "µ": "u"}
LETTERS = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l"}
CYRILLIC = "абвгґдеєжзиіклмнопрстуфхцчшщъыьэюя"
IN_LATIN = "a b v g g d e ye zh z i i k l m n o p r s t u f kh ts ch sh shch _ y _ e yu ya"
SPELT = LETTERS | dict(zip(CYRILLIC, IN_LATIN.replace("_", "").split(" "), strict=True))
"""Letters in Latin ones without accents; others go by the name that Unicode gives them."""
WORDS = re.compile(
    "(?<=[a-z])(?=[A-Z])|(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z]{2})|[^A-Za-z0-9]+"
)
"""What stands between two words."""


def name_of(header: str) -> str:
    """The name for a header: a-z, 0-9 and _, a letter first, at most 40 characters.

    - Words are set apart by `_`, also those of camelCase; all is lower case.
    - `%`, `#` and `&` become words. Accents are dropped; Cyrillic is transliterated; other letters
      become their names in Unicode: `β` is `beta`, and `数` has none but its number, `u6570`.
    - `x` is put in front of a digit, and of pydantic's own `model_dump…` and `model_validate…`.
    - `_` is put behind a name that is `RESERVED`: `class_`.
    - A header without letters and digits is `unnamed`.

    The name of a name is that name.
    """
    text = "".join(SIGNS.get(each, each) for each in header)
    latin = "".join(map(_latin, unicodedata.normalize("NFKD", text)))
    name = WORDS.sub("_", latin).strip("_").lower() or "unnamed"
    name = re.sub("^(?=[0-9]|model_dump|model_validate)", "x", name)[:LONGEST].rstrip("_")
    return f"{name}_" if name in RESERVED else name


def beside(name: str, names: Iterable[str]) -> str:
    """A name for a column of ours beside these; with a `_` if one of them has it already."""
    return f"{name}_" if name in names else name


def _latin(character: str) -> str:
    """A character in ASCII."""
    if character.isascii():
        return character
    lower = character.lower()
    if lower in SPELT:
        latin = SPELT[lower]
    elif unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lo"):
        latin = re.split("[ -]", unicodedata.name(character, "").split(" WITH ")[0])[-1].lower()
        if not latin.isalpha():
            latin = f"u{ord(character):x}"
    else:
        return "" if unicodedata.combining(character) else "_"
    return latin.capitalize() if character != lower else latin


def find_columns(headers: Sequence[str], names: Iterable[str]) -> dict[str, int]:
    """Where the column of each name stands; a name that has none is left out.

    A header that is the name itself goes before one that becomes it.

    Raises:
        ValueError: two headers become the same name.
    """
    found: dict[str, int] = {}
    becomes = [name_of(header) for header in headers]
    for name in names:
        places = [place for place, header in enumerate(headers) if header == name]
        places = places or [place for place, other in enumerate(becomes) if other == name]
        if len(places) > 1:
            both = " and ".join(repr(headers[place]) for place in places[:2])
            raise ValueError(f"column {name} is there twice: {both}")
        if places:
            found[name] = places[0]
    return found
