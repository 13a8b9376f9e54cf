"""A service that makes or verifies JSON Web Tokens, HS256 (RFC 7515, RFC 7518 §3.2).

It logs in with the PIN of its argument and then does what each line of its input says,
one line of output for each: what came of it, or the name of the refusal. Whoever runs it
changes things in between.
"""

import base64
import hashlib
import hmac
import json
import re
import sys

from pkcs11 import Attribute, KeyType, Mechanism
from pkcs11.exceptions import PKCS11Error
from support import token

# Those that python-pkcs11 knows by number only.
UNMAPPED = {"0x1b": "CKR_ACTION_PROHIBITED", "0x68": "CKR_KEY_FUNCTION_NOT_PERMITTED"}

HEADER = {"alg": "HS256", "typ": "JWT"}


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signing_input(subject):
    parts = (json.dumps(part, separators=(",", ":")) for part in (HEADER, {"sub": subject}))
    return ".".join(encoded(part.encode()) for part in parts)


class Service:
    def __init__(self, pin):
        self.session = token().open(rw=True, user_pin=pin)
        self.kept = None

    def key(self):
        """The key, looked up once, as a service does."""
        if self.kept is None:
            self.kept = self.session.get_key(label="jwt")
        return self.kept

    def make(self, subject):
        message = signing_input(subject)
        mac = self.key().sign(message.encode(), mechanism=Mechanism.SHA256_HMAC)
        return f"{message}.{encoded(mac)}"

    def check(self, jwt):
        message, mac = jwt.rsplit(".", 1)
        header, claims = (json.loads(decoded(part)) for part in message.split("."))
        assert header["alg"] == "HS256"
        mechanism = Mechanism.SHA256_HMAC
        if not self.key().verify(message.encode(), decoded(mac), mechanism=mechanism):
            return "forged"
        return claims.get("sub") or claims["iss"]

    def expect(self, subject, value):
        """The token that Python's own hmac makes."""
        message = signing_input(subject)
        mac = hmac.new(bytes.fromhex(value), message.encode(), hashlib.sha256).digest()
        return f"{message}.{encoded(mac)}"

    def list(self):
        return " ".join(sorted(key.label for key in self.session.get_objects())) or "nothing"

    def copy(self):
        self.key().copy({Attribute.LABEL: "copy", Attribute.TOKEN: False})
        return "done"

    def rename(self):
        self.key()[Attribute.LABEL] = "renamed"
        return "done"

    def destroy(self):
        self.key().destroy()
        return "done"

    def generate(self):
        self.session.generate_key(KeyType.GENERIC_SECRET, 256, label="own", store=True)
        return "done"

    def use(self, unique_id):
        """Turns to the key with this unique id."""
        (self.kept,) = self.session.get_objects({Attribute.UNIQUE_ID: unique_id})
        return "done"


def name_of(error):
    number = re.search(r"Unmapped error code (\w+)", str(error))
    return UNMAPPED.get(number[1], number[1]) if number else type(error).__name__


service = Service(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    what, *arguments = line.split()
    try:
        answer = getattr(service, what)(*arguments)
    except PKCS11Error as error:
        answer = name_of(error)
    print(answer, flush=True)
