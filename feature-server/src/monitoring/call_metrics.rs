//! The metrics of calls, by the names of go-grpc-middleware, so that existing dashboards show them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prost_reflect::DescriptorPool;
use tonic::Code;

use super::call_counters::{AUTH_FAILURES, CALL_SECONDS, CODES, CallCounters, MethodCounters, PROTOCOLS, methods_in};
use super::histogram::Total;
use super::metrics::Family;
use super::watch_counters::{KINDS, REASONS, TYPES};

/// The counters of all cores, and the labels of the methods.
#[derive(Debug)]
pub(super) struct CallMetrics {
    cores: Vec<Arc<CallCounters>>,
    methods: Vec<Labels>,
}

/// The labels `grpc_type`, `grpc_service` and `grpc_method` of a method.
#[derive(Debug)]
struct Labels([(&'static str, String); 3]);

impl CallMetrics {
    /// `pool`: the descriptors that the counters were made for.
    pub(super) fn new(pool: &DescriptorPool, cores: Vec<Arc<CallCounters>>) -> Self {
        let labels = |kind: &str, service: &str, method: &str| {
            Labels([("grpc_type", kind.into()), ("grpc_service", service.into()), ("grpc_method", method.into())])
        };
        let of_method = methods_in(pool).map(|method| {
            let kind = match (method.is_client_streaming(), method.is_server_streaming()) {
                (false, false) => "unary",
                (true, false) => "client_stream",
                (false, true) => "server_stream",
                (true, true) => "bidi_stream",
            };
            labels(kind, method.parent_service().full_name(), method.name())
        });
        let methods = of_method.chain([labels("unary", "unknown", "unknown")]).collect();
        Self { cores, methods }
    }

    fn sum(&self, counter: impl Fn(&CallCounters) -> &AtomicU64) -> u64 {
        self.cores.iter().map(|core| counter(core).load(Ordering::Relaxed)).sum()
    }

    fn by_method(&self, mut family: Family<'_>, counter: fn(&MethodCounters) -> &AtomicU64) -> fmt::Result {
        for (number, labels) in self.methods.iter().enumerate() {
            family.count_of(&labels.0.as_slice(), self.sum(|core| counter(&core.methods[number])))?;
        }
        Ok(())
    }

    /// Codes that no call has ended with are left out, but for OK.
    fn handled(&self, mut family: Family<'_>) -> fmt::Result {
        for (number, Labels(labels)) in self.methods.iter().enumerate() {
            for code in 0..CODES {
                let calls = self.sum(|core| &core.methods[number].codes[code]);
                if calls > 0 || code == Code::Ok as usize {
                    let code = ("grpc_code", code_name(code).to_owned());
                    family.count_of(&[&labels[..], &[code]].concat(), calls)?;
                }
            }
        }
        Ok(())
    }

    fn seconds(&self, mut family: Family<'_>) -> fmt::Result {
        for (number, labels) in self.methods.iter().enumerate() {
            let of_cores = self.cores.iter().map(|core| &core.methods[number].seconds);
            family.total_of(&labels.0.as_slice(), &Total::of(&CALL_SECONDS, of_cores))?;
        }
        Ok(())
    }

    fn watches(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut open = Family::gauge(encoder, "feature_watch_streams", "Open watches")?;
        for (number, kind) in KINDS.into_iter().enumerate() {
            open.value_of(&[("kind", kind)], self.sum(|core| &core.watches.open[number]) as f64)?;
        }
        let mut messages = Family::counter(encoder, "feature_watch_messages", "Messages of watches")?;
        for (number, message) in TYPES.into_iter().enumerate() {
            messages.count_of(&[("type", message)], self.sum(|core| &core.watches.messages[number]))?;
        }
        let mut closed = Family::counter(encoder, "feature_watch_closed", "Watches that have ended, by reason")?;
        for (number, reason) in REASONS.into_iter().enumerate() {
            closed.count_of(&[("reason", reason)], self.sum(|core| &core.watches.closed[number]))?;
        }
        Ok(())
    }
}

impl Collector for CallMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let started = Family::counter(encoder, "grpc_server_started", "Calls that have begun")?;
        self.by_method(started, |method| &method.started)?;
        self.handled(Family::counter(encoder, "grpc_server_handled", "Calls that have ended")?)?;
        let received = Family::counter(encoder, "grpc_server_msg_received", "Messages that services have received")?;
        self.by_method(received, |method| &method.received)?;
        let sent = Family::counter(encoder, "grpc_server_msg_sent", "Messages that services have sent")?;
        self.by_method(sent, |method| &method.sent)?;
        self.seconds(Family::histogram(encoder, "grpc_server_handling_seconds", "How long calls took")?)?;
        let mut requests = Family::counter(encoder, "feature_server_requests", "Requests by protocol")?;
        for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
            requests.count_of(&[("protocol", protocol)], self.sum(|core| &core.requests[number]))?;
        }
        let help = "Calls refused for their credential or a missing right";
        let mut failures = Family::counter(encoder, "feature_auth_failures", help)?;
        for (number, reason) in AUTH_FAILURES.into_iter().enumerate() {
            failures.count_of(&[("reason", reason)], self.sum(|core| &core.auth_failures[number]))?;
        }
        Family::counter(encoder, "feature_rate_limited", "Calls refused for the rate of their identity")?
            .count(self.sum(|core| &core.rate_limited))?;
        let mut answers = Family::counter(encoder, "feature_answers", "Answers to Gets, by whether they were cached")?;
        for (number, hit) in ["false", "true"].into_iter().enumerate() {
            answers.count_of(&[("hit", hit)], self.sum(|core| &core.answers[number]))?;
        }
        self.watches(encoder)
    }
}

/// The name of a code as go-grpc-middleware spells it.
fn code_name(code: usize) -> &'static str {
    match Code::from_i32(code as i32) {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
