"""Developer tools: benchmarks, mutation tests, crash tests, a Tryton sandbox, documentation."""
