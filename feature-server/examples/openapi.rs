//! Prints the OpenAPI document that the server serves; `cargo xtask openapi` runs this.

use feature_server::{descriptors, pages};
use grpc_transcoding::openapi;

fn main() {
    println!("{:#}", openapi::document(&descriptors::pool(), &pages::API));
}
