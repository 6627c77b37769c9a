//! Prints the OpenAPI document that the server serves; `cargo xtask openapi` runs this.

use feature_server::transcoding::openapi;
use feature_server::{descriptors, pages};

fn main() {
    println!("{:#}", openapi::document(&descriptors::pool(), &pages::API));
}
