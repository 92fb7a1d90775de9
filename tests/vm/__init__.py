"""Tests on a kernel that can what the machine's may not: a User-mode Linux that boots for them.

A test marked ``vm`` is an ordinary test.  Where User-mode Linux is installed all of a session's
run in one virtual machine, by a second pytest there, and each is reported here as if it had run
here; `tests.vm.reports` is both ends of that.  Without it they run here, if this kernel's bridges
can filter VLANs.
"""
