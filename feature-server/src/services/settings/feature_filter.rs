//! Which features a watch shows: by their keys, by what their keys begin with, and by the labels of their definitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use feature_api::definition::check_labels;
use feature_core::OwnKey;

use crate::error::Failure;
use crate::services::catalogue::{Feature, InForce};

/// A choice of features.
#[derive(Debug)]
pub(in crate::services) struct FeatureFilter {
    keys: Vec<String>,
    /// What keys begin with, in lower case. None of them begins with another one.
    prefixes: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl FeatureFilter {
    /// The filter of a request.
    ///
    /// * `features`: keys, and beginnings of keys with a `*` behind them. An empty list stands for all features.
    /// * `labels`: those that a definition must have.
    ///
    /// # Errors
    /// [`Failure::Request`] names the entry of `features` or `labels` that no feature can have.
    pub(in crate::services) fn new(features: &[String], labels: &BTreeMap<String, String>) -> Result<Self, Failure> {
        check_labels(labels, "labels")?;
        let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
        for (index, text) in features.iter().enumerate() {
            match text.strip_suffix('*') {
                // Each beginning of a key has the form of a key.
                Some(prefix) if prefix.is_empty() || OwnKey::new(prefix).is_ok() => {
                    prefixes.push(prefix.to_ascii_lowercase());
                }
                None if !text.contains('*') => keys.push(text.clone()),
                _ => {
                    let problem = "must be a key, or the beginning of one with a '*' at its end";
                    return Err(Failure::field(format!("features[{index}]"), problem));
                }
            }
        }
        if features.is_empty() {
            prefixes.push(String::new());
        }
        // So no part of the catalogue is looked through twice.
        prefixes.sort_unstable();
        prefixes.dedup_by(|next, kept| next.starts_with(kept.as_str()));
        Ok(Self { keys, prefixes, labels: labels.clone() })
    }

    /// The chosen ones of these features.
    pub(super) fn choose<'f>(&self, features: &'f InForce) -> impl Iterator<Item = &'f Arc<Feature>> {
        let by_key = self.keys.iter().filter_map(|key| features.find(key));
        let by_prefix = self.prefixes.iter().flat_map(|prefix| features.beginning_with(prefix).into_values());
        by_key.chain(by_prefix).filter(|feature| feature.has_labels(&self.labels))
    }
}

#[cfg(test)]
mod tests {
    use grpc_transcoding::Error;

    use super::*;

    /// Entries, labels, and what is read of them.
    type Row<'t> = (&'t [&'t str], &'t [(&'t str, &'t str)], &'t str);

    #[test]
    fn filter_has_keys_and_beginnings_that_do_not_overlap_or_names_the_wrong_field() {
        let longest = format!("{}*", "k".repeat(128));
        let (only_longest, too_long) = (format!("| {}", longest.trim_end_matches('*')), format!("k{longest}"));
        let label = "x".repeat(65);
        let table: [Row<'_>; 21] = [
            // entries, labels; the keys and the beginnings, or the wrong field
            (&[], &[], "| "),
            (&["*"], &[("team", "web")], "| "),
            (&["actions", "Own.Key"], &[], "actions,Own.Key|"),
            (&["", "not a key"], &[], ",not a key|"),
            (&["b*", "a", "C.d-e_*"], &[], "a| b c.d-e_"),
            (&["a.b*", "a*", "ab*", "A.B.C*", "b*", "b*"], &[], "| a b"),
            (&["a*", "*", "b*"], &[], "| "),
            (&["a.*", "a-*", "ab*"], &[], "| a- a. ab"),
            (&[&longest], &[], &only_longest),
            (&[&too_long], &[], "! features[0]"),
            (&["**"], &[], "! features[0]"),
            (&["a", "*b"], &[], "! features[1]"),
            (&["a", "b*", "a*b"], &[], "! features[2]"),
            (&["a*b*"], &[], "! features[0]"),
            (&["9*"], &[], "! features[0]"),
            (&["a b*"], &[], "! features[0]"),
            (&[], &[("a-name_of.7", "any text: ü"), ("other", "")], "| "),
            (&[], &[("team", &label[1..])], "| "),
            (&[], &[("team", &label)], "! labels.team"),
            (&[], &[("no name", "x")], "! labels"),
            (&[], &[("", "x")], "! labels"),
        ];
        for (entries, labels, expected) in table {
            let entries: Vec<_> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            let labels = labels.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            let shown = match FeatureFilter::new(&entries, &labels) {
                Ok(filter) => {
                    assert_eq!(filter.labels, labels);
                    let prefixes: String = filter.prefixes.iter().map(|prefix| format!(" {prefix}")).collect();
                    format!("{}|{prefixes}", filter.keys.join(","))
                }
                Err(Failure::Request(Error::FieldsInvalid(violations))) => format!("! {}", violations[0].field),
                Err(failure) => panic!("{failure:?}"),
            };
            assert_eq!(shown, expected, "{entries:?} {labels:?}");
        }
    }
}
