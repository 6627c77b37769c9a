//! Prints the OpenAPI document that the server serves; `cargo xtask openapi` runs this.

use feature_server::pages;
use feature_server::services::descriptors;
use grpc_transcoding::openapi;

fn main() {
    println!("{:#}", openapi::document(&descriptors::pool(), &pages::API));
}
