"""Model families, each a package of its own; `base` is the contract, `specs` the table of what there is."""
