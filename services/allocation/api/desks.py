"""How people reach an agency, as an operator enters it: it is printed in messages to people, so it must be right."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Self

import phonenumbers
from phonenumbers import PhoneNumberFormat, shortnumberinfo
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from services.allocation.api.common import Body
from shared.contracts.agencies import Desk
from shared.contracts.envelope import Hours


def _printed(text: str) -> str:
    """Return a telephone number as it is printed where it is dialled: 01632 960001, 101, +353 20 910 0001."""
    try:
        number = phonenumbers.parse(text.strip(), "GB")
    except phonenumbers.NumberParseException:
        number = None
    if number is not None and not number.extension:
        if number.country_code == 44 and shortnumberinfo.is_valid_short_number(number):  # noqa: PLR2004 - Britain
            # 101 may be printed; the emergency number answers nobody's question about a letter.
            if not shortnumberinfo.is_emergency_number(text.strip(), "GB"):
                return phonenumbers.national_significant_number(number)
        elif phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE:
            british = number.country_code == 44  # noqa: PLR2004 - Britain
            form = PhoneNumberFormat.NATIONAL if british else PhoneNumberFormat.INTERNATIONAL
            return phonenumbers.format_number(number, form)
    message = "not a telephone number that anybody can ring Remedy: Write it like 01632 960001, 101 or +353 20 910 0001."
    raise ValueError(message)


Phone = Annotated[str, StringConstraints(max_length=40), AfterValidator(_printed)]
# One mailbox, and nothing that could be read as a header or as a second address.
Mailbox = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        max_length=254,
        pattern=r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+$",
    ),
]


class WantedHours(Body):
    """On which days (1 = Monday) and between which local times the telephone is answered."""

    days: list[Annotated[int, Field(ge=1, le=7)]] = Field(min_length=1, max_length=7)
    start: time
    until: time

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start >= self.until or self.start.tzinfo or self.until.tzinfo:
            message = 'do not end after they begin Remedy: Write local times, as in "09:00" and "17:00".'
            raise ValueError(message)
        return self


class WantedDesk(Body):
    """The agency's public number and mailbox, printed in what it writes to people. Not those of one of its workers."""

    phone: Phone | None = None
    email: Mailbox | None = None
    hours: list[WantedHours] = Field(default_factory=list, max_length=7)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.phone is None and (self.email is None or self.hours):
            message = "has no telephone to answer Remedy: Give phone or email; hours are those of the phone."
            raise ValueError(message)
        return self

    def told(self) -> Desk:
        """Return it as other services are told."""
        hours = (Hours(days=tuple(sorted(set(h.days))), start=h.start, until=h.until) for h in self.hours)
        return Desk(phone=self.phone, email=self.email, hours=tuple(hours))
