"""A real Prometheus on loopback, scraping what a test names; and promtool."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.debian import program
from tests.support.loopback import answers, free_ports, serving


@dataclass
class Prometheus:
    """Its HTTP API."""

    url: str
    session: aiohttp.ClientSession

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query; an expression it refuses is a failure."""
        found = await self._get("/api/v1/query", query=expression)
        return list(found["result"])

    async def label_values(self, metric: str, label: str) -> list[str]:
        """What Grafana's `label_values(metric, label)` asks for."""
        found: list[str] = await self._get(f"/api/v1/label/{label}/values", **{"match[]": metric})
        return found

    async def exemplars(self, selector: str) -> list[dict[str, Any]]:
        found: Any = await self._get("/api/v1/query_exemplars", query=selector, start="0", end="9999999999")
        return [exemplar for series in found for exemplar in series["exemplars"]]

    async def sick_rules(self) -> list[str]:
        """Rules whose last evaluation failed."""
        found = await self._get("/api/v1/rules")
        return [rule["name"] for group in found["groups"] for rule in group["rules"] if rule["health"] == "err"]

    async def _get(self, path: str, **params: str) -> Any:
        async with self.session.get(self.url + path, params=params) as answer:
            body = await answer.json()
            assert answer.status == 200, f"{params}: {body}"
            return body["data"]


@asynccontextmanager
async def prometheus(home: Path, scraped_port: int, rules: Path) -> AsyncIterator[Prometheus]:
    """Scrapes one port of loopback each second, with exemplars, and evaluates `rules`."""
    binary = program("prometheus", "prometheus")
    home.mkdir(parents=True)
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "driftd", "static_configs": [{"targets": [f"127.0.0.1:{scraped_port}"]}]}],
    }
    (home / "prometheus.yml").write_text(json.dumps(config))
    command = [
        str(binary),
        f"--config.file={home / 'prometheus.yml'}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--enable-feature=exemplar-storage",
    ]
    async with (
        aiohttp.ClientSession() as session,
        serving(command, home / "log", lambda: answers(session, f"{url}/-/ready")),
    ):
        yield Prometheus(url, session)
