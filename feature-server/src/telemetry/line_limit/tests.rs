//! How many lines of a callsite pass, and how the others are reported.

use std::sync::Arc;

use tracing::subscriber::with_default;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use super::*;

/// Records the message and the number of each event that passes.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Seen {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = event.metadata().level().to_string();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            text.push_str(&format!(" {field}={value:?}"));
        });
        self.0.lock().unwrap().push(text);
    }
}

impl Seen {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[test]
fn lines_of_one_callsite_are_bounded_and_those_left_out_are_counted() {
    static LIMIT: LineLimit = LineLimit::new();
    let seen = Seen::default();
    with_default(registry().with(seen.clone()).with(&LIMIT), || {
        for number in 0..LINES_MAX + 7 {
            // One callsite of each level. The last two log without a limit.
            tracing::error!(number);
            tracing::info!(number);
            tracing::debug!(number);
            tracing::trace!(number);
        }
        tracing::warn!("another line");
        let lines = seen.take();
        let of = |level: &str| lines.iter().filter(|line| line.starts_with(level)).count() as u32;
        let counts = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].map(of);
        assert_eq!(counts, [LINES_MAX, 1, LINES_MAX, LINES_MAX + 7, LINES_MAX + 7]);

        LIMIT.report();
        let reports = seen.take();
        let parts = [("ERROR", "left_out=7"), ("INFO", "left_out=7")];
        assert_eq!(reports.len(), parts.len(), "{reports:?}");
        for (report, (level, count)) in reports.iter().zip(parts) {
            let is_it = report.starts_with(level) && report.contains(count) && report.contains("line_limit::tests:");
            assert!(is_it, "{report}");
        }
        LIMIT.report();
        assert_eq!(seen.take(), [""; 0], "nothing was left out since");
    });
}

#[test]
fn a_callsite_may_log_again_after_a_second() {
    static LIMIT: LineLimit = LineLimit::new();
    with_default(registry().with(&LIMIT), || tracing::warn!("a line"));
    let metadata = LIMIT.callsites.lock().unwrap()[0].metadata;
    let limit = LineLimit::new();
    let start = Instant::now();
    let table = [
        // (milliseconds since the start, attempts, lines that pass)
        (0, 4, 4),
        (500, 20, 6),
        (999, 5, 0),
        (1_000, 20, 10),
        (1_999, 1, 0),
        (60_000, 3, 3),
    ];
    for (at_ms, attempts, passing) in table {
        let now = start + Duration::from_millis(at_ms);
        let passed = (0..attempts).filter(|_| limit.admits(metadata, now)).count();
        assert_eq!(passed, passing, "after {at_ms} ms");
    }
    assert_eq!(limit.take_left_out().iter().map(|(_, left_out)| *left_out).collect::<Vec<_>>(), [30]);
}
