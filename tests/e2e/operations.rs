//! What an operator sees: failing starts, the log, metrics, probes, traces, the systemd unit, the container image, the
//! Helm chart.

mod chart;
mod image;
mod logs;
mod metrics;
mod probes;
mod service;
mod startup;
mod traces;
