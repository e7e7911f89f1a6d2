# The shipped templates.
EXTRA_DIST += tests/check_prompts.py tests/check_prompts.sh
