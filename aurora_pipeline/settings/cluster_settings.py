"""Where the profile `cluster` keeps what one machine keeps in its home. Secrets are no settings: see docs/scaling.md."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from aurora_pipeline.settings.section import Count, Positive, Section


class ClusterSettings(Section):
    """Services of the profile `cluster`; nothing here is read in the profile `local`, and nothing changes a number."""

    store: Annotated[str, Field(pattern=r"^s3://[^/]+(/[^/]+)*$")] | None = Field(
        default=None, description="bucket and prefix of the lake, models and records, `s3://bucket/prefix`"
    )
    endpoint: str | None = Field(
        default=None, description="address of an S3-compatible server, `http://host:port`; AWS if unset"
    )
    region: str = Field(default="us-east-1", description="region of the bucket")
    ray: str | None = Field(default=None, description="address of Ray's job server, `http://host:8265`")
    concurrent_runs: Count = Field(
        default=2, description="runs on Ray at the same time: no more than the cluster has processors for"
    )
    run_retries: Annotated[int, Field(ge=0)] = Field(
        default=3, description="further attempts after the worker of a run was lost; a named error is final"
    )
    patience_seconds: Positive = Field(
        default=180.0, description="how long the database or the object store may be away before that is an error"
    )
