# The test sets of the shipped templates on the demo model.
TESTS += tests/check_library_runs.sh
EXTRA_DIST += tests/check_library_runs.py tests/check_library_runs.sh
