//! When the server's own certificate expires, and when the operator is warned.

use std::time::{Duration, SystemTime};

use x509_cert::Certificate;
use x509_cert::der::Decode;

/// The longest notice before a certificate expires. For a short-lived certificate the notice is the last fifth of its
/// life: by then its renewal should have happened.
const LONGEST_NOTICE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    begins: SystemTime,
    ends: SystemTime,
}

impl Validity {
    /// The validity of a certificate; `None` if it cannot be read.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let validity = certificate.tbs_certificate().validity();
        Some(Self { begins: validity.not_before.to_system_time(), ends: validity.not_after.to_system_time() })
    }

    /// The warning for an operator at this time, if there is one.
    pub(crate) fn warning(&self, now: SystemTime) -> Option<String> {
        let life = self.ends.duration_since(self.begins).unwrap_or_default();
        let ends = humantime::format_rfc3339_seconds(self.ends);
        match self.ends.duration_since(now) {
            Err(_) => Some(format!("the certificate expired at {ends}: clients refuse to connect")),
            Ok(_) if now < self.begins => {
                let begins = humantime::format_rfc3339_seconds(self.begins);
                Some(format!("the certificate is not valid before {begins}: clients refuse to connect"))
            }
            Ok(left) if left < LONGEST_NOTICE.min(life / 5) => Some(format!("the certificate expires at {ends}")),
            Ok(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_before_the_end_and_after_it() {
        const DAY: u64 = 24 * 60 * 60;
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let table = [
            // valid from, until, now, what is said
            (DAY, 366 * DAY, 100 * DAY, None),
            (DAY, 366 * DAY, 352 * DAY, None),
            (DAY, 366 * DAY, 352 * DAY + 1, Some("the certificate expires at 1971-01-02T00:00:00Z")),
            (0, 100, 79, None),
            (0, 100, 81, Some("the certificate expires at 1970-01-01T00:01:40Z")),
            (0, 100, 101, Some("the certificate expired at 1970-01-01T00:01:40Z: clients refuse to connect")),
            (50, 100, 49, Some("the certificate is not valid before 1970-01-01T00:00:50Z: clients refuse to connect")),
        ];
        for (begins, ends, now, said) in table {
            let validity = Validity { begins: at(begins), ends: at(ends) };
            assert_eq!(validity.warning(at(now)).as_deref(), said, "{begins} to {ends} at {now}");
        }
    }
}
