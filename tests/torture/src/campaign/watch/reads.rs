//! Reads while nothing is written: what streams have to end with.

use anyhow::{Context, Result};
use feature_api::feature::v1::history_service_client::HistoryServiceClient;
use feature_api::feature::v1::settings_service_client::SettingsServiceClient;
use feature_api::feature::v1::{BatchGetSettingsRequest, Change, ListChangesRequest, ScopeValues};
use tonic::Request;
use tonic::transport::Channel;

use super::record::{Digest, Event, Selection, Values};
use super::streams::fold;

/// The most changes of a page, and names of a batch.
const PAGE: i32 = 1_000;
const BATCH: usize = 100;

/// A client that reads.
pub struct Reader {
    channel: Channel,
    token: String,
}

impl Reader {
    pub fn new(channel: Channel, token: &str) -> Self {
        Self { channel, token: token.to_owned() }
    }

    /// The newest revision; 0 of an empty store.
    pub async fn newest(&self) -> Result<u64> {
        let page = self.page(&Selection::default(), "revision desc", 1, String::new()).await?;
        Ok(page.0.first().map_or(0, |change| change.revision))
    }

    /// The oldest revision that is kept.
    pub async fn oldest(&self) -> Result<u64> {
        let page = self.page(&Selection::default(), "revision", 1, String::new()).await?;
        Ok(page.0.first().map_or(1, |change| change.revision))
    }

    /// All changes of a selection, the oldest first.
    pub async fn changes(&self, selection: &Selection) -> Result<Vec<(u64, Digest)>> {
        let (mut changes, mut token) = (Vec::new(), String::new());
        loop {
            let (page, next) = self.page(selection, "revision", PAGE, token).await?;
            changes.extend(page.iter().map(Event::new).map(|event| (event.revision, event.digest)));
            token = next;
            if token.is_empty() {
                return Ok(changes);
            }
        }
    }

    /// The values of scopes, inherited ones too. `features`: only these; empty for all.
    pub async fn values(&self, names: &[String], features: &[String]) -> Result<Values> {
        let mut values = Values::new();
        let mut client = SettingsServiceClient::new(self.channel.clone()).max_decoding_message_size(16 << 20);
        for names in names.chunks(BATCH) {
            // A feature that is archived may not be named here.
            let message = BatchGetSettingsRequest { names: names.to_vec(), inheritance: true, ..Default::default() };
            let answer = client.batch_get_settings(self.request(message)).await.context("a batch of reads")?;
            let scopes = answer.into_inner().settings.into_iter();
            let scopes = scopes.map(|it| ScopeValues { settings: it.name, values: it.values, removed: Vec::new() });
            values.extend(fold(scopes.collect()).0);
        }
        values.retain(|(_, key), _| features.is_empty() || features.contains(key));
        Ok(values)
    }

    async fn page(
        &self,
        selection: &Selection,
        order: &str,
        page_size: i32,
        page_token: String,
    ) -> Result<(Vec<Change>, String)> {
        let (parent, filter) = (selection.parent.clone(), selection.filter());
        let message = ListChangesRequest { parent, filter, order_by: order.to_owned(), page_size, page_token };
        let mut client = HistoryServiceClient::new(self.channel.clone()).max_decoding_message_size(16 << 20);
        let answer = client.list_changes(self.request(message)).await.context("a list of changes")?.into_inner();
        Ok((answer.changes, answer.next_page_token))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.token).parse().expect("a token is ASCII");
        request.metadata_mut().insert("authorization", bearer);
        request
    }
}
