"""A revision is tried as often as its faults ask for, and costs the memory of one."""

import gc

from driftd.compile import Compiled
from driftd.engine.candidate import Trials
from tests.support.models import written

ENVIRONMENT = """
apiVersion: driftd.dev/v1alpha1
kind: Environment
metadata: {name: NAME}
spec: {tenant: acme, plan: shared, services: {web: {labels: {app: web}}}}
"""


def alive() -> int:
    gc.collect()
    return sum(isinstance(one, Compiled) for one in gc.get_objects())


def test_of_all_models_that_were_tried_the_last_alone_is_kept() -> None:
    """Each was kept under the id of a model that may be gone, and whose id another one may have by then."""
    before, trials = alive(), Trials()
    models = [written(ENVIRONMENT.replace("NAME", name)) for name in ("one", "two", "three")]
    for model in models:
        assert trials.faults(model) == ()
    assert alive() == before + 1
    assert trials.compiled(models[-1]) is trials.compiled(models[-1])
    assert list(trials.compiled(models[0]).governed) == ["one"]
    broken = written(ENVIRONMENT.replace("NAME", "four").replace("plan: shared", "plan: unknown"))
    assert [problem.field for problem in trials.faults(broken)] == ["spec.plan"]
    assert alive() == before
