"""python-pkcs11 makes, finds and uses a key; Python's own hmac says the same."""

import hashlib
import hmac
import os

import pkcs11
from pkcs11 import KeyType, Mechanism, MechanismFlag
from pkcs11.exceptions import (
    AttributeSensitive,
    NoSuchKey,
    NoSuchToken,
    PinIncorrect,
)
from support import refuses, token

HASHES = {"SHA224": 28, "SHA256": 32, "SHA384": 48, "SHA512": 64}

tok = token()

with tok.open(rw=True, user_pin="123456") as session:
    for name, length in HASHES.items():
        mechanism = getattr(Mechanism, f"{name}_HMAC")
        value = os.urandom(length)
        key = session.create_object(
            {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                pkcs11.Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
                pkcs11.Attribute.LABEL: name,
                pkcs11.Attribute.TOKEN: True,
                pkcs11.Attribute.SIGN: True,
                pkcs11.Attribute.VERIFY: True,
                pkcs11.Attribute.VALUE: value,
            }
        )
        for message in (b"", b"message", os.urandom(100_000)):
            mac = key.sign(message, mechanism=mechanism)
            assert mac == hmac.new(value, message, getattr(hashlib, name.lower())).digest(), name
            assert key.verify(message, mac, mechanism=mechanism)
            wrong = bytes([mac[0] ^ 1]) + mac[1:]
            assert not key.verify(message, wrong, mechanism=mechanism), name
            assert not key.verify(message, mac[:-1], mechanism=mechanism), name
        parts = key.sign([b"mess", b"age"], mechanism=mechanism)
        assert parts == key.sign(b"message", mechanism=mechanism)

    made = session.generate_key(
        KeyType.GENERIC_SECRET,
        256,
        label="made",
        store=True,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
    )
    refuses(AttributeSensitive, lambda: made[pkcs11.Attribute.VALUE])
    refuses(NoSuchKey, lambda: session.get_key(label="nobody's"))
    before = made.sign(b"message", mechanism=Mechanism.SHA256_HMAC)

with tok.open(user_pin="123456") as session:
    found = session.get_key(label="made")
    assert found.sign(b"message", mechanism=Mechanism.SHA256_HMAC) == before

refuses(PinIncorrect, lambda: tok.open(user_pin="654321"))
refuses(NoSuchToken, lambda: token("elsewhere"))
print("ok")
