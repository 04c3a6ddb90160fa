"""The library is borrowed in a way it does not promise; these tests say when a release breaks that."""

import subprocess
import sys

from driftd.cluster.library import library


def test_the_parts_in_use_come_without_the_models() -> None:
    assert library().module_count < 30
    assert not any(name.startswith("kubernetes_asyncio.client.models") for name in sys.modules)


def test_a_configuration_has_the_fields_we_read() -> None:
    configuration = library().Configuration()
    for name in ("host", "api_key", "ssl_ca_cert", "cert_file", "key_file", "proxy", "connection_pool_maxsize"):
        assert hasattr(configuration, name), name


async def test_a_rest_client_has_the_session_and_the_settings_we_use() -> None:
    configuration = library().Configuration()
    configuration.connection_pool_maxsize = 2
    rest = library().RESTClientObject(configuration)
    try:
        assert rest.pool_manager.connector.limit == 2
        assert rest.proxy is None
        assert rest.server_hostname is None
    finally:
        await rest.close()


def test_borrowing_leaves_the_whole_package_importable_and_costs_little_memory() -> None:
    program = """
import aiohttp, msgspec, yaml, sys
def rss(): return int(open('/proc/self/statm').read().split()[1]) * 4096
from driftd.cluster.library import library
before = rss()
library()
assert rss() - before < 12_000_000, rss() - before
assert not [name for name in sys.modules if name.startswith('kubernetes_asyncio')]
import kubernetes_asyncio.config.kube_config as whole
assert whole.ApiClient is not None
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_another_thread_may_import_something_meanwhile() -> None:
    program = """
import sys
from driftd.cluster.library import library

class Meanwhile(str):
    def startswith(self, *wanted):
        sys.modules[f'imported {len(sys.modules)}'] = sys  # as another thread would
        return super().startswith(*wanted)

sys.modules[Meanwhile('somebody')] = sys
library()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
