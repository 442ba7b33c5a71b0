"""What the walk through a page takes for the same output, and for the same command."""

from __future__ import annotations

import pytest

from tests.support.pages import Block, alike, blocks, commands, part

LISTING = "RUNS FOR  PROCESS  CLASS\n4.2 s     vm:9157  myjobs.fetch\n"


def shown(text: str, *marks: str) -> Block:
    return Block("text", text, list(marks), 0)


@pytest.mark.parametrize(
    ("text", "appeared", "same"),
    [
        (LISTING, LISTING.replace("4.2 s ", "1,013 s").replace("vm:9157", "other-host:1"), True),
        (LISTING, LISTING.replace("myjobs.fetch", "myjobs.other"), False),
        (LISTING, LISTING + "4.2 s     vm:9157  myjobs.fetch\n", False),
        ("a\n…\nz\n", "a\nm\nn\nz\n", True),
        ("a\n…\nz\n", "a\nm\nz\nn\n", False),
        ("1 thing is broken at 21:30:33 UTC\n✕ it\n\nall\n",
         "1 thing is broken, 2 warnings at 1:0:3 UTC\n✕ it\n▲ a loop\n    do\n\nall\n", True),
        ("dead; see 01a219c4533d735fa724bbbb181d5bfd\n", "dead; see " + "0" * 32 + "\n", True),
        ("2026-11-26T21:28:58.109Z a\n2026-11-26T21:28:58.109Z b\n",
         "2026-11-27T01:00:00.000Z b\n2026-11-27T01:00:00.001Z a\n", True),
    ],
)  # fmt: skip
def test_outputs_of_one_shape(text: str, appeared: str, same: bool) -> None:
    assert alike(shown(text), appeared) is same


def test_numbers_matter_where_the_page_says_so() -> None:
    assert alike(shown("failed 11\n"), "failed 12\n")
    assert not alike(shown("failed 11\n", "exactly"), "failed 12\n")


def test_what_goes_on_begins_with_what_is_shown() -> None:
    assert alike(shown("started\n"), "started\nmore\n", goes_on=True)
    assert not alike(shown("started\n"), "starting\n", goes_on=True)


def test_a_block_may_hold_several_commands() -> None:
    text = "# a comment\ncd x && ls\ncat >f <<'EOF'\none\nEOF\necho 'a\nb' \\\n  c\n"
    assert commands(text) == ["cd x && ls", "cat >f <<'EOF'\none\nEOF", "echo 'a\nb' \\\n  c"]


def test_the_blocks_of_a_part_and_what_is_said_of_them() -> None:
    page = (
        "## One\n\n<!-- terminal 2 -->\n<!-- exit 1 -->\n```sh\nls\n# no heading\n```\n"
        "### Within\n\n```python\n# a/b.py\nx = 1\n```\n\n## Two\n\n```sh\nps\n```\n"
    )
    first, second = part("\n" + page, "## One")
    assert (first.terminal, first.exit_code, first.path) == ("2", 1, None)
    assert (second.terminal, second.exit_code, second.path) == ("1", 0, "a/b.py")
    assert [block.language for block in blocks(page)] == ["sh", "python", "sh"]
