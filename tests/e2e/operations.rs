//! What an operator sees: failing starts, the log, metrics, probes, traces, and the files in `deploy/`.

mod chart;
mod image;
mod logs;
mod metrics;
mod metrics_in_use;
mod probes;
mod service;
mod startup;
mod traces;
