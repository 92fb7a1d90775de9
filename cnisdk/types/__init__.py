"""The JSON of the specification, as frozen pydantic models; imports nothing by itself."""
