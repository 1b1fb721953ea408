"""Pictures for tests: small, whole and different from each other."""

import base64
import struct
import zlib
from typing import Any


def png(shade: int = 0) -> bytes:
    """Return a PNG of one grey pixel."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes([0, shade]))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*one) for one in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def a_picture(
    data: bytes, filename: str = "photo.png", kind: str | None = "image/png", **more: Any
) -> dict[str, Any]:
    """Return a picture as the stand-in takes it for an attachment."""
    content = base64.b64encode(data).decode()
    described = {"filename": filename, "content_base64": content, "content_type": kind}
    return described | {"width": 1, "height": 1} | more


def data_url(data: bytes, kind: str = "image/png") -> str:
    """Return the address by which a model is given a picture."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
