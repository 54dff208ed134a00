//! Writes the checked-in OpenAPI documents: `cargo run -p tidegate-api --example openapi`.

use std::path::Path;

use api::openapi::{Scope, document_text};

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("central.json"), document_text(Scope::Everything))?;
    std::fs::write(folder.join("tidegate.json"), document_text(Scope::Extensions))
}
