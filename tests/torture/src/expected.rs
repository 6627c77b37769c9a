//! The expected state of one scope: the numbers that its writer sent, those acknowledged, and those that readers saw.

use tonic::Status;

use crate::counter_client::{Client, Scope};
use crate::finding::Finding;

/// The writer of one scope. Its numbers ascend from 1.
#[derive(Debug, Clone)]
pub struct ExpectedCounter {
    scope: Scope,
    /// The last acknowledged number.
    acknowledged: u64,
    /// The last number that was sent.
    sent: u64,
    /// The largest number that was read.
    seen: u64,
}

impl ExpectedCounter {
    /// A scope that was never written.
    pub fn new(scope: Scope) -> Self {
        Self { scope, acknowledged: 0, sent: 0, seen: 0 }
    }

    /// Writes the next number.
    ///
    /// # Errors
    /// The server's error. The write may or may not have happened.
    pub async fn write(&mut self, client: &mut Client) -> Result<(), Status> {
        self.sent += 1;
        client.set(self.scope, self.sent).await?;
        self.acknowledged = self.sent;
        Ok(())
    }

    /// Reads the scope. The number must be at least the last one acknowledged or seen, and at most the last one sent.
    ///
    /// # Errors
    /// A number outside of this range, or a failed read.
    pub async fn check(&mut self, client: &mut Client) -> Result<(), Finding> {
        let number = client.get(self.scope).await?.map_or(0, |found| found.number);
        let least = self.acknowledged.max(self.seen);
        self.seen = self.seen.max(number);
        let Self { scope, sent, .. } = self;
        if number < least || number > *sent {
            let text = format!("{scope:?} has {number}, {least} was acknowledged or seen, {sent} was sent last");
            return Err(Finding::Lost(text));
        }
        Ok(())
    }
}
