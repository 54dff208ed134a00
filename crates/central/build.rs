//! Central embeds the console: a newly built `web/dist` makes it build anew, also where there was none before.

fn main() {
    println!("cargo:rerun-if-changed=../../web/dist");
}
