"""`i2v bench`: what a card really does, measured on it. Checks are run one by one; a failing one is a row."""
