//! The Helm chart in `deploy/helm`: Helm renders it, Kubernetes' schemas accept it, and the server its configuration.

use crate::support::client_programs::run;
use crate::support::harness::BINARY;
use crate::support::programs::{python, repository};

#[test]
fn the_chart_is_sound_with_and_without_its_options() {
    let mut command = python("chart.py");
    command.arg(repository("deploy/helm/feature-server")).arg(repository("docs/kubernetes.md")).arg(BINARY);
    run(&mut command);
}
