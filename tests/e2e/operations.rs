//! What an operator sees: failing starts, the log, the systemd unit.

mod logs;
mod metrics;
mod probes;
mod service;
mod startup;
