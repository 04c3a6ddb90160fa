"""The four modules of kubernetes-asyncio that driftd stands on, without the package around them.

Trap: `import kubernetes_asyncio` runs package initialisers that load 850 modules of typed models (38 MB, 0.6 s here,
1 s elsewhere), and every submodule drags them in. Measured this way: 2.9 MB and 0.05 s. So the parents are stood in
for by empty packages while the four are imported, and taken away again: a later full import is not disturbed.
`tests/cluster/test_library.py` fails when a release no longer allows it.
"""

import importlib
import importlib.util
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

_PACKAGE = "kubernetes_asyncio"
_LOCK = Lock()


class LibraryMissing(ImportError):
    """kubernetes-asyncio is not installed, or no longer has the modules driftd stands on."""


@dataclass(frozen=True, slots=True)
class Library:
    """What is used: configuration, the session with its TLS set-up, and the two loaders of credentials."""

    Configuration: Any
    RESTClientObject: Any
    load_kube_config: Any
    load_incluster_config: Any
    ConfigException: type[Exception]
    module_count: int


_loaded: list[Library] = []


def library() -> Library:
    """The parts of kubernetes-asyncio in use, imported once.

    Raises:
        LibraryMissing: the package is absent, or has changed so that this way of importing it breaks.
    """
    with _LOCK:
        if not _loaded:
            _loaded.append(_import_lightly())
    return _loaded[0]


def _import_lightly() -> Library:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise LibraryMissing(f"the package {_PACKAGE} is not installed; driftd needs it to reach the API server")
    root = Path(next(iter(spec.submodule_search_locations)))
    # A copy each time: another thread may be importing something, such as the sender of pages.
    before = {name: module for name, module in sys.modules.copy().items() if _ours(name)}
    for name in before:
        del sys.modules[name]
    try:
        return _import_under_stand_ins(root)
    except (ImportError, AttributeError) as error:
        raise LibraryMissing(
            f"{_PACKAGE} at {root.name} lacks what driftd uses of it ({error}); "
            "install the version that the lock file names"
        ) from error
    finally:
        for name in [name for name in sys.modules.copy() if _ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _import_under_stand_ins(root: Path) -> Library:
    _stand_in(_PACKAGE, root)
    client = _stand_in(f"{_PACKAGE}.client", root / "client")
    _stand_in(f"{_PACKAGE}.config", root / "config")
    configuration = importlib.import_module(f"{_PACKAGE}.client.configuration").Configuration
    rest = importlib.import_module(f"{_PACKAGE}.client.rest")
    # The loaders import these two names from the package. The client itself is only made by functions unused here.
    client.Configuration = configuration  # type: ignore[attr-defined]
    client.ApiClient = None  # type: ignore[attr-defined]
    kube = importlib.import_module(f"{_PACKAGE}.config.kube_config")
    incluster = importlib.import_module(f"{_PACKAGE}.config.incluster_config")
    # That logger writes whole response bodies at DEBUG, and bodies may hold secrets.
    logging.getLogger(f"{_PACKAGE}.client.rest").setLevel(logging.INFO)
    return Library(
        Configuration=configuration,
        RESTClientObject=rest.RESTClientObject,
        load_kube_config=kube.load_kube_config,
        load_incluster_config=incluster.load_incluster_config,
        ConfigException=kube.ConfigException,
        module_count=sum(1 for name in sys.modules.copy() if _ours(name)),
    )


def _stand_in(name: str, folder: Path) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module
    return module


def _ours(name: str) -> bool:
    return name == _PACKAGE or name.startswith(_PACKAGE + ".")
