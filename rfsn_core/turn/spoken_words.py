"""How abbreviations, units, prices and signs are said, for each language that has a table here.

Voices read plain numbers, percentages, times of day and e-mail addresses themselves, in the language of their voice
(docs/decisions/replies.md lists what espeak-ng, which also stands behind Kokoro and Piper, reads wrongly). The tables
have only the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spoken:
    """What one language says."""

    abbreviations: dict[str, str]
    """Abbreviation, in lower case and without spaces → words."""
    before_number: dict[str, str]
    """The same for those that mean something only before a number."""
    units: dict[str, tuple[str, str]]
    """Unit behind a number → (for 1, for more)."""
    currencies: dict[str, tuple[str, str, str]]
    """Sign → (for 1, for more, the hundredths)."""
    joins: str
    """Between an amount and its hundredths."""
    until: str
    """Between the ends of a range."""
    alternative: str
    """For a slash between words."""
    conjunction: str
    """For `&`."""
    about: str
    """For `~` before a number."""
    fractions: dict[str, str] = field(default_factory=dict)
    scales: str = ""
    """Words behind an amount that belong to it, as a pattern."""
    parts: frozenset[str] = frozenset()
    """Words before a Roman numeral that is no ordinal."""


_METRIC = "km m cm mm kg g mg l ml km/h °C °F m² km²"


def _units(singular: str, plural: str = "", **more: tuple[str, str]) -> dict[str, tuple[str, str]]:
    many = (plural or singular).split(",")
    return {**dict(zip(_METRIC.split(), zip(singular.split(","), many, strict=True), strict=True)), **more}


SPOKEN = {
    "en": Spoken(
        abbreviations={
            "mr.": "Mister", "mrs.": "Missus", "ms.": "Miz", "dr.": "Doctor", "prof.": "Professor", "st.": "Saint",
            "sgt.": "Sergeant", "lt.": "Lieutenant", "capt.": "Captain", "col.": "Colonel", "gen.": "General",
            "jr.": "Junior", "sr.": "Senior", "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera",
            "vs.": "versus", "approx.": "approximately", "mt.": "Mount", "ft.": "Fort", "dept.": "department",
        },
        before_number={
            "no.": "number", "nos.": "numbers", "nr.": "number", "#": "number", "№": "number", "vol.": "volume",
            "p.": "page", "pp.": "pages", "ch.": "chapter", "chap.": "chapter", "ca.": "about", "c.": "about",
            "fig.": "figure", "sec.": "section", "art.": "article", "lvl.": "level", "lv.": "level",
        },
        units=_units(
            "kilometre,metre,centimetre,millimetre,kilogram,gram,milligram,litre,millilitre,kilometre per hour,"
            "degree Celsius,degree Fahrenheit,square metre,square kilometre",
            "kilometres,metres,centimetres,millimetres,kilograms,grams,milligrams,litres,millilitres,"
            "kilometres per hour,degrees Celsius,degrees Fahrenheit,square metres,square kilometres",
            ft=("foot", "feet"), lb=("pound", "pounds"), lbs=("pound", "pounds"), oz=("ounce", "ounces"),
            mi=("mile", "miles"), yd=("yard", "yards"), mph=("mile per hour", "miles per hour"),
            min=("minute", "minutes"), hrs=("hour", "hours"), hr=("hour", "hours"), sec=("second", "seconds"),
            gp=("gold piece", "gold pieces"), sp=("silver piece", "silver pieces"),
            cp=("copper piece", "copper pieces"), xp=("experience point", "experience points"),
        ),
        currencies={
            "$": ("dollar", "dollars", "cents"), "€": ("euro", "euros", "cents"),
            "£": ("pound", "pounds", "pence"), "¥": ("yen", "yen", "sen"),
        },
        joins=" and ", until="to", alternative="or", conjunction="and", about="about",
        fractions={"1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter",
                   "3/4": "three quarters", "½": "one half", "¼": "one quarter", "¾": "three quarters",
                   "⅓": "one third", "⅔": "two thirds"},
        scales="hundred|thousand|million|billion",
        parts=frozenset("chapter book part act volume level room scene section war type mark class phase tier rank"
                        " stage".split()),
    ),
    "de": Spoken(
        abbreviations={
            "z.b.": "zum Beispiel", "d.h.": "das heißt", "u.a.": "unter anderem", "bzw.": "beziehungsweise",
            "usw.": "und so weiter", "ca.": "circa", "evtl.": "eventuell", "dr.": "Doktor", "prof.": "Professor",
            "hr.": "Herr", "fr.": "Frau", "st.": "Sankt", "v.chr.": "vor Christus", "n.chr.": "nach Christus",
            "ggf.": "gegebenenfalls", "vgl.": "vergleiche", "inkl.": "inklusive",
        },
        before_number={"nr.": "Nummer", "s.": "Seite", "bd.": "Band", "kap.": "Kapitel", "#": "Nummer", "№": "Nummer"},
        units=_units(
            "Kilometer,Meter,Zentimeter,Millimeter,Kilogramm,Gramm,Milligramm,Liter,Milliliter,Kilometer pro Stunde,"
            "Grad Celsius,Grad Fahrenheit,Quadratmeter,Quadratkilometer",
            min=("Minute", "Minuten"), std=("Stunde", "Stunden"),
        ),
        currencies={
            "$": ("Dollar", "Dollar", "Cent"), "€": ("Euro", "Euro", "Cent"), "£": ("Pfund", "Pfund", "Pence"),
            "¥": ("Yen", "Yen", "Sen"),
        },
        joins=" ", until="bis", alternative="oder", conjunction="und", about="etwa",
        fractions={"1/2": "ein halb", "1/4": "ein Viertel", "3/4": "drei Viertel", "1/3": "ein Drittel",
                   "2/3": "zwei Drittel"},
        scales="Tausend|Millionen|Milliarden|tausend",
    ),
    "fr": Spoken(
        abbreviations={
            "mme": "Madame", "mlle": "Mademoiselle", "m.": "Monsieur", "mm.": "Messieurs", "dr": "Docteur",
            "p.ex.": "par exemple", "etc.": "et cetera", "c.-à-d.": "c'est-à-dire", "env.": "environ", "st": "Saint",
            "ste": "Sainte", "av.j.-c.": "avant Jésus-Christ",
        },
        before_number={"n°": "numéro", "no.": "numéro", "p.": "page", "#": "numéro", "№": "numéro", "t.": "tome"},
        units=_units(
            "kilomètre,mètre,centimètre,millimètre,kilo,gramme,milligramme,litre,millilitre,kilomètre à l'heure,"
            "degré Celsius,degré Fahrenheit,mètre carré,kilomètre carré",
            "kilomètres,mètres,centimètres,millimètres,kilos,grammes,milligrammes,litres,millilitres,"
            "kilomètres à l'heure,degrés Celsius,degrés Fahrenheit,mètres carrés,kilomètres carrés",
            min=("minute", "minutes"),
        ),
        currencies={
            "$": ("dollar", "dollars", "cents"), "€": ("euro", "euros", "centimes"),
            "£": ("livre", "livres", "pence"), "¥": ("yen", "yens", "sen"),
        },
        joins=" ", until="à", alternative="ou", conjunction="et", about="environ",
        fractions={"1/2": "un demi", "1/4": "un quart", "3/4": "trois quarts", "1/3": "un tiers", "2/3": "deux tiers"},
        scales="mille|millions|milliards",
    ),
    "es": Spoken(
        abbreviations={
            "sr.": "señor", "sra.": "señora", "srta.": "señorita", "dr.": "doctor", "dra.": "doctora",
            "p.ej.": "por ejemplo", "etc.": "etcétera", "aprox.": "aproximadamente", "ud.": "usted", "uds.": "ustedes",
            "a.c.": "antes de Cristo", "d.c.": "después de Cristo",
        },
        before_number={"n.º": "número", "nº": "número", "núm.": "número", "pág.": "página", "p.": "página",
                       "#": "número", "№": "número", "vol.": "volumen", "cap.": "capítulo"},
        units=_units(
            "kilómetro,metro,centímetro,milímetro,kilo,gramo,miligramo,litro,mililitro,kilómetro por hora,"
            "grado Celsius,grado Fahrenheit,metro cuadrado,kilómetro cuadrado",
            "kilómetros,metros,centímetros,milímetros,kilos,gramos,miligramos,litros,mililitros,"
            "kilómetros por hora,grados Celsius,grados Fahrenheit,metros cuadrados,kilómetros cuadrados",
            min=("minuto", "minutos"),
        ),
        currencies={
            "$": ("dólar", "dólares", "centavos"), "€": ("euro", "euros", "céntimos"),
            "£": ("libra", "libras", "peniques"), "¥": ("yen", "yenes", "sen"),
        },
        joins=" con ", until="a", alternative="o", conjunction="y", about="unos",
        fractions={"1/2": "un medio", "1/4": "un cuarto", "3/4": "tres cuartos", "1/3": "un tercio",
                   "2/3": "dos tercios"},
        scales="mil|millones",
    ),
}  # fmt: skip
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth twentieth".split()
)
ROMAN = {
    numeral: number
    for number, numeral in enumerate(
        "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX".split(), start=1
    )
}


def alternatives(words: dict[str, str]) -> str:
    """Return a pattern of all keys, the longest first; where a dot is followed by a letter, a space may stand."""
    keys = sorted(words, key=len, reverse=True)
    return "|".join(re.sub(r"\\\.(?=.)", r"\\.\\s?", re.escape(key)) for key in keys)
