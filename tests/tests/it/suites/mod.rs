//! Other people's clients, each with its own test suite or with programs of ours that drive it: see
//! `tests::Suite` for how they are scored, and `docs/clients.md` for the scores.
