//! What an operator sees: failing starts, the log, the systemd unit, the container image.

mod image;
mod logs;
mod service;
mod startup;
