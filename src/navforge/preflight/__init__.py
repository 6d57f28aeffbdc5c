"""Checks that refuse a job which would hang, run out of memory or fail after the fact."""
