"""The project's own agent, judged: ``python -m benchmarks.own`` writes its part of docs/benchmarks.md."""
