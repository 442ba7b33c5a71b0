"""Deaths are counted in the payload, and the rest of it stays as it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gresque.errors import PayloadTooLarge
from gresque.jobs import payload
from gresque.jobs.crash_history import HISTORY, add_death, deaths, recoveries
from tests.support.deaths import without_deaths

JOBS = [
    b'{"class":"A","args":[1]}',
    b'{"class":"A","args":["]","\\"}"],"id":"x"}',
    b'{ "class" : "A" }',
    b"{}",
    b"{ }",
    b'{"class":"A","gresque":{"dirty_exit":"fail","x":[1.0e+20,"\\u00e9"]},"expires_at":1.50}',
    b'{"gresque":{"a":1},"class":"A","gresque":{"b":1}}',
    b'{"class":"A","gresque" : {"b":1},"args":[{"gresque":{"b":1}}]}',
    b'{"class":"A","args":[{"gresque":{"b":1}}],"gresque" : {"b":1}\n}',
    b'{"recoveries":"mine","class":"A"}',
    b'{"recoveries":2,"class":"A"}',
    b'{"class":"A","recoveries":2,"deaths":[]}',
    '{"class":"é","args":["日本"]}'.encode(),
]


@pytest.mark.parametrize("raw", JOBS)
def test_counting_and_taking_the_count_away(raw: bytes) -> None:
    once = add_death(raw, "vm:1 at noon")
    twice = add_death(once, 'vm:2 "at" \\ é night')
    assert b'"recoveries":1,"deaths":["vm:1 at noon"]}' in once
    assert [recoveries(each) for each in (raw, once, twice)] == [0, 1, 2]
    assert deaths(twice) == ["vm:1 at noon", 'vm:2 "at" \\ é night']
    assert without_deaths(twice) == without_deaths(once) == raw
    before, after = json.loads(raw), json.loads(once)
    assert before.pop("gresque", {}).items() <= after.pop("gresque").items()
    assert before == after


def test_a_job_still_runs_and_is_still_matched() -> None:
    raw = payload.encode("A", [1, "x"], {"k": 2}, "id7")
    marked = add_death(add_death(raw, "one"), "two")
    expected = payload.decode(raw)
    assert payload.decode(marked).args == expected.args
    expected.gresque = payload.decode(marked).gresque
    assert payload.decode(marked) == expected


def test_only_the_last_deaths_are_kept() -> None:
    raw = b'{"class":"A"}'
    for number in range(2 * HISTORY):
        raw = add_death(raw, f"{number}" + "x" * 10_000)
    assert recoveries(raw) == 2 * HISTORY
    assert len(deaths(raw)) == HISTORY
    assert len(raw) < 10_000


def test_what_another_program_wrote_with_spaces_counts_on() -> None:
    spaced = b' { "gresque": { "recoveries": 2, "deaths": [ "a" , "b" ] }, "class": "A" }'
    assert (recoveries(spaced), deaths(spaced)) == (2, ["a", "b"])
    assert add_death(spaced, "c") == (
        b' { "gresque": {"recoveries":3,"deaths":["a","b","c"]}, "class": "A" }'
    )


def test_the_count_does_not_make_a_job_too_large() -> None:
    frame = len(payload.encode("A", [""], None, "i"))
    largest = payload.encode("A", ["x" * (payload.MAX_PAYLOAD_BYTES - frame)], None, "i")
    assert len(largest) == payload.MAX_PAYLOAD_BYTES
    payload.decode(add_death(largest, "a death"))
    with pytest.raises(PayloadTooLarge):
        payload.decode(add_death(largest[:-1] + b" }", "a death"))


texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=8,
)


@given(st.dictionaries(texts, values), st.lists(st.text(), min_size=1, max_size=4), st.booleans())
def test_any_object_comes_back_to_the_letter(
    item: dict[str, object], told: list[str], spaced: bool
) -> None:
    raw = json.dumps(item, separators=None if spaced else (",", ":")).encode()
    marked = raw
    for death in told:
        marked = add_death(marked, death)
    assert without_deaths(marked) == raw
    assert recoveries(marked) == len(deaths(marked)) == len(told)
    assert json.loads(marked).keys() == {"gresque", *item}


ODD: list[tuple[bytes, bytes]] = [
    (b'{"class":"A","gresque":5}', b'{"class":"A"}'),
    (b'{"gresque":null,"class":"A"}', b'{"class":"A"}'),
    (b'{"gresque":[{"recoveries":7}],"class":"A"}', b'{"class":"A"}'),
    (b'{"class":"A","gresque":{}}', b'{"class":"A"}'),
    (b'{"class":"A","gresque":{"recoveries":-3,"deaths":5}}', b'{"class":"A"}'),
    (b'{"class":"A","gresque":{"recoveries":"9","deaths":[1]}}', b'{"class":"A"}'),
    (b'{"class":"A","gresque":{"recoveries":true,"x":1}}', b'{"class":"A","gresque":{"x":1}}'),
    (b'{"\\u0067resque":{"x":1}, "class":"A"}', b'{"class":"A","gresque":{"x":1}}'),
    (b'{"gresque":{"recoveries":7},"class":"A","gresque":{}}', b'{"class":"A"}'),
]


@pytest.mark.parametrize(("raw", "left"), ODD, ids=range(len(ODD)))
def test_what_is_no_history_counts_as_none(raw: bytes, left: bytes) -> None:
    assert (recoveries(raw), deaths(raw)) == (0, [])
    once = add_death(raw, "a death")
    assert (recoveries(once), deaths(once)) == (1, ["a death"])
    assert json.loads(once)["class"] == "A"
    assert json.loads(without_deaths(once)) == json.loads(left)


def test_a_payload_full_of_envelopes_is_counted_all_the_same() -> None:
    inner = b'{"gresque":{"x":1}}'
    many = b",".join([inner] * 40_000)
    raw = b'{"class":"A","gresque":{"x":1},"args":[%b]}' % many
    once = add_death(raw, "a death")
    assert (recoveries(once), deaths(once)) == (1, ["a death"])
    assert json.loads(once)["args"] == json.loads(raw)["args"]
    assert json.loads(without_deaths(once)) == json.loads(raw)


def test_what_cannot_be_written_as_a_whole_stays_as_it_is() -> None:
    raw = b'{"\\u0067resque":{"x":1},"\xff":1,"class":"A"}'
    assert add_death(raw, "a death") == raw


def test_a_history_in_an_argument_is_none() -> None:
    raw = b'{"class":"A","args":[{"gresque":{"recoveries":3,"deaths":["x"]}}]}'
    assert recoveries(raw) == 0
    assert without_deaths(raw) == raw


@given(st.binary())
def test_any_bytes_can_be_asked(raw: bytes) -> None:
    if recoveries(raw) == 0:
        assert (deaths(raw), without_deaths(raw)) == ([], raw)
