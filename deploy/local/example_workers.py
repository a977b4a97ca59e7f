"""Workers of a few agencies of the shipped policies: somebody to name, to deputise and to put in a team.

Without hours: rules then leave the choice of the named worker to each agency, balance the work by open cases, and let no
case wait for anybody. With hours (`capacity` in PUT /v1/workers) rules name the worker, and cases queue when all are taken.
"""

from typing import Any, Final

import httpx

NOT_FOUND: Final = 404
EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "asha.patel": {"agency": "beacon", "deputy": "tom.reed", "details": {"languages": ["en", "gu"]}},
    "tom.reed": {"agency": "beacon", "details": {"experienced": True}},
    "grace.obi": {"agency": "victims-first-northumbria", "deputy": "liam.scott", "details": {}},
    "liam.scott": {"agency": "victims-first-northumbria", "details": {"specialisms": ["hate_crime"]}},
    "nia.evans": {"agency": "hub-brighton", "details": {"training": "complex", "experienced": True}},
}


async def register(base: str, token: str) -> list[str]:
    """Make allocation know them; whoever it knows stays untouched, so that what somebody has changed stays changed.

    Args:
        base: URL of allocation.
        token: of an operator.

    Returns:
        What could not be registered, one sentence each.
    """
    headers = {"Authorization": f"Bearer {token}"}
    problems = []
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as http:
        # Whoever is named as a deputy is there first.
        for worker, wanted in sorted(EXAMPLES.items(), key=lambda one: "deputy" in one[1]):
            problems.append(await _register(http, worker, wanted))
    return [problem for problem in problems if problem]


async def _register(http: httpx.AsyncClient, worker: str, wanted: dict[str, Any]) -> str | None:
    path = f"/v1/workers/{worker}"
    try:
        if (await http.get(path)).status_code != NOT_FOUND:
            return None
        answer = await http.put(path, json=wanted)
    except httpx.HTTPError as error:
        return f"{worker}: allocation does not answer ({type(error).__name__})"
    return (
        None
        if answer.is_success
        else f"{worker}: allocation answered {answer.status_code}: {answer.text[:300]}"
    )
