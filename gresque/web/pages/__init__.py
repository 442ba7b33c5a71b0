"""The pages, one module each: what they read, and what their templates show of it."""
