"""The Linux kernel as a CNI plugin sees it: rtnetlink, namespaces, sysctl, masquerading.

Imports nothing by itself.  Only OSError and its subclasses leave this package (`Cancelled`
and `netns.StrandedThread` apart, which no hook should catch); translating them into the
specification's codes is for the layers above.
"""
