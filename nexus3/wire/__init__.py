"""What is said: requests, events, failures, and how each provider dialect spells them.

Pure: no trio, no httpx, no clock, no environment. Everything here can be tested by the hundred thousand.
"""
