"""PDFs for tests: small, made by hand, whole or wrong in one way."""

import io
import zlib
from collections.abc import Sequence

from pypdf import PdfReader, PdfWriter


def pdf(*pages: str) -> bytes:
    """Return a PDF with a line of Latin text on each of its pages."""
    return drawn([f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode("latin-1") for text in pages])


def drawn(streams: Sequence[bytes], *, filters: str = "", forms: Sequence[bytes] = ()) -> bytes:
    """Return a PDF whose pages are drawn by *streams*; *forms* are named /X0, /X1 and so on."""
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    first_page = 4 + len(forms)
    named = " ".join(f"/X{number} {4 + number} 0 R" for number in range(len(forms)))
    resources = f"/Resources << /Font << /F1 3 0 R >> /XObject << {named} >> >>"
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", font]
    objects += [
        _stream(form, f"/Type /XObject /Subtype /Form /BBox [0 0 9 9] {resources}")
        for form in forms
    ]
    kids = []
    for number, stream in enumerate(streams):
        page = first_page + 2 * number
        kids.append(f"{page} 0 R")
        size = "/MediaBox [0 0 612 792]"
        words = f"/Type /Page /Parent 2 0 R {size} {resources} /Contents {page + 1} 0 R"
        objects += [f"<< {words} >>".encode(), _stream(stream, filters)]
    pages = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(streams)} >>"
    objects[1] = pages.encode()
    return _file(objects)


def locked(data: bytes, *, password: str) -> bytes:
    """Return a PDF that opens with a password, with an empty one for readers."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def endless() -> bytes:
    """Return a small PDF that draws a form that draws a form twice, and so on: 2 to the 40."""
    forms = [f"/X{number + 1} Do /X{number + 1} Do".encode() for number in range(40)]
    return drawn([b"/X0 Do"], forms=[*forms, b"BT /F1 12 Tf (deep) Tj ET"])


def swelling(megabytes: int) -> bytes:
    """Return a PDF whose page is drawn by so much, packed a thousandfold."""
    packed = zlib.compress(b"BT /F1 12 Tf (a) Tj ET\n" * (megabytes * 45_000), 9)
    return drawn([packed], filters="/Filter /FlateDecode")


def _stream(data: bytes, more: str) -> bytes:
    return f"<< {more} /Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream"


def _file(objects: Sequence[bytes]) -> bytes:
    data, offsets = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), list[int]()
    for number, one in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count, start = len(objects) + 1, len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, table)
    data += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, start)
    return bytes(data)
