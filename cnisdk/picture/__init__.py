"""What a node's CNI networks look like now, and what in them does not belong.

Read from the kernel (`kernel`), from the firewall (`firewall`), from what runtimes remember and
from configurations; nothing is changed, and no plugin is executed.  `survey` puts it together to
one `Picture`; `scene` arranges that for people; `tree`, `svg` and `page` draw the scene.
"""
