-- Who did what, in the order in which it was committed. An entry's text holds all of it, its own position and the hash of the one
-- before it; `hash` is the SHA-256 of the text. Time and customer stand beside it to be chosen by.
CREATE TABLE audit (
    seq      BIGINT NOT NULL PRIMARY KEY,
    time     BIGINT NOT NULL,
    customer TEXT   NOT NULL,
    entry    TEXT   NOT NULL,
    hash     TEXT   NOT NULL
);
CREATE INDEX audit_time ON audit (time, seq);
CREATE INDEX audit_customer ON audit (customer, seq);

-- Entries whose hash was signed.
CREATE TABLE audit_heads (
    seq       BIGINT NOT NULL PRIMARY KEY,
    key_id    TEXT   NOT NULL,
    signature TEXT   NOT NULL
);

-- Where the chain ends, and which entry was signed last. One row, which whoever appends holds.
CREATE TABLE audit_chain (
    id          BIGINT NOT NULL PRIMARY KEY,
    seq         BIGINT NOT NULL,
    hash        TEXT   NOT NULL,
    signed_seq  BIGINT NOT NULL,
    signed_time BIGINT NOT NULL
);
INSERT INTO audit_chain (id, seq, hash, signed_seq, signed_time) VALUES (1, 0, '', 0, 0);

-- Whose request an operation is.
ALTER TABLE operations ADD COLUMN principal TEXT NOT NULL DEFAULT '';
