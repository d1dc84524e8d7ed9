"""Authentication, authorization, rate limits, and the audit of refused calls."""
