#!/usr/bin/env python3
"""Makes the damaged token files of corpus/store_file from the fixture of schema 1.

Run it after a change of this script; the files are committed. Each is the fixture in
pages of 512 bytes with one thing wrong, which its name tells. Standard library only.
"""

import pathlib
import shutil
import sqlite3
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FIXTURE = HERE.parent / "tests/fixtures/store-1/slot-0/token.db"
CORPUS = HERE / "corpus/store_file"
PAGE = 512
SET_SCHEMA = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = "

SQL = {
    "sound": "",
    "record-of-zeros": "UPDATE records SET body = zeroblob(300) WHERE kind = 3",
    "record-empty": "UPDATE records SET body = x''",
    "record-missing": "DELETE FROM records WHERE number = (SELECT max(number) FROM records)",
    "record-name-odd": "UPDATE records SET id = 'a' || char(10) || number WHERE kind = 3",
    "record-name-long": "UPDATE records SET id = hex(zeroblob(400)) || number",
    "record-kind-beyond": "UPDATE records SET kind = 300 + number",
    "record-version-negative": "UPDATE records SET version = -1",
    "record-version-huge": "UPDATE records SET version = 9223372036854775807",
    "record-number-huge": "UPDATE records SET number = 9223372036854775807 - number",
    "cbor-huge-array": "UPDATE records SET body = x'9b7fffffffffffffff' WHERE kind <> 0",
    "cbor-huge-bytes": "UPDATE records SET body = x'825b7fffffffffffffff00' WHERE kind = 4",
    "cbor-deep": f"UPDATE records SET body = x'{'81' * 400}' WHERE kind = 4",
    "header-huge-label": "UPDATE records SET body = x'837b7fffffffffffffff' WHERE kind = 0",
    "credential-costs-all": "UPDATE records SET body = x'83831affffffff1affffffff1affffffff4050' WHERE kind = 1",
    "credential-costs-much": "UPDATE records SET body = x'83831a00400000186401504141414141414141414141414141414140' WHERE kind = 1",
    "tags-cut": "UPDATE records SET tags = x'0102'",
    "tags-lead-nowhere": "UPDATE tags SET number = number + 1000",
    "tags-all-to-one": "UPDATE OR IGNORE tags SET number = 5",
    "meta-empty": "DELETE FROM meta",
    "meta-negative": "UPDATE meta SET sequence = -5, last_number = -5, log_rows = -5",
    "meta-huge": "UPDATE meta SET sequence = 9223372036854775807, last_number = 9223372036854775807",
    "log-of-the-future": "UPDATE changes SET sequence = sequence + 1000000",
    "attempts-huge": "INSERT OR REPLACE INTO attempts VALUES ('user', 9223372036854775807)",
    "attempts-negative": "INSERT OR REPLACE INTO attempts VALUES ('user', -7)",
    "reservations-many": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
    " INSERT INTO reservations SELECT i, 'user' FROM n",
    "schema-view": "CREATE VIEW more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    " SELECT i FROM n",
    "schema-trigger": "CREATE TRIGGER more AFTER UPDATE ON meta BEGIN DELETE FROM attempts; END",
    "schema-generated": "ALTER TABLE attempts ADD COLUMN more BLOB AS (zeroblob(1000000000))",
    "schema-records-a-view": "ALTER TABLE records RENAME TO kept;"
    " CREATE VIEW records AS SELECT *, zeroblob(100000000) FROM kept",
    "schema-another-root": "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage ="
    " (SELECT rootpage FROM sqlite_schema WHERE name = 'changes') WHERE name = 'tags'",
    "schema-root-beyond": "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 2147483647"
    " WHERE name = 'records'",
    "schema-not-sql": SET_SCHEMA + "'nonsense' WHERE name = 'records'",
    "schema-newer": "PRAGMA user_version = 77",
    "schema-foreign": "PRAGMA application_id = 1",
    "order-in-circles": "DROP INDEX records_in_order;"
    " CREATE INDEX records_in_order ON records (kind, 300 + number % 3);"
    + SET_SCHEMA
    + "replace(sql, '300 + number % 3', 'number') WHERE name = 'records_in_order'",
}


def base(path):
    """The fixture in small pages."""
    shutil.copy(FIXTURE, path)
    file = sqlite3.connect(path, isolation_level=None)
    file.executescript(f"PRAGMA journal_mode = DELETE; PRAGMA page_size = {PAGE}; VACUUM")
    file.close()


def with_sql(path, sql):
    base(path)
    file = sqlite3.connect(path, isolation_level=None)
    file.executescript(sql)
    file.close()
    # As the program leaves it: in write-ahead mode.
    content = bytearray(path.read_bytes())
    content[18:20] = b"\2\2"
    return content


def pages(sound):
    """Damage below what SQL can do."""
    count = len(sound) // PAGE
    yield "empty", b""
    yield "header-only", sound[:100]
    yield "half", sound[: len(sound) // 2]
    yield "half-a-page", sound[: PAGE * 3 + 200]
    yield "text", b"something else entirely\n"
    yield "twice", sound + sound
    for name, at, value in [
        ("page-size-huge", 16, b"\0\1"),
        ("page-size-none", 16, b"\0\0"),
        ("page-count-huge", 28, b"\x7f\xff\xff\xff"),
        ("free-list-to-itself", 32, b"\0\0\0\1\0\0\0\xff"),
        ("text-utf-16", 56, b"\0\0\0\3"),
    ]:
        yield name, sound[:at] + value + sound[at + len(value) :]
    interior = next(n for n in range(count) if sound[n * PAGE] == 5)
    start = interior * PAGE
    for page in range(1, count):
        offset = page * PAGE
        if sound[offset] in (2, 5, 10, 13) and page % 4 == 0:
            yield f"page-{page}-zero", sound[:offset] + bytes(PAGE) + sound[offset + PAGE :]
            yield (
                f"page-{page}-cells",
                sound[: offset + 8] + b"\xff" * 16 + sound[offset + 24 :],
            )
    # All children of an interior page are the page itself, or the first of them.
    cells = int.from_bytes(sound[start + 3 : start + 5], "big")
    pointers = [
        int.from_bytes(sound[start + 12 + 2 * n : start + 14 + 2 * n], "big") for n in range(cells)
    ]
    for name, child in [
        ("tree-to-itself", (interior + 1).to_bytes(4, "big")),
        ("tree-to-one-child", sound[start + pointers[0] : start + pointers[0] + 4]),
    ]:
        content = bytearray(sound)
        for pointer in pointers:
            content[start + pointer : start + pointer + 4] = child
        content[start + 8 : start + 12] = child
        yield name, bytes(content)


def main():
    shutil.rmtree(CORPUS, ignore_errors=True)
    CORPUS.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "token.db"
        for name, sql in SQL.items():
            (CORPUS / name).write_bytes(with_sql(path, sql))
        sound = bytes((CORPUS / "sound").read_bytes())
        for name, content in pages(sound):
            (CORPUS / name).write_bytes(content)


if __name__ == "__main__":
    main()
