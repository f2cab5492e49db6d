"""Shipped helpers for tests, ours and integrators': fakes, local partners, and behaviour suites for every port."""
