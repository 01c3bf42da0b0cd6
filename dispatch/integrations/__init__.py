"""Dispatch inside of web frameworks; each module needs its framework, and nothing else imports them."""
