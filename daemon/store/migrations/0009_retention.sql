-- Finds what ended long ago.
CREATE INDEX operations_end ON operations (end_time);
