//! Prints the OpenAPI document that the server serves; `cargo xtask openapi` runs this.

use feature_server::{descriptors, openapi, page};

fn main() {
    println!("{:#}", openapi::document(&descriptors::pool(), &page::API));
}
