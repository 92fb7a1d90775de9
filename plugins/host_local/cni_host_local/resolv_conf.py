"""resolv.conf(5), as far as a result's ``dns`` reaches."""

from cnisdk import DNS


def parse(text: str) -> DNS:
    """Return what ``text`` says; lines that say nothing are skipped, as resolver(3) does."""
    nameservers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    domain = ""
    for line in text.split("\n"):
        fields = line.split()
        if len(fields) < 2 or fields[0][0] in "#;":
            continue
        match fields[0]:
            case "nameserver":
                nameservers.append(fields[1])
            case "domain":
                domain = fields[1]
            case "search":
                search += fields[1:]
            case "options":
                options += fields[1:]
    return DNS(
        nameservers=tuple(nameservers),
        domain=domain,
        search=tuple(search),
        options=tuple(options),
    )
