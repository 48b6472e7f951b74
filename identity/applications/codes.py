"""Authorization codes (RFC 6749 section 4.1): given to a person's browser for an application, exchanged by that for
tokens. Each function is one transaction.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.applications.models import Application, AuthorizationCode, Consent
from identity.sessions import selectors as sign_ins
from identity.sessions import services as sessions
from identity.sessions.models import Api, EndReason, Session
from identity.sessions.proof import Proof, Way
from identity.sessions.services import Device
from identity.tokens import openid
from identity.tokens import services as tokens
from identity.tokens.minting import Grant, IssuedTokens, mint_for_session
from permissions import scopes

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)  # RFC 7636 section 4.1


@transaction.atomic
def issue(
    *,
    application: Application,
    session: Session,
    scope: frozenset[str],
    redirect_uri: str,
    code_challenge: str,
    nonce: str,
) -> str:
    """Return a code by which an application gets tokens with `scope`, once and soon.

    Args:
        session: the sign-in of the person who agreed.
        code_challenge: what its verifier hashes to, by S256.
    """
    code = secrets.token_urlsafe(32)
    AuthorizationCode.objects.create(
        application=application,
        session=session,
        digest=_digest(code),
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        scope=" ".join(sorted(scope)),
        nonce=nonce,
        expires_at=timezone.now() + settings.AUTHORIZATION_CODE_LIFETIME,
    )
    return code


@transaction.atomic
def redeem(*, application_id: UUID, code: str, redirect_uri: str, code_verifier: str) -> IssuedTokens | None:
    """Exchange a code for the tokens of a new session, in which the application acts for the person.

    None when it is not good. It is used up all the same, unless it is another application's; used a second time, it
    ends the session that it gave: one of the two who have it is a thief (RFC 9700 section 4.5).

    Args:
        application_id: who presents it, proved.

    Raises:
        InvalidToken: the person has no place in the application's tenant any more.
        APIException: the tenant is closed, or its sign-in policy is not met.
    """
    found = AuthorizationCode.objects.select_for_update(no_key=True).filter(digest=_digest(code))
    row = found.filter(application_id=application_id).first()
    if row is None:
        return None
    if row.used_at is not None:
        if row.gave is not None:
            sessions.end_session(session_id=row.gave, reason=EndReason.REVOKED)
        return None
    row.used_at = timezone.now()
    row.save(update_fields=["used_at"])
    is_good = row.expires_at > row.used_at and row.redirect_uri == redirect_uri and _fits(code_verifier, row)
    return _exchange(row) if is_good else None


@transaction.atomic
def prune_codes(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` codes that expired `keep` ago, and return how many."""
    old = AuthorizationCode.objects.filter(expires_at__lt=timezone.now() - keep).order_by("expires_at")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    AuthorizationCode.objects.filter(pk__in=batch).delete()
    return len(batch)


def _exchange(row: AuthorizationCode) -> IssuedTokens | None:
    standing = _hold(row)
    if standing is None:
        return None
    application, user, browser = standing
    tenant_id = application.tenant_id
    authority = tokens.authority_now(user_id=user.pk, tenant_id=tenant_id).bound_to(browser.tenant_id)
    authority = authority.bound_to(tenant_id).through(application.pk)
    scope = _allowed(row.scope.split(), application)
    if not scope:  # and none would mean all
        return None
    is_lasting = openid.OFFLINE_ACCESS in scope
    session, refresh_token = sessions.start_session(
        user_id=user.pk,
        api=Api.TENANT,
        tenant_id=tenant_id,
        proof=_proof(browser, application),
        # The person's, who is to recognize it; an application's server is nobody's known address.
        device=Device(browser.ip_address, browser.user_agent),
        scope=" ".join(scope),
        lifetime=None if is_lasting else settings.ACCESS_LIFETIME,
    )
    row.gave = session.pk
    row.save(update_fields=["gave"])
    issued = mint_for_session(
        session,
        authority,
        authority.scopes(session.scope),
        refresh_token=refresh_token if is_lasting else None,
        grant=Grant.CODE,
    )
    if openid.OPENID not in scope:
        return issued
    token = openid.id_token(session, user, access_token=issued.access_token, nonce=row.nonce)
    return replace(issued, id_token=token)


def _hold(row: AuthorizationCode) -> tuple[Application, User, Session] | None:
    """Return what a code stands on, if all of it is still there, and keep it so until the transaction ends: whatever
    ends the sessions of a person, or of an application, must not miss the one that begins here.
    """
    user_id = row.session.user_id
    active = Application.objects.filter(pk=row.application_id, is_active=True)
    application = active.select_for_update(no_key=True).first()
    consent = Consent.objects.select_for_update().filter(application_id=row.application_id, user_id=user_id).first()
    try:
        user = accounts.hold_account(user_id=user_id)
    except User.DoesNotExist:
        return None
    browser = sign_ins.live_session(session_id=row.session_id, user_id=user_id)
    if application is None or browser is None or consent is None:
        return None
    agreed = frozenset(row.scope.split()) <= frozenset(consent.scopes)
    return (application, user, browser) if agreed else None


def _allowed(agreed: list[str], application: Application) -> list[str]:
    """Return what of it the application may still be given."""
    now = frozenset(application.scopes)
    return [scope for scope in agreed if scope in openid.SCOPES or scopes.holds(now, scope)]


def _proof(browser: Session, application: Application) -> Proof:
    return Proof(
        way=Way(browser.way),
        methods=tuple(browser.methods),
        connection_id=browser.connection_id,
        provider_session=browser.provider_session,
        only_tenant_id=application.tenant_id,
        application_id=application.pk,
        proved_at=browser.authenticated_at,
    )


def _fits(code_verifier: str, row: AuthorizationCode) -> bool:
    """Tell whether a verifier is that of the code's challenge (RFC 7636 section 4.6)."""
    if not _VERIFIER.fullmatch(code_verifier):
        return False
    challenge = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(challenge, row.code_challenge)


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "backslashreplace")).digest()
