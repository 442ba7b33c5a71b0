"""The JSON API: the same readers and actions as the pages, and their description (OpenAPI 3.1)."""
