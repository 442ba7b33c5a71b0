"""The table of docs/from-resque.md, what works with whom: each row has tests."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "from-resque.md").read_text()

TESTED: dict[str, str] = {
    "they enqueue, gresque performs":
        "process/test_neighbours.py::test_their_jobs_run_with_their_arguments",
    "gresque enqueues, they perform":
        "unit/test_neighbours.py::test_queue_items_are_read_and_shown",
    "keyword arguments of gresque's, after their retry, delay or move":
        "unit/test_neighbours.py::test_keywords_survive_any_retry_delay_and_move",
    "keyword arguments of theirs":
        "unit/test_ruby_keywords.py::test_a_last_object_of_parameters_holds_keywords",
    "jobs of Rails' ActiveJob, performed here or enqueued for Rails":
        "unit/test_activejob.py::test_a_job_for_rails_has_activejobs_form",
    "queues, their sizes, waiting jobs and counters in their pages":
        "unit/test_neighbours.py::test_queue_items_are_read_and_shown",
    "workers of gresque's in their pages":
        "process/test_neighbours.py::test_a_pause_by_ruby_holds_for_a_process_of_one_job",
    "gresque's failed jobs in their pages":
        "process/test_neighbours.py::test_they_show_and_requeue_each_end_of_a_job",
    "they requeue and remove gresque's failed jobs":
        "unit/test_neighbours.py::test_node_retries_failed_entries",
    "gresque lists, retries and removes theirs":
        "unit/test_odd_entries.py::test_commands_list_show_group_retry_and_remove_them",
    "a failed list for each queue":
        "process/test_failures.py::test_as_the_ruby_fork_writes_it",
    "items that are no job, requeued by them":
        "unit/test_outcome.py::test_an_item_that_another_program_retries_goes_back_as_it_was",
    "they dequeue gresque's jobs":
        "unit/test_neighbours.py::test_stock_dequeues_by_class_and_not_by_arguments",
    "gresque dequeues theirs":
        "unit/test_ruby_keywords.py::test_dequeue_and_keys_take_both_spellings_for_one_call",
    "gresque moves their delayed jobs":
        "unit/test_promote.py::test_due_jobs_go_to_their_queues_in_order",
    "their scheduler moves delayed jobs for gresque":
        "unit/test_neighbours.py::test_keywords_survive_one_after_the_other",
    "gresque's delayed jobs in their pages":
        "unit/test_neighbours.py::test_delayed_jobs_stand_in_no_key_of_resque_scheduler",
    "recurring jobs of theirs run here":
        "unit/test_maintenance_ruby_schedules.py::test_ruby_programs_set_change_and_remove",
    "`pause-all-workers`":
        "process/test_neighbours.py::test_a_pause_by_ruby_holds_for_a_process_of_one_job",
    "gresque leaves their workers alone":
        "unit/test_prune.py::test_workers_of_other_programs_are_not_judged",
    "their pruning leaves gresque's alone":
        "unit/test_heartbeat.py::test_a_worker_that_another_program_removed_is_registered_again",
    "gresque prunes a dead worker of theirs by hand":
        "unit/test_control_workers.py::test_the_command_asks_and_says_what_it_did",
    "running jobs of gresque's in their pages":
        "process/test_ruby_page.py::test_a_long_job_is_seen_and_killed_there_and_leaves_nothing",
    "their page kills a running job":
        "process/test_ruby_page.py::test_a_long_job_is_seen_and_killed_there_and_leaves_nothing",
}  # fmt: skip
"""Row -> the test that fails where the row is not true any more."""


def rows() -> list[list[str]]:
    section = re.search(r"^## What works with whom\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None
    lines = [line for line in section[1].splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def names_in(path: str) -> set[str]:
    nodes = ast.walk(ast.parse((TESTS / path).read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_each_row_has_a_test_and_each_test_a_row() -> None:
    assert [row[0] for row in rows()] == [*TESTED]


@pytest.mark.parametrize("place", sorted({*TESTED.values()}))
def test_the_tests_exist(place: str) -> None:
    path, name = place.split("::")
    assert name in names_in(path)


def test_each_row_says_something_of_each_program() -> None:
    for row in rows():
        assert len(row) == 5 and all(row), row
