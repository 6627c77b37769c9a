//! What an operator sees: failing starts, the log, the systemd unit.

mod logs;
mod service;
mod startup;
