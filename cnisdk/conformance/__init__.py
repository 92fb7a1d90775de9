"""The specification as checks, against any executable in any language.

`cnisdk.conformance.runner.run` judges a plugin; ``cnisdk conformance`` is its command and
`cnisdk.conformance.pytest_plugin` collects the checks as tests.  This package imports nothing.
"""
