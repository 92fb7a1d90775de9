"""The flight recorder: keeps what runtimes ask of plugins and what they answer."""
