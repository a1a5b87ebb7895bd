-- Contents of stacks and platforms by what they hold, packed: kept for the environments that name them.
CREATE TABLE revisions (
    kind        TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    revision    TEXT   NOT NULL,
    content     BLOB   NOT NULL,
    create_time BIGINT NOT NULL,
    PRIMARY KEY (kind, name, revision)
);
