from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.store.chain import AuditRow, Head, link, walk

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
CONTENTS = st.lists(st.tuples(TEXTS, st.integers(0, 9), TEXTS, TEXTS, TEXTS), max_size=8)


def chain(contents: list[tuple[str, int, str, str, str]]) -> list[AuditRow]:
    rows: list[AuditRow] = []
    head = Head()
    for at, epoch, kind, subject, payload in contents:
        rows.append(link(head, at=at, epoch=epoch, kind=kind, subject=subject, payload=payload))
        head = Head(rows[-1].seq, rows[-1].hash)
    return rows


@given(CONTENTS)
def test_an_untouched_chain_verifies_up_to_its_last_row(contents: list[tuple[str, int, str, str, str]]) -> None:
    rows = chain(contents)
    found = walk(rows, Head())
    assert found.ok
    assert found.rows == len(rows)
    assert found.head.seq == len(rows)


@given(CONTENTS.filter(bool), st.data())
def test_no_field_of_any_row_can_change_unnoticed(
    contents: list[tuple[str, int, str, str, str]], data: st.DataObject
) -> None:
    rows = chain(contents)
    index = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(["at", "epoch", "kind", "subject", "payload", "prev_hash", "hash"]))
    old = getattr(rows[index], field)
    new = old + 1 if field == "epoch" else old + "x"
    rows[index] = replace(rows[index], **{field: new})
    found = walk(rows, Head())
    assert not found.ok
    assert found.first_bad == index + 1


@given(CONTENTS.filter(lambda rows: len(rows) > 1), st.data())
def test_no_row_can_vanish_or_move(contents: list[tuple[str, int, str, str, str]], data: st.DataObject) -> None:
    rows = chain(contents)
    index = data.draw(st.integers(0, len(rows) - 2))
    assert not walk(rows[:index] + rows[index + 1 :], Head()).ok
    rows[index], rows[index + 1] = rows[index + 1], rows[index]
    assert not walk(rows, Head()).ok


@pytest.mark.parametrize("subject", ["NetworkPolicy acme/x", "Namespace zürich"])
def test_a_hash_is_what_sha256sum_says_of_previous_hash_and_json_line(subject: str) -> None:
    row = link(Head(), at="2026", epoch=7, kind="note", subject=subject, payload='{"a":"b"}')
    line = f'[1,"2026",7,"note","{subject}","{{\\"a\\":\\"b\\"}}"]'
    assert row.hash == sha256(("0" * 64 + line).encode()).hexdigest()
