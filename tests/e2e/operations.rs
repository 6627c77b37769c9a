//! What an operator sees: failing starts, the log, traces, the systemd unit.

mod logs;
mod metrics;
mod probes;
mod service;
mod startup;
mod traces;
