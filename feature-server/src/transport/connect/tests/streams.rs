//! Calls with messages in envelopes.
