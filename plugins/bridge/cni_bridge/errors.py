"""Errors of the bridge plugin's own, with codes that SPEC leaves to plugins."""

from cnisdk import PluginError


class HostConflictError(PluginError):
    """Something on the host is in the way: the bridge's name or its address is taken otherwise."""

    CODE = 100

    def __init__(self, msg: str, details: str = "") -> None:
        super().__init__(msg, details, code=self.CODE)


class DamagedError(PluginError):
    """CHECK: the attachment is not as ADD left it; ``details`` names all that is wrong."""

    CODE = 101

    def __init__(self, msg: str, details: str = "") -> None:
        super().__init__(msg, details, code=self.CODE)
