"""SEC EDGAR: quarterly values of companies as first filed, known when EDGAR accepted the filing.

The SEC asks for a User-Agent that names who asks, and for at most 10 requests a second; both are kept here. Three addresses are
asked: the table of tickers, a company's filings (acceptance times; older ones in further files), and its facts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from aurora_pipeline.adapters.vendors.edgar_quarters import acceptance_moments, quarterly_values
from aurora_pipeline.adapters.vendors.http import DOWNLOAD, Pace, Patience, json_of, patient_session
from aurora_pipeline.errors import VendorFormatError, VendorKeyError
from aurora_pipeline.market.columns import FEEDS

VENDOR = "EDGAR"
USER_AGENT_VARIABLE = "EDGAR_USER_AGENT"
REQUESTS_PER_SECOND = 10
WWW, DATA = "https://www.sec.gov", "https://data.sec.gov"
_NOT_FOUND = 404


def user_agent(environment: Mapping[str, str] = os.environ) -> str:
    """Return who asks, from the environment.

    Raises
    ------
    VendorKeyError
        It is not set, or has no e-mail address in it.
    """
    text = environment.get(USER_AGENT_VARIABLE, "")
    if not re.search(r"\S+@\S+\.\S+", text):
        raise VendorKeyError(
            f"{VENDOR}: {USER_AGENT_VARIABLE} is not set or has no e-mail address; the SEC asks every program to say whose it "
            f"is: export {USER_AGENT_VARIABLE}='Your Name you@example.com'"
        )
    return text


class Edgar:
    """Quarterly values of US companies.

    Parameters
    ----------
    agent : str
        See :func:`user_agent`.
    patience : Patience
    www, data : str
        Addresses of the two hosts.
    """

    def __init__(self, agent: str, patience: Patience = DOWNLOAD, www: str = WWW, data: str = DATA) -> None:
        pace = Pace(REQUESTS_PER_SECOND, 1.0)
        self._session = patient_session(patience, pace, {"User-Agent": agent})
        self._www, self._data = www, data
        self._keys: dict[str, int] | None = None

    def company_keys(self) -> dict[str, int]:
        """Central index key by ticker, as EDGAR writes tickers (``BRK-B``); asked for once."""
        if self._keys is None:
            table = self._ask(f"{self._www}/files/company_tickers.json")
            try:
                self._keys = {entry["ticker"]: int(entry["cik_str"]) for entry in table.values()}
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise _form("company_tickers.json", error) from error
        return self._keys

    def fundamentals(
        self, symbols: Sequence[str], progress: Callable[[], None] = lambda: None
    ) -> tuple[pl.DataFrame, list[str]]:
        """First-filed quarters.

        Returns
        -------
        tuple of polars.DataFrame and list of str
            Contract columns of `fundamentals`, and the symbols that EDGAR has no company or no facts for.
        """
        frames = [pl.DataFrame(schema=FEEDS["fundamentals"].columns)]
        unknown: list[str] = []
        for symbol in symbols:
            key = self.company_keys().get(symbol.replace(".", "-").upper())
            facts = self._facts(key) if key is not None else None
            if key is None or facts is None:
                unknown.append(symbol)
            else:
                frames.append(quarterly_values(symbol, facts, self._accepted(key)))
            progress()
        return pl.concat(frames), unknown

    def _facts(self, key: int) -> dict[str, Any] | None:
        """Facts of a company; None for one that files none (a fund, say)."""
        response = self._session.get(f"{self._data}/api/xbrl/companyfacts/CIK{key:010d}.json")
        if response.status_code == _NOT_FOUND:
            return None
        facts = json_of(response, VENDOR)
        if not (isinstance(facts, dict) and isinstance(facts.get("facts"), dict)):
            raise _form(f"companyfacts of CIK{key:010d}", "no `facts`")
        return facts

    def _accepted(self, key: int) -> dict[str, datetime]:
        """Acceptance by accession number."""
        answer = self._ask(f"{self._data}/submissions/CIK{key:010d}.json")
        try:
            filings = answer["filings"]
            parts = [filings["recent"]]
            parts += [self._ask(f"{self._data}/submissions/{each['name']}") for each in filings.get("files") or ()]
            numbers = [number for part in parts for number in part["accessionNumber"]]
            stamps = [stamp for part in parts for stamp in part["acceptanceDateTime"]]
            return dict(zip(numbers, acceptance_moments(stamps), strict=True))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _form(f"submissions of CIK{key:010d}", error) from error

    def _ask(self, url: str) -> Any:
        return json_of(self._session.get(url), VENDOR)


def _form(what: str, found: object) -> VendorFormatError:
    return VendorFormatError(f"{VENDOR}: {what} is not in its documented form: {found!r}; nothing of it is used")
