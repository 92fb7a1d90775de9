"""Write a CNI plugin: one class, a method a verb.

An instance serves one call.  The runner made sure, before a hook runs, of everything SPEC says
about parameters, versions and configuration; a hook returns a `Result` or nothing, raises a
`CNIError`, and never prints or exits.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args

from cnisdk import invoke, versions
from cnisdk.call import Attachment, Call, ValidAttachments
from cnisdk.ipam import IPAM
from cnisdk.types.config import PluginConfig
from cnisdk.types.result import Result
from cnisdk.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Mapping

ConfigT = TypeVar("ConfigT", bound=PluginConfig)


class Plugin(Generic[ConfigT]):
    """A CNI plugin, typed by its own configuration class.

    Subclass it as ``Plugin[Config]``, ``Config`` being a `PluginConfig` of yours, write ``add``
    and ``delete``, and the other hooks as far as the plugin has something to say.  A hook not
    written succeeds and says nothing, except ``add``.

    In a hook, ``self.call`` is the call as it came, ``self.undo.push(action, *args)`` registers
    the way back of a step of ADD, ``self.ipam`` delegates to the IPAM plugin of the
    configuration, ``self.log(message)`` writes to the runtime's log.
    """

    versions: ClassVar[tuple[str, ...]] = versions.SUPPORTED
    """The specification's versions that the plugin answers, oldest first."""

    needs_process: ClassVar[bool] = False
    """Whether the agent must give each call a process of its own.

    For a plugin that uses what a process has once: environment, working directory, stdout,
    signals, globals.
    """

    default_config: "ClassVar[Mapping[str, Any] | None]" = None
    """Keys to use where a person types a verb on a machine without a network for this plugin.

    Whatever is needed for an ADD that works there and gets in nobody's way; say in the plugin's
    documentation what it is.  Name, type and version are added.  None if there can be no such
    thing; a runtime's call never uses it.
    """

    config_type: ClassVar[type[PluginConfig]] = PluginConfig
    """Filled in from ``Plugin[Config]``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in cls.__dict__.get("__orig_bases__", ()):
            for arg in get_args(base):
                if isinstance(arg, type) and issubclass(arg, PluginConfig):
                    cls.config_type = arg

    def __init__(self, call: Call) -> None:
        self.call = call
        self.undo = Undo()
        self.ipam = IPAM(call, self.undo)
        self.log = call.log

    def add(self, config: ConfigT, attachment: Attachment) -> Result:
        """Attach the container and say what it got; SPEC section 2, ADD.

        "The plugin should create the interface defined by CNI_IFNAME inside the container at
        CNI_NETNS, or adjust its configuration."  A chained plugin returns ``config.prev_result``,
        modified or as it is.
        """
        raise NotImplementedError(f"{type(self).__name__} has no add hook")

    def delete(self, config: ConfigT, attachment: Attachment) -> None:
        """Detach the container; succeed when there is nothing left to detach; SPEC section 2, DEL.

        "Plugins should generally complete a DEL action without error even if some resources are
        missing."  ``attachment.netns_or_none`` is None when the namespace is gone, and
        ``config.prev_result`` when the runtime gives none.  For a configuration that does not
        validate, ``config`` has the defaults in place of what is wrong.
        """

    def check(self, config: ConfigT, attachment: Attachment) -> None:
        """Raise what is wrong with the attachment as ``config.prev_result`` records it.

        SPEC section 2, CHECK: "The plugin should return an error if a resource included in the
        CNI Result type that was created by the plugin is missing or in an invalid state."
        """

    def status(self, config: ConfigT) -> None:
        """Raise `PluginNotAvailableError` or `LimitedConnectivityError` if ADD would fail.

        SPEC section 2, STATUS: "If the plugin relies on a delegated plugin (e.g. IPAM) to
        service ADD requests, it must also execute a STATUS request to that plugin."
        """

    def gc(self, config: ConfigT, valid: ValidAttachments) -> None:
        """Release what this network holds for attachments not in ``valid``; SPEC section 2, GC.

        "Plugins should remove as many stale resources as possible", report what failed at the
        end, and forward to delegates.
        """

    def validate(self, config: ConfigT) -> None:
        """Raise what would keep every ADD from doing as ``config`` says.

        No verb of the specification: ``cnisdk validate`` asks before any container does.  For
        what single fields do not show, such as two of them that exclude each other.  Looks at
        nothing but ``config``; neither the host nor ``self.call`` is what it will be.
        """

    def delegate(self, plugin: str, *, config: "Mapping[str, Any] | None" = None) -> bytes:
        """Run another plugin for the same command and return its stdout; SPEC section 4.

        ``config`` replaces the configuration that this plugin was given.  An ADD is undone by
        a DEL of the delegate if this plugin's ADD fails later.
        """
        return invoke.delegate(self.call, plugin, config=config, undo=self.undo)
