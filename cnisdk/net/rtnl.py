"""The rtnetlink socket: ask, change, dump, listen.

One request is under way at a time, by one thread at a time.  Answers are told from leftovers of
an earlier, abandoned request and from notifications by their sequence number and port.  Nothing
waits for ever: every wait has the socket's ``timeout`` as its bound.
"""

import errno
import os
import struct
import time
from _socket import AF_NETLINK, MSG_DONTWAIT, MSG_TRUNC, SO_RCVTIMEO, SOCK_CLOEXEC, SOCK_RAW, SOL_SOCKET
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
import _socket  # socket without selectors and enum, which cost more than everything here

from cnisdk import cancel
from cnisdk.net import _uapi as k
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnetlink import Message, ack, message, messages

TIMEOUT = 10.0
"""Seconds to wait for an answer; the kernel gives it before send(2) returns, in the main."""

_ATTEMPTS = 30  # of a dump that is interrupted by changes, of a query whose answer was dropped
_BUFFER = 65536  # the kernel cuts a dump into pieces of 32 KiB at most
