"""The house rules as tests: form, types, layers, sizes, names, imports, and true documents."""
