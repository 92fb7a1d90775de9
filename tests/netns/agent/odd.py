"""Plugins that do what an agent has to cope with; `tests.netns.agent.serving` serves them."""

import os
import subprocess
import sys
from pathlib import Path

from cnisdk import Attachment, Interface, Plugin, PluginConfig, Result
from cnisdk.net import link
from cnisdk.net.netns import NetNS
from cnisdk.net.rtnl import RTNL


class Config(PluginConfig):
    journal: str = ""
    """A file that gets a line for each thing done."""
    reached: str = ""
    """A FIFO to write to in the middle of ADD, unless empty ..."""
    gate: str = ""
    """... and one to read from before ADD goes on."""
    odd: str = ""
    delegate: str = ""


class Recording(Plugin[Config]):
    """Writes down what it does, and where."""

    def note(self, config: Config, what: str) -> None:
        if config.journal:
            inode = os.stat("/proc/thread-self/ns/net").st_ino
            with open(config.journal, "a") as file:
                file.write(f"{what} {self.call.container_id} in {inode}\n")

    def delete(self, config: Config, attachment: Attachment) -> None:
        self.note(config, "DEL")

    @staticmethod
    def result(attachment: Attachment) -> Result:
        interface = Interface(name=attachment.ifname, sandbox=attachment.sandbox)
        return Result(interfaces=(interface,))


class Slow(Recording):
    """Makes a link on the host, and waits half-way."""

    def add(self, config: Config, attachment: Attachment) -> Result:
        self.note(config, "ADD")
        with RTNL() as host:
            link.add_bridge(host, "slow0")
            self.undo.push(self.take_back, config)
            if config.reached:
                Path(config.reached).write_text("reached")
                Path(config.gate).read_text()
            link.set_up(host, link.by_name(host, "slow0").index)
        self.note(config, "ADDED")
        return self.result(attachment)

    def take_back(self, config: Config) -> None:
        with RTNL() as host:
            link.delete(host, link.by_name(host, "slow0").index)
        self.note(config, "undone")


class Misbehaving(Recording):
    """Does in a hook what a hook must not do."""

    def add(self, config: Config, attachment: Attachment) -> Result:
        getattr(self, config.odd)(attachment)
        return self.result(attachment)

    def behave(self, attachment: Attachment) -> None:
        pass

    def throw(self, attachment: Attachment) -> None:
        raise ZeroDivisionError("thrown")

    def exit(self, attachment: Attachment) -> None:
        sys.exit(0)

    def panic(self, attachment: Attachment) -> None:
        raise BaseException("panic")  # noqa: TRY002 - as bad as it gets

    def recurse(self, attachment: Attachment) -> None:
        self.recurse(attachment)

    def leak(self, attachment: Attachment) -> None:
        for _ in range(100):
            os.open("/dev/null", os.O_RDONLY)

    def stray(self, attachment: Attachment) -> None:
        attachment.netns.move_thread()

    def chatter(self, attachment: Attachment) -> None:
        sys.stdout.write("chatter\n")
        sys.stdout.flush()
        os.write(1, b"more chatter\n")

    def say(self, attachment: Attachment) -> None:
        self.call.log("one line")

    def flood(self, attachment: Attachment) -> None:
        for _ in range(2000):
            self.call.log("x" * 1000)

    def orphan(self, attachment: Attachment) -> None:
        subprocess.run(["sh", "-c", "true & exit"], check=True)


class Meta(Recording):
    """Leaves everything to a delegate."""

    def add(self, config: Config, attachment: Attachment) -> Result:
        from cnisdk.types import _json
        from cnisdk.types.convert import from_wire

        return from_wire(_json.loads(self.delegate(config.delegate)), config.cni_version)

    def check(self, config: Config, attachment: Attachment) -> None:
        self.delegate(config.delegate)


class Process(Recording):
    """Uses what belongs to a process."""

    needs_process = True

    def add(self, config: Config, attachment: Attachment) -> Result:
        os.chdir("/")
        self.note(config, f"ADD {os.getpid()} {os.environ['CNI_COMMAND']}")
        with RTNL(attachment.netns) as container:
            link.add_bridge(container, attachment.ifname)
        with NetNS.current() as own:
            assert not own.same_as(attachment.netns)
        return self.result(attachment)

    def check(self, config: Config, attachment: Attachment) -> None:
        self.call.log("from the process")
        raise ZeroDivisionError("in the process")


PLUGINS: dict[str, type[Plugin[Config]]] = {
    "slow": Slow,
    "misbehaving": Misbehaving,
    "meta": Meta,
    "process": Process,
}
