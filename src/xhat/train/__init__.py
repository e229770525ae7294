"""The training loop, its optimisers, schedules and monitor; sees engines through engines.base."""
