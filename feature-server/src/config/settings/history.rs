//! The settings of the history.

use std::time::Duration;

use feature_auth::config::values::{Form, text};
use feature_store::Keep;
use serde::{Deserialize, Serialize};

/// The bytes of a MiB.
const MIB: u64 = 1 << 20;

/// The least that can be kept: a few segments of some large changes.
const LEAST_MIB: u64 = 1;

/// The most, a PiB: more is a typing error.
const MOST_MIB: u64 = 1 << 30;

/// The most days that can be kept.
const MOST_DAYS: u64 = 36_500;

/// The history: all changes, for audits and for what was once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct History {
    /// How much of it is kept: see [`History::keep`].
    #[serde(deserialize_with = "text::<KeepText, _, _>")]
    pub keep: String,
}

impl History {
    /// How much of it is kept.
    pub fn keep(&self) -> Keep {
        parse(&self.keep).expect("it was checked when it was read")
    }
}

enum KeepText {}

impl Form for KeepText {
    const ALLOWED: &'static str = "\"forever\", 1 to 36500 days such as \"400 days\", or a size from \"1 MiB\" on such as \
                                   \"50 GiB\"";
    const ACCEPTS: fn(&str) -> bool = |text| parse(text).is_some();
}

fn parse(text: &str) -> Option<Keep> {
    if text == "forever" {
        return Some(Keep::Forever);
    }
    let (number, unit) = text.split_once(' ')?;
    let number: u64 = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    let bytes = |mib: u64| (LEAST_MIB..=MOST_MIB).contains(&mib).then(|| Keep::Bytes(mib * MIB));
    match unit {
        "day" | "days" if (1..=MOST_DAYS).contains(&number) => {
            Some(Keep::For(Duration::from_secs(number * 24 * 60 * 60)))
        }
        "MiB" => bytes(number),
        "GiB" => bytes(number.checked_mul(1024)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_with_its_unit() {
        let days = |days: u64| Some(Keep::For(Duration::from_secs(days * 86_400)));
        let table = [
            // (text, what it means)
            ("forever", Some(Keep::Forever)),
            ("1 day", days(1)),
            ("400 days", days(400)),
            ("36500 days", days(36_500)),
            ("1 MiB", Some(Keep::Bytes(1 << 20))),
            ("50 GiB", Some(Keep::Bytes(50 << 30))),
            ("1048576 GiB", Some(Keep::Bytes(1 << 50))),
            ("", None),
            ("Forever", None),
            ("0 days", None),
            ("36501 days", None),
            ("0 MiB", None),
            ("1048577 GiB", None),
            ("18446744073709551615 GiB", None),
            ("+5 days", None),
            ("5  days", None),
            ("5days", None),
            ("50 GB", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
