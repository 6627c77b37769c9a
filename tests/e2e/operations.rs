//! What an operator sees: failing starts, the log, metrics, probes, and the files in `deploy/`.

mod logs;
mod metrics;
mod metrics_in_use;
mod probes;
mod service;
mod startup;
