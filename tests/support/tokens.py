"""Access tokens for tests, signed by a key that test services are made to trust."""

import time
import uuid

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

# Fixed, so that the processes of one test trust each other. It protects nothing.
KEY = ec.derive_private_key(4_071_001_071_001, ec.SECP256R1())
KEY_ID = "test"


def token(
    agency: str, *scopes: str, worker: str | None = None, kind: str = "agency", lifetime: int = 300
) -> str:
    """Return a signed token of an agency with these scopes."""
    now = int(time.time())
    claims = {
        "iss": "onefriend",
        "aud": "onefriend",
        "sub": agency,
        "agency": agency,
        "kind": kind,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + lifetime,
        "jti": str(uuid.uuid4()),
    }
    if worker:
        claims["worker"] = worker
    return jwt.encode(claims, KEY, algorithm="ES256", headers={"kid": KEY_ID})


def bearer(agency: str, *scopes: str, worker: str | None = None, kind: str = "agency") -> dict[str, str]:
    """Return the Authorization header of such a token."""
    return {"Authorization": f"Bearer {token(agency, *scopes, worker=worker, kind=kind)}"}
