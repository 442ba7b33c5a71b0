"""QueueList: what a worker serves, in which order."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gresque.errors import SettingsError
from gresque.queue_list import Cap, QueueList, Weights, quoted

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


# text, its canonical form, caps
CAPPED: list[tuple[str, str, dict[str, Cap]]] = [
    ("mail:5", "mail:5", {"mail": Cap(5, False)}),
    ("a,mail:50%,!b", "a,mail:50%,!b", {"mail": Cap(50, True)}),
    ("a:b:1", "a:b:1", {"a:b": Cap(1, False)}),
    ("mail-*:2,*", "mail-*:2,*", {"mail-*": Cap(2, False)}),
    ("m:05%,x :3", "m:5%,x:3", {"m": Cap(5, True), "x": Cap(3, False)}),
    ("mail:5,mail:5", "mail:5", {"mail": Cap(5, False)}),
    (r"mail\:5:7", r"mail\:5:7", {r"mail\:5": Cap(7, False)}),
    (r"mail\:,b::2", r"mail\:,b\::2", {r"b\:": Cap(2, False)}),
    (r"a\,b:2", r"a\,b:2", {r"a\,b": Cap(2, False)}),
]


@pytest.mark.parametrize(("text", "canonical", "caps"), CAPPED, ids=[row[0] for row in CAPPED])
def test_caps(text: str, canonical: str, caps: dict[str, Cap]) -> None:
    queues = QueueList.parse(text)
    assert str(queues) == canonical
    assert dict(queues.caps) == caps
    assert QueueList.parse(canonical) == queues


BAD_CAPS = [
    ("mail:0", "a cap is 1 or more; to leave the queue out write !mail"),
    ("mail:-5", "a cap is 1 or more"),
    ("mail:0%", "a cap is 1 or more"),
    ("mail:101%", "100% at most"),
    ("a,!mail:5", "an exclusion has no cap"),
    (":5", "no name stands before the cap"),
    (
        "mail:5%%",
        r"a cap is a whole number, such as 5 or 50%; a queue of that name is written mail\:5%%",
    ),
    ("mail:1.5", "a cap is a whole number, such as 5 or 50%"),
    ("mail:", r"a cap is a whole number, such as 5 or 50%; a queue of that name is written mail\:"),
    ("mail:%,a", "a cap is a whole number, such as 5 or 50%"),
    ("mail:1000000001", "a cap is 1,000,000,000 at most"),
    ("mail:5,a,mail:10", "'mail' is listed with the cap 5 and with the cap 10; list it once"),
    ("mail-*:5,mail-*", "'mail-*' is listed with the cap 5 and without a cap; list it once"),
    (r"a\b,a\\b:1", r"is listed without a cap and with the cap 1"),
]


@pytest.mark.parametrize(("text", "reason"), BAD_CAPS, ids=[row[0] for row in BAD_CAPS])
def test_bad_caps_are_refused(text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        QueueList.parse(text)
    assert reason in str(caught.value)


def test_an_error_says_how_the_queue_of_that_name_is_written() -> None:
    with pytest.raises(SettingsError) as caught:
        QueueList.parse("a:b:0")
    assert str(caught.value).endswith(r"is written a:b\:0")
    assert QueueList.parse(r"a:b\:0").named == ("a:b:0",)


# text, queue, its cap in a worker with 30 threads
RESOLVED_CAPS: list[tuple[str, str, int | None]] = [
    ("mail:5,low", "mail", 5),
    ("mail:5,low", "low", None),
    ("mail:500", "mail", 500),
    ("mail:50%", "mail", 15),
    ("mail:99%", "mail", 29),
    ("mail:3%", "mail", 1),
    ("mail-*:2", "mail-a", 2),
    ("mail-*:2,mail-a", "mail-a", None),
    ("mail-*:2,mail-a:7", "mail-a", 7),
    ("mail-*:2,*:3", "mail-a", 2),
    ("mail-*,*:3", "mail-a", None),
    ("mail-*,*:3", "low", 3),
    (r"mail\:5:7", "mail:5", 7),
    (r"m\*:4", "m*", 4),
    ("m[x:4", "m[x", 4),
]


@pytest.mark.parametrize(("text", "queue", "cap"), RESOLVED_CAPS)
def test_cap_of(text: str, queue: str, cap: int | None) -> None:
    assert QueueList.parse(text).cap_of(queue, 30) == cap


def test_percent_of_one_thread_is_one_job() -> None:
    assert QueueList.parse("mail:50%").cap_of("mail", 1) == 1


@pytest.mark.parametrize(
    ("text", "in_id"),
    [
        ("mail:5,a:b,mail-*:50%,!slow", "mail,a~b,mail-*,!slow"),
        (r"mail\:5", "mail~5"),
        (r"!mail\:5,*", "*,!mail~5"),
        ("a\\\\\\:5", "a\\\\~5"),
    ],
)
def test_an_id_has_the_names_alone(text: str, in_id: str) -> None:
    assert QueueList.parse(text).in_id == in_id


@pytest.mark.parametrize("name", ["mail:5", "a\\:5", "a:b", "mail", "!x:50%"])
def test_the_list_in_an_id_serves_the_queue(name: str) -> None:
    listed = QueueList.parse(QueueList.parse(quoted(name)).in_id)
    assert listed.resolve([]) == [name.replace(":", "~")]


@pytest.mark.parametrize(
    ("text", "existing", "served"),
    [
        ("high~4,low~50%", ["high", "low"], ["high~4", "low~50%", "high", "low"]),  # the fork's
        ("mail~5", ["mail~5"], ["mail~5", "mail"]),  # ours, of "mail:5"
        ("mail-*~5", ["mail-a"], ["mail-a"]),
        ("a~b,!c", [], ["a~b"]),
    ],
)
def test_the_list_in_an_id_of_any_resque(text: str, existing: list[str], served: list[str]) -> None:
    assert QueueList.parse_id(text).resolve(existing) == served


# text, queue, weight
WEIGHED = [
    ("critical=5,low=2", "critical", 5),
    ("critical=5,low=2", "low", 2),
    ("critical=5,low=2", "mail", 1),
    ("mail-*=3,*=2", "mail-a", 3),
    ("mail-*=3,*=2", "low", 2),
    ("*=2,mail-*=3,mail-a=9", "mail-a", 9),
    ("*=2,mail-*=3", "mail-b", 2),
    (" a = 5 , b=2,", "a", 5),
    ("a=b=7", "a=b", 7),
    (r"a\,b=7", "a,b", 7),
    (r"a\:5=7", "a:5", 7),
    ("a:b=7", "a:b", 7),
    ("a=3,a=3", "a", 3),
]


@pytest.mark.parametrize(("text", "queue", "weight"), WEIGHED)
def test_weights(text: str, queue: str, weight: int) -> None:
    weights = Weights.parse(text)
    assert weights.of(queue) == weight
    assert Weights.parse(str(weights)) == weights


BAD_WEIGHTS = [
    ("", "has no weights"),
    (",", "has no weights"),
    ("critical", "'critical' is no weight; write one such as critical=5"),
    ("=5", "is no weight"),
    ("a=0", "a whole number from 1 to 1,000,000"),
    ("a=-1", "a whole number from 1"),
    ("a=1.5", "a whole number from 1"),
    ("a=x", "a whole number from 1"),
    ("a=2000000", "a whole number from 1"),
    ("a=5,b=1,a=4", "'a' has two weights, 5 and 4; give one"),
    ("mail:5=2", "caps stand in QUEUES and -q"),
    ("!a=2", "what is excluded has no weight"),
]


@pytest.mark.parametrize(("text", "reason"), BAD_WEIGHTS, ids=[row[0] for row in BAD_WEIGHTS])
def test_bad_weights_are_refused(text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Weights.parse(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "queues", "fits"),
    [
        ("critical=5,low=1", "critical,low", True),
        ("critical=5", "mail,low", False),
        ("critical=5", "*", True),
        ("critical=5", "*,!critical", False),
        ("critical=5", "mail-*", False),
        ("mail-*=5", "mail-a,low", True),
        ("mail-*=5", "low", False),
        ("mail-*=5", "low,x-*", True),  # a queue may come that both match
        ("mail=5", "mail:3,low", True),
    ],
)
def test_weights_are_of_queues_that_are_served(weights: str, queues: str, fits: bool) -> None:
    if fits:
        Weights.parse(weights).check(QueueList.parse(queues))
        return
    with pytest.raises(SettingsError, match="have no "):
        Weights.parse(weights).check(QueueList.parse(queues))


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
    with pytest.raises(SettingsError, match=r"a queue of that name is written tenant\\:0"):
        QueueList.parse("tenant:0")
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
