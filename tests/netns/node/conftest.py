"""What the tests of installing share with those that need no kernel."""

from tests.unit.node.conftest import files as files, node as node
