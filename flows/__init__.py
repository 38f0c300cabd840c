"""Prefect's wiring of Convoy: order, retries and schedules; the thinking is in `convoy`."""
