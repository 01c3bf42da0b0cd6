"""Secrets and signatures by the Standard Webhooks specification."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence
from datetime import datetime

from dispatch_relay.errors import InvalidEndpoint

PREFIX = "whsec_"
_BYTES = 32
_FEWEST, _MOST = 24, 64


def new_secret() -> str:
    """A fresh secret: "whsec_" and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def checked_secret(secret: str) -> str:
    """A secret that was given; InvalidEndpoint tells what one looks like, and never what was given."""
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not _FEWEST <= len(key) <= _MOST:
        raise InvalidEndpoint(
            f'a secret is "{PREFIX}" and {_FEWEST} to {_MOST} random bytes in base64; `openssl rand -base64 32` makes '
            "the second part"
        )
    return secret


def signed_headers(event_id: str, body: bytes, *, keys: Sequence[str], now: datetime) -> dict[str, str]:
    """The three headers of a webhook: one signature for each secret, over the id, the time and exactly these bytes."""
    from standardwebhooks import Webhook

    text = body.decode()
    signatures = [Webhook(key).sign(msg_id=event_id, timestamp=now, data=text) for key in keys]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
