"""The loop: dirty scope, observe, compare, judge, act, verify, record."""
