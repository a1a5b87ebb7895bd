//! Starts the real daemon, plugins and simulated clouds for end-to-end tests.
