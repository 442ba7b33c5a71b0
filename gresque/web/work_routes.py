"""The routes of failed jobs, queues, workers and the ledger."""

from __future__ import annotations

from gresque.web import failed_actions, queue_actions, worker_actions
from gresque.web.pages import failed, queues, workers
from gresque.web.route import Route

WORK = (
    Route("GET", "/failed", "failed", failed.page, "read"),
    Route("GET", "/failed/entry", "failed_entry", failed.entry, "read"),
    Route("GET", "/failed/edit", "failed_edit", failed.edit, "act"),
    Route("POST", "/failed/edit", "failed_edit_post", failed_actions.edit, "act"),
    Route("GET", "/failed/download", "failed_download", failed.download, "read"),
    Route("GET", "/failed/retry", "failed_ask_retry", failed.ask_retry, "act"),
    Route("GET", "/failed/remove", "failed_ask_remove", failed.ask_remove, "act"),
    Route("POST", "/failed/retry", "failed_bulk_retry", failed_actions.retry_all, "act"),
    Route("POST", "/failed/remove", "failed_bulk_remove", failed_actions.remove_all, "act"),
    Route("POST", "/failed/bulk/<token>/cancel", "bulk_cancel", failed_actions.cancel, "act"),
    Route("POST", "/failed/selected", "failed_selected", failed_actions.selected, "act"),
    Route("GET", "/queues/<name:queue>", "queue", queues.one, "read"),
    Route("GET", "/queues/<name:queue>/item", "queue_item", queues.item, "act"),
    Route("POST", "/queues/<name:queue>/item/move", "move_item", queue_actions.move_item, "act"),
    Route("POST", "/queues/<name:queue>/item/edit", "edit_item", queue_actions.edit_item, "act"),
    Route("GET", "/queues/<name:queue>/move", "queue_ask_move", queues.ask_move, "act"),
    Route("GET", "/queues/<name:queue>/clear", "queue_ask_clear", queues.ask_clear, "admin"),
    Route("POST", "/queues/<name:queue>/pause", "queue_pause", queue_actions.pause, "act"),
    Route("POST", "/queues/<name:queue>/unpause", "queue_unpause", queue_actions.unpause, "act"),
    Route("POST", "/queues/<name:queue>/remove", "queue_remove", queue_actions.remove, "act"),
    Route("POST", "/queues/<name:queue>/move", "queue_move", queue_actions.move, "act"),
    Route("POST", "/queues/<name:queue>/limit", "queue_limit", queue_actions.limit, "admin"),
    Route("POST", "/queues/<name:queue>/clear", "queue_clear", queue_actions.clear, "admin"),
    Route("GET", "/workers", "workers", workers.page, "read"),
    Route("GET", "/workers/<name:process>/stacks", "worker_stacks", workers.stacks, "act"),
    Route("POST", "/workers/order", "worker_order", worker_actions.give_order, "admin"),
    Route("POST", "/workers/prune", "worker_prune", worker_actions.prune_worker, "admin"),
    Route("GET", "/ledger", "ledger", workers.ledger, "read"),
)
