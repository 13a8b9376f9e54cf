"""What the scripts share: the module and its token come from the environment."""

import os

import pkcs11


def token(label="demo"):
    """The token with this label, of the module that the test names."""
    return pkcs11.lib(os.environ["MODULE"]).get_token(token_label=label)


def refuses(error, call):
    """The call fails with just this error."""
    try:
        result = call()
    except error:
        return
    raise AssertionError(f"expected {error.__name__}, got {result!r}")
