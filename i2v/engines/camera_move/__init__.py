"""A sharp camera move over the photograph itself (`i2v.engines.camera`): no model, no weights, no torch."""
