"""Threads, loops and queues: the only place that has any."""
