"""Routes that are found by their first segment, instead of one after the other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from django.urls import Resolver404, URLPattern, URLResolver
from django.urls.resolvers import ResolverMatch, RoutePattern

_Pattern = URLPattern | URLResolver


class IndexedResolver(URLResolver):
    """``path(prefix, include(patterns))`` for a prefix of plain text with many routes below it.

    Django asks every pattern in turn. This asks those alone that can match, in the same order: where the first segment
    of a route is plain text, the path has to begin with it.
    """

    def __init__(self, prefix: str, patterns: Sequence[_Pattern]) -> None:
        super().__init__(RoutePattern(prefix), list(patterns))

    def resolve(self, path: str) -> ResolverMatch:
        """Return what answers this path.

        Raises:
            Resolver404: nothing does.
        """
        prefix, path = str(self.pattern), str(path)
        if not path.startswith(prefix):
            raise Resolver404({"path": path})
        rest = path[len(prefix) :]
        by_segment, others = self._index
        for pattern in by_segment.get(rest.partition("/")[0], others):
            try:
                match: ResolverMatch | None = pattern.resolve(rest)
            except Resolver404:
                continue
            if match is not None:
                if isinstance(pattern, URLResolver):
                    match.route = str(pattern.pattern) + match.route
                return match
        raise Resolver404({"path": rest})

    @cached_property
    def _index(self) -> tuple[Mapping[str, list[_Pattern]], list[_Pattern]]:
        """For each first segment the patterns that may match, and those for any other one."""
        patterns = [(_first_segment(pattern), pattern) for pattern in _flat(self.url_patterns)]
        by_segment = {
            segment: [pattern for own, pattern in patterns if own in (segment, None)]
            for segment in {own for own, _ in patterns if own is not None}
        }
        return by_segment, [pattern for own, pattern in patterns if own is None]


def _flat(patterns: Iterable[_Pattern]) -> Iterator[_Pattern]:
    """Yield the patterns, and those of ``path("", include(...))`` in its place where it adds nothing."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver) and _adds_nothing(pattern):
            yield from _flat(pattern.url_patterns)
        else:
            yield pattern


def _adds_nothing(resolver: URLResolver) -> bool:
    is_named = resolver.namespace or resolver.app_name or resolver.default_kwargs
    return not is_named and isinstance(resolver.pattern, RoutePattern) and not str(resolver.pattern)


def _first_segment(pattern: _Pattern) -> str | None:
    """Return what the first segment of a path has to be; None if that is not known."""
    if not isinstance(pattern.pattern, RoutePattern) or not isinstance(
        vars(pattern.pattern)["_route"], str
    ):  # lazy: translated
        return None
    segment, slash, _ = str(pattern.pattern).partition("/")
    is_whole = slash or isinstance(pattern, URLPattern)  # a resolver's route may end in the middle of a segment
    return segment if is_whole and "<" not in segment else None
