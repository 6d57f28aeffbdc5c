"""Rows of a store by token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError

ABSENT = -1


class TokenIndex:
    """Finds rows by binary search; a store of 100,000 scenes takes two arrays and no dict of strings."""

    def __init__(self, tokens: NDArray[np.bytes_]) -> None:
        """Of unique tokens (S,), in the order of the rows."""
        self._order = np.argsort(tokens, kind="stable")
        self._sorted = tokens[self._order]

    def find(self, tokens: Sequence[str]) -> NDArray[np.intp]:
        """(T,) row of each token, `ABSENT` where there is none."""
        codes = np.array([token.encode() for token in tokens], np.bytes_)
        if not len(codes) or not len(self._sorted):
            return np.full(len(codes), ABSENT, np.intp)
        place = np.minimum(np.searchsorted(self._sorted, codes), len(self._sorted) - 1)
        return np.where(self._sorted[place] == codes, self._order[place], ABSENT)

    def require(self, tokens: Sequence[str], *, where: str, remedy: str) -> NDArray[np.intp]:
        """(T,) row of each token.

        Args:
            tokens: asked for.
            where: names the store.
            remedy: what to do where some are missing.

        Raises:
            DataError: counts and names those that are missing.
        """
        rows = self.find(tokens)
        absent = np.flatnonzero(rows == ABSENT)
        if len(absent):
            raise DataError(
                f"{where} lacks {len(absent)} of {len(tokens)} scenes, {tokens[absent[0]]} for one; {remedy}"
            )
        return rows
