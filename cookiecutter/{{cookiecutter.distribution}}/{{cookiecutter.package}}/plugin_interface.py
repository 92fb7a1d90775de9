"""The hooks."""

from functools import partial

from cnisdk import Attachment, Plugin, PluginError, Result, ValidAttachments, collect
from cnisdk.net.rtnl import RTNL

from {{ cookiecutter.package }} import cable, layer3
from {{ cookiecutter.package }}.config import Config


class {{ cookiecutter.class_name }}(Plugin[Config]):
    """{{ cookiecutter.description }}.

    A cable leads from each container to the host, which routes: no bridge.
    """

    def add(self, config: Config, attachment: Attachment) -> Result:
        """Connect the container; whatever fails, nothing of it is left."""
        with RTNL() as host, RTNL(attachment.netns) as container:
            ends = cable.connect(host, container, attachment, mtu=config.mtu)
            self.undo.push(cable.remove, ends.host.name)
            reserved = self.ipam.add(config)  # released again if this ADD fails later
            result = layer3.complete(reserved, ends.interfaces(attachment))
            layer3.configure(host, container, ends, result)
        return result

    def delete(self, config: Config, attachment: Attachment) -> None:
        """Take away what is left of `add`'s work; all steps are taken, whatever fails."""
        collect(
            partial(cable.remove_of, attachment, config.prev_result),
            partial(self.ipam.delete, config),
        )

    def check(self, config: Config, attachment: Attachment) -> None:
        """Raise what is not as the result of ADD says."""
        self.ipam.check(config)
        if config.prev_result is None:
            return
        with RTNL() as host, RTNL(attachment.netns) as container:
            problems = layer3.problems(host, container, attachment, config.prev_result)
        if problems:
            raise PluginError("the attachment is damaged", "; ".join(problems))

    def status(self, config: Config) -> None:
        """Raise why the next ADD would fail; all that can be known is what IPAM knows."""
        self.ipam.status(config)

    def gc(self, config: Config, valid: ValidAttachments) -> None:
        """Release what containers that are gone still hold: addresses; cables went with them."""
        self.ipam.gc(config, valid)
