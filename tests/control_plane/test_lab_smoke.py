from driftd.lab import Lab


async def test_the_shared_lab_answers_on_loopback(lab: Lab) -> None:
    assert lab.server.startswith("https://127.0.0.1:")
    assert await lab.apiserver.is_ready()
