//! Searches the features that are in force in an instance, or in the system.

use std::sync::Arc;

use feature_api::feature::v1::{DefinitionView, FeatureDefinition, SearchFeaturesRequest, SearchFeaturesResponse};
use feature_api::resource_name;

use super::DefinitionService;
use super::list::{Place, features, shortened, state_of};
use crate::error::Failure;
use crate::services::backend::Call;
use crate::services::catalogue::Feature;
use crate::services::request::page_token::hash_of;
use crate::services::request::resource::owner;

impl DefinitionService {
    pub(super) async fn search(&self, call: Call<'_>) -> Result<SearchFeaturesResponse, Failure> {
        let request: SearchFeaturesRequest = call.request()?;
        let parent = resource_name::parent(&request.parent);
        let parent = parent.map_err(|error| Failure::field("parent", error.to_string()))?;
        let owner = owner(call.caller, parent.as_ref())?;
        let read = self.backend.read(call.context, move |backend, basis| {
            let features = features(backend, owner.as_ref(), true, None, basis)?;
            let words: Vec<_> = request.query.split_whitespace().map(str::to_lowercase).collect();
            let in_use = features.iter().filter(|(_, feature)| feature.definition.is_in_use());
            let found = in_use.filter_map(|(key, feature)| {
                let message = feature.message();
                Some((rank(&words, key, &message)?, key.as_str(), feature))
            });
            let mut found: Vec<(Rank, &str, &Arc<Feature>)> = found.collect();
            found.sort_by_key(|(rank, key, _)| (*rank, *key));
            let messages = found.into_iter().map(|(_, key, feature)| {
                let message = shortened(feature.message(), DefinitionView::Basic);
                (key, message)
            });
            let of_request = hash_of((&owner, &request.query));
            let (page_token, page_size) = (&request.page_token[..], request.page_size);
            let place = Place { of_request, state: state_of(&features), page_token, page_size };
            let (feature_definitions, next_page_token) = place.page(messages)?;
            Ok(SearchFeaturesResponse { feature_definitions, next_page_token })
        });
        Ok(read.await?.0)
    }
}

/// Where a feature has the words of a query. The better ones come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Key,
    InKey,
    InName,
    Elsewhere,
}

/// The rank of a feature; `None` when it lacks one of the words.
///
/// * `words`: in lower case.
/// * `key`: in lower case.
fn rank(words: &[String], key: &str, message: &FeatureDefinition) -> Option<Rank> {
    let name = message.display_name.to_lowercase();
    if let [word] = words
        && word == key
    {
        return Some(Rank::Key);
    }
    let all = |texts: &[&str]| words.iter().all(|word| texts.iter().any(|text| text.contains(word)));
    if all(&[key]) {
        return Some(Rank::InKey);
    }
    if all(&[key, &name]) {
        return Some(Rank::InName);
    }
    let labels = message.labels.iter().flat_map(|(label, value)| [label, value]);
    let others = [&message.description, &message.owner].into_iter().chain(labels).map(|text| text.to_lowercase());
    let others: Vec<_> = others.collect();
    let texts: Vec<_> = [key, &name].into_iter().chain(others.iter().map(String::as_str)).collect();
    all(&texts).then_some(Rank::Elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_has_the_rank_of_the_best_place_that_has_all_words() {
        let message = FeatureDefinition {
            display_name: "New Checkout".to_owned(),
            description: "Shows the CART beside the address".to_owned(),
            owner: "team payments".to_owned(),
            labels: [("area".to_owned(), "Shop".to_owned())].into(),
            ..Default::default()
        };
        let table = [
            // query, rank
            ("", Some(Rank::InKey)),
            ("Shop.New_UI", Some(Rank::Key)),
            ("new shop", Some(Rank::InKey)),
            ("checkout", Some(Rank::InName)),
            ("checkout shop", Some(Rank::InName)),
            ("cart", Some(Rank::Elsewhere)),
            ("PAYMENTS area checkout", Some(Rank::Elsewhere)),
            ("cart login", None),
        ];
        for (query, expected) in table {
            let words: Vec<_> = query.split_whitespace().map(str::to_lowercase).collect();
            assert_eq!(rank(&words, "shop.new_ui", &message), expected, "{query}");
        }
    }
}
