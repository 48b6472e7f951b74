"""JSON as DRF writes it, several times as fast."""

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

_PLAIN: tuple[type[Any], ...] = (str, dict, list, tuple, int, float)
_drf = JSONEncoder()


class FastJSONRenderer(JSONRenderer):
    """Renders with msgspec; what that does not know (lazy text, time spans, query sets) as DRF does."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else _encoder.encode(data)


def _shown(value: Any) -> Any:
    """Return what a value is shown as; a subclass of what JSON has is what it is."""
    for plain in _PLAIN:
        if isinstance(value, plain):
            return plain(value)
    return _drf.default(value)


_encoder = msgspec.json.Encoder(enc_hook=_shown)
