//! What an operator sees: failing starts, the log, the systemd unit, the container image, the Helm chart.

mod chart;
mod image;
mod logs;
mod service;
mod startup;
