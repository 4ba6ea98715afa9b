"""Asks a home's webserver, as the UI does: launch a run, see how one ended."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

from aurora_pipeline.errors import AuroraError

_LAUNCH = """
mutation Launch($job: String!, $config: RunConfigData!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "aurora_pipeline", repositoryName: "__repository__", jobName: $job},
    runConfigData: $config
  }) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
_RUN = """
query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status creationTime startTime endTime } } }
"""
_RUNS = """
query Runs($tags: [ExecutionTag!]) {
  runsOrError(filter: {tags: $tags}, limit: 10) { ... on Runs { results { runId status creationTime startTime } } }
}
"""
READS = (
    "{ runsOrError(limit: 25) { ... on Runs { results { runId status jobName } } } }",
    "{ assetsOrError { ... on AssetConnection { nodes { key { path } } } } }",
    "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }",
)
"""What the pages of the UI ask for most."""
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


class WebserverError(AuroraError):
    """The webserver did not answer, or refused."""


class WebserverClient:
    """One webserver on loopback.

    Parameters
    ----------
    port : int
    """

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"
        self._open = build_opener(ProxyHandler({})).open  # loopback, whatever proxies the environment names

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Send a query and return its data."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(self._url, body, {"Content-Type": "application/json"})
        try:
            with self._open(request, timeout=30) as answer:
                content: dict[str, Any] = json.loads(answer.read())
        except (URLError, OSError, ValueError) as error:
            raise WebserverError(f"{self._url}: {error}") from error
        if content.get("errors"):
            raise WebserverError(f"{self._url}: {content['errors'][0]['message']}")
        data: dict[str, Any] = content["data"]
        return data

    def launch(self, job: str, config: dict[str, Any] | None = None) -> str:
        """Launch a job; returns the run's id."""
        answer = self.ask(_LAUNCH, job=job, config=config or {})["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise WebserverError(f"{job} was not launched: {answer}")
        run_id: str = answer["run"]["runId"]
        return run_id

    def created(self, **tags: str) -> list[float]:
        """Moments the runs with these tags were created, seconds since 1970, oldest first."""
        wanted = [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()]
        results = self.ask(_RUNS, tags=wanted)["runsOrError"]["results"]
        return sorted(float(run["creationTime"]) for run in results)

    def duration(self, run_id: str, patience: float = 120.0) -> float:
        """Wait for a run's end; returns the seconds from its creation to its end."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            run = self.ask(_RUN, id=run_id)["runOrError"]
            if run.get("status") in _ENDED and run["endTime"]:
                return float(run["endTime"]) - float(run["creationTime"])
            time.sleep(0.1)
        raise WebserverError(f"run {run_id} has not ended after {patience:.0f} s")
