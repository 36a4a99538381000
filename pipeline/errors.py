# SPDX-License-Identifier: Apache-2.0
"""The one exception that people see as a line instead of a traceback."""


class UserError(Exception):
    """Bad configuration, input or output: one line that says what, where and what to do. Exit code 2."""
