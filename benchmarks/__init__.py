"""Models and measurements that tests, demo and benchmarks share."""
