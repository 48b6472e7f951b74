from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException


class DomainNotProved(APIException):
    """409: the record that proves the domain was not found: `found` is `nothing` (no such name, or no text at it),
    `other_text`, or `no_answer` (of the DNS, in time).
    """

    status_code = status.HTTP_409_CONFLICT
    default_code = "domain_not_proved"

    def __init__(self, name: str, found: list[str] | None) -> None:
        said, what = "other_text", f"there are {len(found or ())} text records there, and none of them is it"
        if found is None:
            said, what = "no_answer", "the DNS did not answer, or not in time"
        elif not found:
            said, what = "nothing", "there is no text record there"
        self.members: dict[str, Any] = {"found": said}  # of the problem
        super().__init__(f"We looked for the domain's record at {name}: {what}. It can take a while to be seen.")


class DomainTaken(APIException):
    """409: another tenant has proved the domain, and its proof still holds."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "domain_taken"
    default_detail = "Another tenant has proved this domain, and its proof holds."


class DomainClaimed(APIException):
    """409: the tenant has added this domain already."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "domain_claimed"
    default_detail = "This tenant has the domain already."


class DomainClaimLapsed(APIException):
    """409: the domain was not proved in time: add it again, for another record."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "domain_claim_lapsed"
    default_detail = "This domain was not proved in time: add it again, and publish the record that you get then."


class TooManyDomains(APIException):
    """409: a tenant adds a bounded number of domains."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_domains"
    default_detail = "This tenant has as many domains as there can be: remove one that is not used."
