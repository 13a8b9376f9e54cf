#!/usr/bin/env python3
"""Makes the audit trails of corpus/audit.

Run it after a change of this script; the files are committed. Each is what `exercise.rs`
makes a trail of: the content of a segment, and behind a line of one byte 0x1e that of
`checkpoint`. Its name tells what is wrong with it. Standard library only.
"""

import hashlib
import pathlib

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus/audit"
SEGMENT = "20261124T015653123Z-0123456789abcdef"
OTHER = "20261124T015653000Z-0123456789abcdef"
NONE = "0" * 64
NOW = 1795485413123


def line(number, previous, name="CreateKey", noted="", **other):
    with_ = {"segment": SEGMENT, "sequence": number, "time": NOW + number, "more": ""} | other
    return (
        f'{{"trail":{{"segment":"{with_["segment"]}","sequence":{with_["sequence"]},"previous":"{previous}",'
        f'"boot":"0a1b2c3d","time":{with_["time"]}}},"eventVersion":"1.09","eventTime":"2026-11-24T01:56:53Z",'
        f'"eventID":"id-{number}","eventSource":"signet","eventName":"{name}","userIdentity":{{"type":"Root"}},'
        f'"additionalEventData":{{{noted}}}{with_["more"]},"eventCategory":"Management"}}'
    ).encode()


def chain(*parts):
    lines, previous = [], NONE
    for number, part in enumerate(parts, 1):
        lines.append(line(number, previous, **part))
        previous = hashlib.sha256(lines[-1]).hexdigest()
    return b"".join(each + b"\n" for each in lines)


START = {"name": "StartAuditSegment", "noted": '"token":"0011223344556677","pid":1'}
END = {"name": "EndAuditSegment"}
KEY = {}
SOUND = chain(START, KEY, KEY, END)
LINES = SOUND.splitlines(keepends=True)
HASH = hashlib.sha256(LINES[0][:-1]).hexdigest()
NOTE = f"signet audit trail 0011223344556677\ncheckpoint 3\ntime 2026-11-24T02:00:00.000Z\nkept from -\n{SEGMENT} 4 {len(SOUND)} {HASH}\n\n\u2014 signet/0011223344556677 {'A' * 92}\n".encode()


def follows(text):
    return chain(START | {"noted": f'"token":"0011223344556677","follows":"{text}"'}, KEY, END)


FILES = {
    "sound": SOUND,
    "sound-not-ended": chain(START, KEY),
    "sound-torn": SOUND + LINES[1][:100],
    "sound-zeros": SOUND + bytes(5000),
    "sound-holes": LINES[0] + bytes(200) + LINES[1][200:] + LINES[2] + LINES[3],
    "edited": SOUND.replace(b"CreateKey", b"CreateKez", 1),
    "removed": LINES[0] + LINES[2] + LINES[3],
    "doubled": LINES[0] + LINES[1] + LINES[1] + LINES[2],
    "sound-but-torn-in-one-line": SOUND.replace(b"\n", b" "),
    "no-text": LINES[0] + b"\xff\xfe\x80\n" + LINES[1],
    "sound-deep": chain(START, KEY | {"more": ',"a":' + "[" * 5000 + "]" * 5000}),
    "deep-open": LINES[0] + b"[" * 20000 + b"\n",
    "number-huge": chain(START | {"sequence": 2**64 - 1}, END | {"sequence": 2**64 - 1}),
    "number-beyond": chain(START, END | {"sequence": 2**80}),
    "sound-time-huge": chain(START, KEY | {"time": 2**64 - 1}, END),
    "follows-itself": follows(f"{SEGMENT} 3 900 {NONE}"),
    "follows-the-last": follows(f"{OTHER} {2**64 - 1} {2**64 - 1} {NONE}"),
    "follows-nothing": follows(f"{OTHER} 0 0 {NONE}"),
    "sound-removes-all": chain(START, {"name": "RemoveAuditSegments", "noted": f'"keptFrom":"{SEGMENT}"'}, END),
    "sound-checkpoint": SOUND + b"\x1e\n" + NOTE,
    "checkpoint-cut": SOUND + b"\x1e\n" + NOTE[:200],
    "sound-checkpoint-huge": SOUND + b"\x1e\n" + NOTE.replace(b"checkpoint 3", b"checkpoint 18446744073709551615"),
    "sound-empty": b"",
    "newlines": b"\n" * 1000,
}

CORPUS.mkdir(parents=True, exist_ok=True)
for name, content in FILES.items():
    (CORPUS / name).write_bytes(content)
