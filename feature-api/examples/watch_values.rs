//! Keeps the values of a scope in memory, and prints one whenever it changes.
//!
//! docs/sdk.md says how to run it.

use std::env;
use std::error::Error;

use feature_api::client::{Client, Options};
use tonic::transport::Endpoint;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: watch_values URL SCOPE KEY, with the variable TOKEN";
    let [url, scope, key] = env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| usage)?;
    let token = env::var("TOKEN").map_err(|_| usage)?;

    let client = Client::start(Endpoint::from_shared(url)?, move || token.clone(), Options::new([&scope]));
    client.ready().await?;
    let (values, mut changes) = (client.scope(&scope), client.changes());
    loop {
        // A read never waits. Without a value the application has a default.
        let value = values.boolean(&key).unwrap_or(false);
        println!("{key} is {value}, {:?}, {:?} old", client.state(), client.age().unwrap_or_default());
        // A receiver that is far behind gets an error, and reads again all the same.
        if let Ok(change) = changes.recv().await {
            println!("changed at revision {}: {:?}", change.revision, change.keys);
        }
    }
}
