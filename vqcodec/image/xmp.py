"""XMP packets: orientation, removal of the place, and joining those that a JPEG had to cut.

Packets are scanned by expat, which gives byte offsets, and patched there, so that whatever is not meant stays
byte for byte. Those in UTF-16 or UTF-32 come out in UTF-8.
"""

from __future__ import annotations

import codecs
import re
import struct
from dataclasses import dataclass
from xml.parsers import expat

TIFF_NAMES = "http://ns.adobe.com/tiff/1.0/"
NOTE_NAMES = "http://ns.adobe.com/xmp/note/"
RDF_NAMES = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
EXTENSION_PREFIX = b"http://ns.adobe.com/xmp/extension/\0"
_USUAL = {"tiff": TIFF_NAMES, "xmpNote": NOTE_NAMES, "rdf": RDF_NAMES}
"""What prefixes mean that a packet forgot to declare."""
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\x00\x00\x00", "utf-32-le"),
    (b"\x00\x00\x00<", "utf-32-be"),
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)
_TAG = re.compile(rb"<[^\s/>]+(?:\s+[^\s=>/]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*(/?)>")
_ATTRIBUTE = re.compile(rb"\s+([^\s=>/]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_LAX_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))[2-8]")
_PLACE = re.compile(
    r"gps|latitude|longt?itude|location|geo(?!m)"
    r"|^(?:lat|lon|long|lng|city|state|provincestate|country\w*|worldregion|(?:absolute|relative)?altitude)$",
    re.I,
)
"""Local names of properties that tell where a picture was taken, in whatever namespace."""
_GEO = "http://www.w3.org/2003/01/geo/"
_MOST_TAGS = 200_000


class Unreadable(ValueError):
    """A packet that is no XML, or not of the kind that XMP allows."""


@dataclass
class Property:
    """An attribute or element: its name, its bytes in the packet, and those of its value or content."""

    space: str
    name: str
    start: int
    end: int
    inner: tuple[int, int]


def orientation_of(packet: bytes) -> int | None:
    """The tiff:Orientation 1..8 of a packet, or None."""
    try:
        text = as_utf8(packet)
        values = [text[slice(*found.inner)].strip() for found in _scan(text) if _is_orientation(found)]
    except Unreadable:
        return None
    return next((int(value) for value in values if re.fullmatch(rb"[1-8]", value)), None)


def clean_xmp(packet: bytes, turned: bool = True) -> bytes:
    """Set `tiff:Orientation` to 1, however it is written.

    Args:
        turned: whether the pixels are upright all the same, so that a packet that is no XML is patched, too.
    """
    try:
        text = as_utf8(packet)
        found = [one.inner for one in _scan(text) if _is_orientation(one)]
    except Unreadable:
        return _LAX_ORIENTATION.sub(rb"\g<1>1", packet) if turned else packet
    found = [(start, end) for start, end in found if text[start:end].strip() != b"1"]
    return _without(text, found, b"1") if found else packet


def without_place(packet: bytes) -> bytes | None:
    """A packet without the properties that tell where a picture was taken; None if it cannot be read."""
    try:
        text = as_utf8(packet)
        spans = [
            (one.start, one.end)
            for one in _scan(text)
            if _PLACE.search(one.name) or one.space.startswith(_GEO)
        ]
    except Unreadable:
        return None
    return _without(text, spans) if spans else packet


def extension_name(packet: bytes) -> str:
    """The 32 letters that name the extension of a packet over 64 kB in a JPEG, or nothing."""
    try:
        text = as_utf8(packet)
        names = [text[slice(*one.inner)].strip() for one in _scan(text) if _is_note(one)]
    except Unreadable:
        return ""
    return names[0].decode("ascii", "replace") if names else ""


def extension_of(segments: list[bytes], name: str, most: int) -> bytes | None:
    """The extension of this name from its segments in a JPEG, of at most `most` bytes (0 = any), or None."""
    head = EXTENSION_PREFIX + name.encode()
    parts = [segment[len(head) :] for segment in segments if segment.startswith(head)]
    placed = {struct.unpack_from(">II", part)[1]: part[8:] for part in parts if len(part) > 8}
    whole = b"".join(placed[at] for at in sorted(placed))
    if not placed or struct.unpack_from(">I", parts[0])[0] != len(whole) or 0 < most < len(whole):
        return None
    return whole if all(whole[at : at + len(part)] == part for at, part in placed.items()) else None


def joined(packet: bytes, extension: bytes | None) -> bytes:
    """A packet with the descriptions of its extension, and without the note that it has one.

    Args:
        extension: None where it is not there.

    Raises:
        Unreadable: they cannot be joined.
    """
    text = as_utf8(packet)
    text = _without(text, [(one.start, one.end) for one in _scan(text) if _is_note(one)])
    if extension is None:
        return text
    more = as_utf8(extension)
    (_, end), (start, stop) = _description_list(text), _description_list(more)
    return text[:end] + more[start:stop] + text[end:]


def as_utf8(packet: bytes) -> bytes:
    """The packet in UTF-8, without blanks in front or zeros behind.

    Raises:
        Unreadable: it is not in the encoding that its first bytes promise.
    """
    encoding = next((name for mark, name in _MARKS if packet.startswith(mark)), None)
    if encoding is not None:
        try:
            packet = packet.decode(encoding).encode()
        except UnicodeError as error:
            raise Unreadable("not in its own encoding") from error
        packet = re.sub(rb"^(<\?xml[^>]*?)\s+encoding\s*=\s*[\"'][^\"']*[\"']", rb"\1", packet)
    return packet.removeprefix(codecs.BOM_UTF8).lstrip().rstrip(b"\x00")


def _description_list(text: bytes) -> tuple[int, int]:
    """The bytes within rdf:RDF, if no namespaces but its own are declared around them."""
    for one in _scan(text):
        if (one.space, one.name) == (RDF_NAMES, "RDF"):
            before = text[: one.inner[0]]
            declared = set(re.findall(rb"\sxmlns:([^\s=]+)\s*=", before))
            if declared <= {b"rdf", b"x"} and text.startswith(b"<rdf:RDF", one.start):
                return one.inner
    raise Unreadable("no list of descriptions")


def _is_orientation(found: Property) -> bool:
    return (found.space, found.name) == (TIFF_NAMES, "Orientation")


def _is_note(found: Property) -> bool:
    return (found.space, found.name) == (NOTE_NAMES, "HasExtendedXMP")


def _without(text: bytes, spans: list[tuple[int, int]], instead: bytes = b"") -> bytes:
    """Text with other bytes in place of some, which may lie within each other."""
    kept, here = [], 0
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= here:
            kept += [text[here:start], instead]
            here = end
    return b"".join([*kept, text[here:]])


def _scan(text: bytes) -> list[Property]:
    """All attributes and elements of a packet in UTF-8.

    Raises:
        Unreadable: no XML, or with declarations of its own, which XMP must not have.
    """
    if text.count(b"<") > _MOST_TAGS:
        raise Unreadable("too many tags")
    found: list[Property] = []
    spaces: list[dict[str, str]] = [dict(_USUAL)]
    opened: list[Property] = []
    parser = expat.ParserCreate("utf-8")

    def named(name: str) -> tuple[str, str]:
        prefix, _, local = name.rpartition(":")
        return spaces[-1].get(prefix, ""), local

    def start(name: str, attributes: dict[str, str]) -> None:
        at = parser.CurrentByteIndex
        tag = _TAG.match(text, at)
        if tag is None:
            raise Unreadable("a tag that cannot be followed")
        declared = {key[6:]: value for key, value in attributes.items() if key.startswith("xmlns:")}
        spaces.append(spaces[-1] | declared)
        for match in _ATTRIBUTE.finditer(text, at, tag.end()):
            if match[1].startswith(b"xmlns"):
                continue
            inner = match.span(2 if match[2] is not None else 3)
            found.append(Property(*named(match[1].decode()), *match.span(), inner))
        element = Property(*named(name), at, tag.end(), (tag.end(), tag.end()))
        opened.append(element)
        found.append(element)

    def end(_name: str) -> None:
        element = opened.pop()
        spaces.pop()
        at = parser.CurrentByteIndex
        if text[element.end - 2 : element.end] != b"/>":
            element.inner = (element.end, at)
            element.end = text.index(b">", at) + 1

    def refuse(*_arguments: object) -> None:
        raise Unreadable("declarations are not for XMP")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        if opened or not found:  # whatever follows the packet does not matter
            raise Unreadable(str(error)) from error
    return found
