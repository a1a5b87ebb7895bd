//! The app deploy stage: Helm releases, secrets, readiness.
