"""QueueList: what a worker serves, in which order."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gresque.errors import SettingsError
from gresque.queues import QueueList, quoted

# text, patterns, excluded
PARSED = [
    ("mail", ("mail",), ()),
    ("high,low", ("high", "low"), ()),
    (" high , low ", ("high", "low"), ()),
    ("high,,low,", ("high", "low"), ()),
    ("a,b,a", ("a", "b"), ()),
    ("a,!b,!b", ("a",), ("b",)),
    ("!b,a", ("a",), ("b",)),
    ("*", ("*",), ()),
    ("mail-*,!mail-slow", ("mail-*",), ("mail-slow",)),
    ("a b, c", ("a b", "c"), ()),
    ("a:b", ("a:b",), ()),
    ("a:b:c,d", ("a:b:c", "d"), ()),
    ("a:5x", ("a:5x",), ()),
    ("50%", ("50%",), ()),
    ("kø,日本語,😀", ("kø", "日本語", "😀"), ()),
    ("!!a,b", ("b",), ("!a",)),
    ("a!b", ("a!b",), ()),
    ("tab\there", ("tab\there",), ()),
    ("a\nb", ("a\nb",), ()),
    (r"a\,b,c", (r"a\,b", "c"), ()),
    (r"\!a,!\!b", (r"\!a",), (r"\!b",)),
    (r"tenant\:42", (r"tenant\:42",), ()),
    (r"a\:b,a:b", ("a:b",), ()),
    (r"te\[na]nt,st\*r", (r"te\[na]nt", r"st\*r"), ()),
    ("\\ lead, trail\\ ,x ", ("\\ lead", "trail\\ ", "x"), ()),
    (r"App\Jobs,C\:\x", (r"App\Jobs", r"C:\x"), ()),
    (r"a\\,b", ("a\\\\", "b"), ()),
    (r"a\\b,a\b", (r"a\b",), ()),
    ("a\\", ("a\\\\",), ()),
    (r"mail-\**", (r"mail-\**",), ()),
]


@pytest.mark.parametrize(("text", "patterns", "excluded"), PARSED, ids=[row[0] for row in PARSED])
def test_parse(text: str, patterns: tuple[str, ...], excluded: tuple[str, ...]) -> None:
    queues = QueueList.parse(text)
    assert queues == QueueList(patterns, excluded)
    assert QueueList.parse(str(queues)) == queues


@pytest.mark.parametrize("text", ["", " ", ",", " , ,", "!a", "!*", "!a,!b", "!"])
def test_nothing_to_serve_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="no queues to work"):
        QueueList.parse(text)


@pytest.mark.parametrize(
    ("text", "item"),
    [("mail:5", "mail"), ("a,mail:50%", "mail"), ("a:b:1", "a:b"), ("*:2", "*"), ("m:05%", "m")],
)
def test_caps_are_refused_for_now(text: str, item: str) -> None:
    with pytest.raises(SettingsError, match="caps are not supported yet") as caught:
        QueueList.parse(text)
    assert f"such as {item!r}" in str(caught.value)


# text, existing, served
RESOLVED: list[tuple[str, list[str], list[str]]] = [
    ("a,b", [], ["a", "b"]),
    ("b,a", ["a", "b", "c"], ["b", "a"]),
    ("*", [], []),
    ("*", ["c", "a", "b"], ["a", "b", "c"]),
    ("critical,*", ["b", "critical", "a"], ["critical", "a", "b"]),
    ("*,low", ["b", "low", "a"], ["a", "b", "low"]),
    ("a,*,z", ["z", "m", "a"], ["a", "m", "z"]),
    ("mail-*", ["mail", "mail-a", "xmail-b", "mail-b"], ["mail-a", "mail-b"]),
    ("mail-*,*", ["a", "mail-b", "mail-a"], ["mail-a", "mail-b", "a"]),
    ("*,mail-*", ["a", "mail-b"], ["a", "mail-b"]),
    ("mail-?", ["mail-a", "mail-ab"], ["mail-a"]),
    ("mail-[ab]", ["mail-a", "mail-b", "mail-c"], ["mail-a", "mail-b"]),
    ("mail-[!ab]", ["mail-a", "mail-c"], ["mail-c"]),
    ("*,!slow", ["a", "slow"], ["a"]),
    ("*,!slow*", ["a", "slow", "slower"], ["a"]),
    ("a,b,!b", ["a", "b"], ["a"]),
    ("!b,a,b", [], ["a"]),
    ("*,!b-*,b-1", ["b-1", "b-2", "c"], ["c"]),
    ("Mail*", ["mail", "Mail"], ["Mail"]),
    ("*", ["a", "a", "a"], ["a"]),
    ("*", ["a b", "a:b", "日本", "a\nb"], ["a\nb", "a b", "a:b", "日本"]),
    ("a:b,*", ["a:b", "a"], ["a:b", "a"]),
    ("m[x", ["m[x", "mx"], ["m[x"]),
    ("a.c", ["abc"], ["a.c"]),
    ("a+*", ["aa", "a+b"], ["a+b"]),
    (r"a\,b", [], ["a,b"]),
    (r"\!bang,tenant\:42", [], ["!bang", "tenant:42"]),
    (r"te\[na]nt", ["ten", "tent"], ["te[na]nt"]),
    ("te[na]nt", ["tennt", "te[na]nt", "x"], ["te[na]nt", "tennt"]),
    ("*,!st*r", ["st*r", "star", "x"], ["x"]),
    (r"*,!st\*r", ["st*r", "star", "x"], ["star", "x"]),
    (r"a\**", ["a*b", "aab"], ["a*b"]),
    (r"\ lead,trail\ ", [], [" lead", "trail "]),
    (r"App\Jobs,a\\,b", [], ["App\\Jobs", "a\\", "b"]),
]


@pytest.mark.parametrize(
    ("text", "existing", "served"), RESOLVED, ids=[f"{row[0]}-of-{len(row[1])}" for row in RESOLVED]
)
def test_resolve(text: str, existing: list[str], served: list[str]) -> None:
    assert QueueList.parse(text).resolve(existing) == served
    assert QueueList.parse(text).resolve(iter(reversed(existing))) == served


@pytest.mark.parametrize(
    ("text", "dynamic"),
    [("a,b", False), ("*", True), ("a,b-*", True), ("a?", True), ("[ab]", True), ("a,!b*", False)],
)
def test_dynamic(text: str, dynamic: bool) -> None:
    assert QueueList.parse(text).dynamic is dynamic


def test_ten_thousand_queues() -> None:
    names = [f"q{number:05}" for number in range(10_000)]
    assert QueueList.parse("q09999,*").resolve(names)[:2] == ["q09999", "q00000"]


name = st.text("ab:-é ", min_size=1, max_size=4).map(str.strip).filter(bool)
pattern = st.one_of(
    name, st.text("ab*?-", min_size=1, max_size=4), st.sampled_from(["*", "a*", "[ab]*"])
)
item = st.one_of(pattern, pattern.map(lambda text: "!" + text))
lists = st.lists(item, min_size=1, max_size=6)


def parse(items: list[str]) -> QueueList | None:
    try:
        return QueueList.parse(",".join(items))
    except SettingsError:
        return None


@given(lists, st.lists(name))
def test_resolve_repeats_no_name_and_serves_nothing_excluded(
    items: list[str], existing: list[str]
) -> None:
    queues = parse(items)
    if queues is None:
        return
    served = queues.resolve(existing)
    assert len(served) == len(set(served))
    for out in queues.excluded:
        assert not any(fnmatchcase(queue, out) for queue in served)
    if not queues.dynamic:
        assert served == queues.resolve(())
    assert sorted(served) == sorted(queues.resolve(served)), "a served queue stays served"


@given(lists, st.lists(name))
def test_resolve_keeps_the_order_of_literal_names(items: list[str], existing: list[str]) -> None:
    queues = parse(items)
    if queues is None:
        return
    served = queues.resolve(existing)
    literal = [pattern for pattern in queues.patterns if not set("*?[") & set(pattern)]
    assert [queue for queue in served if queue in literal] == [
        queue for queue in literal if queue in served
    ]
    assert set(served) <= set(existing) | set(literal)


@given(lists)
def test_what_is_printed_parses_to_the_same(items: list[str]) -> None:
    queues = parse(items)
    if queues is not None:
        assert QueueList.parse(str(queues)) == queues


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
@example(["a,b", "!a", "a:5", "a:5%", "a\\", "\\,", " a ", "*", "[x]", "\\", "\\!", "\n", ":1"])
def test_every_name_can_be_written(names: list[str]) -> None:
    queues = QueueList.parse(",".join(map(quoted, names)))
    assert queues.resolve(()) == list(dict.fromkeys(names))
    assert not queues.dynamic
    assert QueueList.parse(str(queues)) == queues


def test_messages_say_how_a_name_is_written() -> None:
    with pytest.raises(SettingsError, match=r"write tenant\\:42 for a queue of that name"):
        QueueList.parse("tenant:42")
    with pytest.raises(SettingsError, match=r"a queue named '!bang' is written \\!bang"):
        QueueList.parse("!bang")


@given(st.text())
def test_parse_raises_only_settings_errors(text: str) -> None:
    try:
        queues = QueueList.parse(text)
    except SettingsError:
        return
    assert queues.patterns
    queues.resolve(["a", "b c", ""])
