"""The original's provider layer, taken stock of: what it could, what its history taught, where it was weak.

``features.py``, ``lessons.py`` and ``weaknesses.py`` list all of it, with the tests that show each line; what no other
test shows is tested here. Where something differs, ``docs/differences.md`` says so.
"""
