//! What operators see: starts that fail, the log, the systemd unit.

mod logs;
mod service;
mod startup;
