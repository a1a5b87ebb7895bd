//! Durable state of landlord on SQLite or PostgreSQL.
