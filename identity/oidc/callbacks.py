"""Where providers send browsers back to; each kind of sign-in has one."""

from collections.abc import Collection
from typing import Any

from django.http import HttpResponseRedirect
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.views import APIView

from identity.oidc import attempts, origins
from identity.oidc.client import Answer
from identity.oidc.models import Attempt

_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


@extend_schema(exclude=True)
class CallbackView(APIView):
    """Takes the answer of a provider, and sends the browser on to where the sign-in was begun: with a one-time code for
    what came of it, or with why nothing did. It changes nothing for anybody: that takes the secret of who began.

    Attributes:
        kinds: of the attempts that end here.
    """

    http_method_names = ["get", "options"]  # a HEAD request would use the answer up
    throttles = {"GET": "token"}
    kinds: Collection[str] = ()

    def get(self, request: Request) -> HttpResponseRedirect:
        """Take a provider's answer, once.

        Raises:
            UnknownAttempt: nobody waits for it, or not any more.
        """
        answer = Answer.of(request.query_params)
        attempt = attempts.consume(answer.state, kinds=self.kinds)
        try:
            told = {"code": attempts.finish(attempt, self.outcome(attempt, answer))}
        except APIException as error:
            told = {"error": str(error.default_code), "error_description": str(error.detail)}
        return HttpResponseRedirect(origins.with_parameters(attempt.return_to, **told), headers=_HEADERS)

    def outcome(self, attempt: Attempt, answer: Answer) -> dict[str, Any]:
        """Return what came of an attempt, as JSON for ``attempts.take``.

        Raises:
            APIException: why nothing did; the browser is told.
        """
        raise NotImplementedError
